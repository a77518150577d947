"""kzproxy's own account from a kubeconfig (client-go tools/clientcmd/api/v1/types.go).

Only what can be honoured is taken: a plugin, a user name with password and unverified TLS are
refused, since kzproxy would do something else than the file says.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.sources import Sources
from kzproxy.upstream.account import UpstreamSettings

_REFUSED_OF_USERS = (
    "exec",
    "auth-provider",
    "username",
    "password",
    "as",
    "as-groups",
    "as-uid",
    "as-user-extra",
)
_REFUSED_OF_CLUSTERS = ("insecure-skip-tls-verify", "proxy-url")


class _Unusable(Exception):
    """Why a kubeconfig does not serve, in words for the operator."""


def upstream_from_kubeconfig(
    path: Path, context: str, mistakes: Mistakes
) -> UpstreamSettings | None:
    """Return the account that ``context`` names; empty for the file's current context.

    None where there is none; then ``mistakes`` says why.
    """
    before = len(mistakes)
    content = read_document(path, mistakes).raw()
    if len(mistakes) > before:
        return None
    try:
        return _Kubeconfig(path, content, mistakes.sources).account(context)
    except _Unusable as why:
        mistakes.report(str(path), str(why))
        return None


class _Kubeconfig:
    def __init__(self, path: Path, content: object, sources: Sources) -> None:
        if not isinstance(content, dict):
            raise _Unusable("is not a kubeconfig")
        self._base = path.parent
        self._sources = sources
        self._content: dict[str, object] = content

    def account(self, name: str) -> UpstreamSettings:
        wanted = name or self._text(self._content, "current-context")
        if not wanted:
            raise _Unusable("has no current-context; name one with `context`")
        context = self._entry("contexts", "context", wanted)
        cluster = self._entry("clusters", "cluster", self._text(context, "cluster"))
        user = self._entry("users", "user", self._text(context, "user"))
        self._refuse("cluster", cluster, _REFUSED_OF_CLUSTERS)
        self._refuse("user", user, _REFUSED_OF_USERS)
        return self._settings(cluster, user)

    def _settings(
        self, cluster: Mapping[str, object], user: Mapping[str, object]
    ) -> UpstreamSettings:
        try:
            host, port = https_address(self._text(cluster, "server"))
        except ValueError as error:
            raise _Unusable(f"server: {error}") from error
        certificate = self._pem(user, "client-certificate")
        key = self._pem(user, "client-key")
        token, token_file = self._text(user, "token"), self._text(user, "tokenFile")
        if bool(certificate) != bool(key) or not (certificate or token or token_file):
            raise _Unusable("its user has neither a token nor a client certificate with its key")
        return UpstreamSettings(
            host=host,
            port=port,
            server_name=self._text(cluster, "tls-server-name") or host,
            authority_pem=self._pem(cluster, "certificate-authority"),
            # As in client-go, the file wins over the token in line: it is the fresh one.
            token="" if token_file else token,
            token_file=self._base / token_file if token_file else None,
            client_pem=f"{certificate}\n{key}" if certificate else "",
        )

    def _entry(self, kind: str, field: str, name: str) -> Mapping[str, object]:
        entries = self._content.get(kind)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and entry.get("name") == name:
                value = entry.get(field)
                if isinstance(value, dict):
                    return value
        raise _Unusable(f"has no {field} named {name!r}")

    def _refuse(self, what: str, entry: Mapping[str, object], names: tuple[str, ...]) -> None:
        for name in names:
            if entry.get(name):
                raise _Unusable(f"its {what} uses {name}, which kzproxy does not honour")

    def _text(self, entry: Mapping[str, object], name: str) -> str:
        value = entry.get(name, "")
        if value is None:
            return ""
        if not isinstance(value, str):
            raise _Unusable(f"{name} must be a string")
        return value

    def _pem(self, entry: Mapping[str, object], name: str) -> str:
        """Return a PEM text given in line as ``name``-data or in a file."""
        data, file = self._text(entry, f"{name}-data"), self._text(entry, name)
        try:
            if data:
                return base64.b64decode(data, validate=True).decode("ascii")
            return self._read(self._base / file) if file else ""
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _Unusable(f"{name} is not PEM") from error
        except OSError as error:
            raise _Unusable(f"{name}: {file} cannot be read: {error.strerror}") from error

    def _read(self, path: Path) -> str:
        self._sources.look_at(path)
        return path.read_text(encoding="ascii")


def https_address(text: str) -> tuple[str, int]:
    """Return host and port of an https URL without path.

    Raises:
        ValueError: It is something else; says what.
    """
    url = urlsplit(text)
    host, port = url.hostname, url.port or 443
    if url.scheme != "https" or not host or url.path.strip("/") or url.query or url.username:
        raise ValueError(f"{text!r} must be https://HOST[:PORT]")
    return host, port
