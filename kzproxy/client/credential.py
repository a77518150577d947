"""``kzproxy credential``: kubectl's credential plugin.

A warm run (a token in the cache that holds long enough) ends here, on a few modules of the
standard library; everything that a sign-in needs is imported only for a sign-in. stdout carries
the ExecCredential and nothing else.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence

from kzproxy.client.device_files import DeviceFiles, read_device_files
from kzproxy.client.exec_credential import (
    EXEC_INFO_VARIABLE,
    Credential,
    ExecInfo,
    encode_credential,
    read_exec_info,
)
from kzproxy.client.failure import ClientFailure
from kzproxy.client.handed_out import PAUSE_SECONDS, handed_out_before
from kzproxy.client.held_session import HeldSession
from kzproxy.client.kept_key import fits_this_machine, key_in_use
from kzproxy.client.plugin_arguments import parse_arguments, plugin_help
from kzproxy.client.plugin_settings import PluginSettings
from kzproxy.client.standard_output import UNWRITTEN, unwritten
from kzproxy.client.token_cache import CacheEntry, TokenCache, cache_directory, cache_key

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Answer kubectl; return the exit code. A failure is one line on stderr."""
    try:
        is_help = any(argument in ("-h", "--help") for argument in arguments)
        sys.stdout.write(
            plugin_help() if is_help else _answer(parse_arguments(arguments), os.environ)
        )
        sys.stdout.flush()
    except ClientFailure as failure:
        from kzproxy.client.notices import visible

        sys.stderr.write(f"kzproxy: {visible(str(failure))}\n")
        return EXIT_FAILED
    except UNWRITTEN as error:
        line = unwritten(error)
        if not isinstance(error, BrokenPipeError):  # kubectl has gone
            sys.stderr.write(f"kzproxy: {line}\n")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _answer(settings: PluginSettings, environ: Mapping[str, str]) -> str:
    info = _exec_info(environ)
    settings = settings.for_server(_server(settings, info))
    device = None if settings.client.keeps_session else _device_files(settings)
    entry = _entry(settings, info, environ)
    if entry.session is not None:
        return _session_answer(settings, entry, entry.session, environ)
    now = _now()
    ends_at = entry.expires_at
    if device is not None:
        warning = device.warning(now)
        if warning and (info.interactive or device.ends_at <= now):
            sys.stderr.write(f"kzproxy: {warning}\n")
        # kubectl asks again at the first end, and so picks up a renewed certificate.
        ends_at = min(ends_at, device.ends_at)
    credential = Credential(
        token=entry.id_token,
        certificate=device.certificate if device else "",
        key=device.key if device else "",
        ends_at=ends_at,
    )
    return encode_credential(credential, now)


def _session_answer(
    settings: PluginSettings, entry: CacheEntry, session: HeldSession, environ: Mapping[str, str]
) -> str:
    cache = TokenCache(cache_directory(environ))
    credential = Credential(
        token=session.token,
        certificate=session.certificate,
        key=_key(settings, cache),
        ends_at=min(entry.expires_at, session.certificate_ends_at),
    )
    return encode_credential(credential, _now())


def _exec_info(environ: Mapping[str, str]) -> ExecInfo:
    text = environ.get(EXEC_INFO_VARIABLE, "")
    if text:
        return read_exec_info(text)
    if sys.stdout.isatty():
        raise ClientFailure(
            "this command is for kubectl and would print a token on your terminal;"
            " see `kzproxy login` and `kzproxy whoami`"
        )
    return ExecInfo()


def _server(settings: PluginSettings, info: ExecInfo) -> str:
    """Return the cluster of the credential: a token for one must not be sent to another."""
    if settings.server and info.server and settings.server != info.server:
        raise ClientFailure(
            f"this sign-in is for {settings.server}, but kubectl talks to {info.server};"
            " make a context for that one with `kzproxy kubeconfig`"
        )
    return settings.server or info.server


def _device_files(settings: PluginSettings) -> DeviceFiles | None:
    if not settings.device_certificate:
        return None
    return read_device_files(settings.device_certificate, settings.device_key)


def _entry(settings: PluginSettings, info: ExecInfo, environ: Mapping[str, str]) -> CacheEntry:
    cache = TokenCache(cache_directory(environ))
    key = cache_key(settings.client, settings.server)
    entry = cache.read(key)
    refused = ""
    if entry is not None and _now() < entry.refresh_at:
        if entry.session is None:
            return entry
        fits = fits_this_machine(cache, settings, entry.session)
        if not _seems_refused(cache, key, entry, entry.session) and fits:
            return entry
        refused = entry.bearer
    from kzproxy.client.sign_in import signed_in

    entry = signed_in(settings, cache, environ, interactive=info.interactive, refused=refused)
    if entry.session is not None:
        handed_out_before(cache, key, entry, os.getppid())
    return entry


def _key(settings: PluginSettings, cache: TokenCache) -> str:
    """Return the client's key, PEM; empty where somebody has removed it."""
    return key_in_use(cache, settings) or ""


def _seems_refused(cache: TokenCache, key: str, entry: CacheEntry, session: HeldSession) -> bool:
    again = handed_out_before(cache, key, entry, os.getppid())
    # A suspicion of a later time than now is of a clock that has been set back since.
    return again and not 0 <= _now() - session.suspected_at < PAUSE_SECONDS


def _now() -> float:
    return time.time()  # noqa: TID251 - kzproxy.clock imports typing: see plugin_settings
