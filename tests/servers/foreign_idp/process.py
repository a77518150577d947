"""Starts the foreign identity provider: npm's oidc-provider, which is nobody's but its own."""

import fcntl
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.proxy.json_lines import json_lines

HERE = Path(__file__).parent
START_TIMEOUT_SECONDS = 60
CLIENT_ID = "kzproxy"
CONFIDENTIAL_CLIENT_ID = "kzproxy-with-secret"
CONFIDENTIAL_CLIENT_SECRET = "a secret: with/odd+characters%"

USERS: Mapping[str, Mapping[str, object]] = {
    "alice": {
        "groups": ["developers"],
        "email": "alice@example.test",
        "email_verified": True,
    },
    "bob": {"groups": ["operators", "on,call"], "email": "bob@example.test"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignIdp:
    """A running provider.

    Attributes:
        issuer: ``https://localhost:PORT``.
        ca_file: The authority of its certificate.
        events_file: A JSON line for each request that it answered.
        process: What runs it.
    """

    issuer: str
    ca_file: Path
    events_file: Path
    process: subprocess.Popen[bytes]

    def events(self, route: str) -> list[dict[str, object]]:
        """Return what was asked at ``route`` (oidc-provider's name for it) so far."""
        events = json_lines(self.events_file) if self.events_file.exists() else []
        return [event for event in events if event.get("route") == route]

    def change_users(self, users: Mapping[str, Mapping[str, object]]) -> None:
        """Let exactly these people have accounts, of whom exactly this is said."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(users).encode() + b"\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line == b"{}\n":  # oidc-provider says other things there too
                return
        raise RuntimeError("the foreign IdP has ended")

    def trust(self) -> ssl.SSLContext:
        """Return a TLS context that trusts this provider."""
        return ssl.create_default_context(cafile=self.ca_file)


@contextmanager
def running_foreign_idp(
    directory: Path,
    *,
    certificate_file: Path,
    private_key_file: Path,
    ca_file: Path,
    users: Mapping[str, Mapping[str, object]] = USERS,
    id_token_seconds: int = 300,
    port: int = 0,
    redirect_uris: Sequence[str] = (),
    backchannel_logout_uri: str = "",
) -> Iterator[ForeignIdp]:
    """Run a provider for the block; it keeps its events in ``directory``.

    The certificate must hold for ``localhost``.
    """
    install()
    events_file = directory / "foreign-idp-events.jsonl"
    settings = {
        "certificateFile": str(certificate_file),
        "privateKeyFile": str(private_key_file),
        "port": port,
        "users": users,
        "idTokenSeconds": id_token_seconds,
        "eventsFile": str(events_file),
        "redirectURIs": list(redirect_uris),
        "backchannelLogoutUri": backchannel_logout_uri,
    }
    command = [node(), str(HERE / "server.mjs"), json.dumps(settings)]
    log_file = directory / "foreign-idp.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | {"NODE_EXTRA_CA_CERTS": str(ca_file)},
            start_new_session=True,  # Node takes no notice of a SIGHUP that it was to ignore.
        )
    assert process.stdin
    assert process.stdout
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the foreign IdP did not start:\n{log_file.read_text()}")
        yield ForeignIdp(
            issuer=json.loads(line)["issuer"],
            ca_file=ca_file,
            events_file=events_file,
            process=process,
        )
    finally:
        process.stdin.close()  # its sign to stop, also when this process is killed
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def node() -> str:
    """Return the path of node, which the tests need."""
    found = shutil.which("node")
    if found is None:
        raise RuntimeError("these tests need Node.js 18 or later (node and npm) on PATH")
    return found


def install() -> None:
    """Install what package-lock.json names, unless that has been done since it last changed."""
    with (HERE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs may start at a time
        if _is_installed():
            return
        command = [shutil.which("npm") or "npm", "ci", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=HERE, capture_output=True, text=True, timeout=300, check=False
        )
    if done.returncode:
        raise RuntimeError(f"`npm ci` in {HERE} failed:\n{done.stderr}")


def _is_installed() -> bool:
    mark = HERE / "node_modules" / ".package-lock.json"  # npm writes it last
    wanted = (HERE / "package-lock.json").stat().st_mtime
    return mark.exists() and mark.stat().st_mtime >= wanted
