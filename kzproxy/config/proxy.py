"""``ProxyConfiguration``: the one file that ``kzproxy serve`` is given."""

import ssl
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import field

from kzproxy.administrator.reasons import ReasonSettings
from kzproxy.administrator.session import SessionSettings
from kzproxy.audit.decision_log import DecisionLogSettings
from kzproxy.audit.rotation import Rotation
from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.addresses import Address, read_address
from kzproxy.config.authentication import load_authentication
from kzproxy.config.devices import DeviceSettings, load_devices
from kzproxy.config.document import Mistakes, Node, read_document
from kzproxy.config.files import directory_fault, file_fault, named_file
from kzproxy.config.limits import Limits, load_limits
from kzproxy.config.location import (
    ClientAddress,
    load_client_address,
    load_location,
    refuse_to_ask_for_unknown_places,
)
from kzproxy.config.posture import load_posture
from kzproxy.config.reserved_names import with_reserved_names
from kzproxy.config.sessions import load_sessions
from kzproxy.config.sources import Sources
from kzproxy.config.store import StoreSettings, load_store
from kzproxy.config.upstream import load_upstream
from kzproxy.location.settings import LocationSettings
from kzproxy.policy.rules import AccessPolicySet
from kzproxy.posture.settings import PostureSettings
from kzproxy.transport.tls import ListenerTls
from kzproxy.upstream.account import UpstreamSettings

if TYPE_CHECKING:  # each is for those who configure it
    from kzproxy.config.sign_in import SignInSettings
    from kzproxy.config.signals import SignalSettings

API_VERSION = "kzproxy.dev/v1"
KIND = "ProxyConfiguration"
_TLS_VERSIONS = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}
_DEFAULT_DRAIN_SECONDS = 30
_MAX_DRAIN_SECONDS = 3600
_DEFAULT_REASON_SECONDS = 8 * 3600
_MAX_REASON_SECONDS = 7 * 24 * 3600
_MEBIBYTE = 1024 * 1024
_SIGNALS_NEED = {
    "store": "what signals say is kept there",
    "signIn": "they are taken on its listener",
}
_MAX_LOG_MEBIBYTES = 1024 * 1024
_MAX_KEPT_LOGS = 10_000


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything ``kzproxy serve`` runs by.

    Attributes:
        listen: The API listener.
        client_address: Who says what a client's address is.
        tls: What it shows, and whose device certificates it believes.
        devices: Who they are, and how a machine becomes one.
        posture: How their state is judged, and whose word is asked for.
        ops: The listener for health and metrics, plain HTTP; None for none.
        upstream: kube-apiserver and our account there.
        send_uid: Whether ``Impersonate-Uid`` is sent.
        send_decision_id: Whether each decision's id is sent as an extra.
        issuers: Whose tokens are believed.
        policy: The rules.
        policy_files: That they were read from.
        shadow_policy: Rules that are asked too, and change nothing; None where there are none.
        decision_log: Where decisions are written down.
        reasons: Where users' reasons are kept; None: none are taken.
        location: What says where addresses are; None: nothing does.
        store: Where sessions and devices are kept; None: none are.
        sessions: How long they hold.
        signals: Who may say that something about users and devices has changed; None: nobody.
        sign_in: How people sign in at kzproxy; None: they do not.
        limits: How much is taken at a time, and how long anybody is waited for.
        drain: How long requests under way may take after SIGTERM.
    """

    listen: Address
    client_address: ClientAddress
    tls: ListenerTls
    devices: DeviceSettings = field(default_factory=DeviceSettings)
    posture: PostureSettings = field(default_factory=PostureSettings)
    ops: Address | None
    upstream: UpstreamSettings
    send_uid: bool
    send_decision_id: bool
    issuers: tuple[JwtIssuerSettings, ...]
    policy: AccessPolicySet
    policy_files: tuple[Path, ...]
    shadow_policy: AccessPolicySet | None = None
    decision_log: DecisionLogSettings
    reasons: ReasonSettings | None
    location: LocationSettings | None = None
    store: StoreSettings | None = None
    sessions: SessionSettings = field(default_factory=SessionSettings)
    signals: "SignalSettings | None" = None
    sign_in: "SignInSettings | None" = None
    limits: Limits
    drain: timedelta


def load_proxy_settings(path: Path, sources: Sources | None = None) -> ProxySettings:
    """Read ``path`` and the files it names, relative to it.

    Args:
        path: The ProxyConfiguration.
        sources: Where the files that were looked at are noted, in every case.

    Raises:
        ConfigurationError: With every mistake in all of them.
    """
    mistakes = Mistakes(sources)
    settings = _Loader(path.parent, mistakes).load(read_document(path, mistakes))
    mistakes.raise_if_any()
    return settings


class _Loader:
    def __init__(self, base: Path, mistakes: Mistakes) -> None:
        self._base = base
        self._mistakes = mistakes

    def load(self, document: Node) -> ProxySettings:
        fields = document.mapping(
            required=(
                "apiVersion",
                "kind",
                "listen",
                "upstream",
                "authenticationFile",
                "policyFiles",
                "decisionLog",
            ),
            optional=(
                "devices",
                "ops",
                "limits",
                "posture",
                "location",
                "reasons",
                "drainTimeoutSeconds",
                "reservedNames",
                "sessions",
                "shadowPolicyFiles",
                "signals",
                "signIn",
                "store",
            ),
        )
        fields["apiVersion"].choice((API_VERSION,))
        fields["kind"].choice((KIND,))
        devices = load_devices(
            fields.get("devices"),
            self._base,
            has_store="store" in fields,
            has_sign_in="signIn" in fields,
        )
        address, tls, client_address = self._listen(fields["listen"], devices)
        upstream = load_upstream(fields["upstream"], self._base, self._mistakes)
        policy_files = self._policy_files(fields["policyFiles"])
        policy = self._policy(policy_files)
        issuers = with_reserved_names(
            self._issuers(fields["authenticationFile"]), fields.get("reservedNames")
        )
        if "reasons" not in fields:
            _refuse_to_ask_in_vain(policy, fields["policyFiles"])
        location = load_location(fields.get("location"), self._base)
        refuse_to_ask_for_unknown_places(policy, location, fields["policyFiles"])
        return ProxySettings(
            listen=address,
            client_address=client_address,
            tls=tls,
            devices=devices,
            posture=load_posture(fields.get("posture"), self._base, has_store="store" in fields),
            ops=self._ops(fields["ops"]) if "ops" in fields else None,
            upstream=upstream.settings,
            send_uid=upstream.send_uid,
            send_decision_id=upstream.send_decision_id,
            issuers=issuers,
            policy=policy,
            policy_files=policy_files,
            shadow_policy=self._policy(self._policy_files(fields["shadowPolicyFiles"]))
            if "shadowPolicyFiles" in fields
            else None,
            decision_log=self._decision_log(fields["decisionLog"]),
            reasons=self._reasons(fields["reasons"]) if "reasons" in fields else None,
            location=location,
            store=load_store(fields["store"], self._base) if "store" in fields else None,
            sessions=load_sessions(fields.get("sessions"), has_sign_in="signIn" in fields),
            signals=self._signals(fields, issuers),
            sign_in=self._sign_in(fields, issuers, tls, address) if "signIn" in fields else None,
            limits=load_limits(fields.get("limits")),
            drain=self._drain(fields.get("drainTimeoutSeconds")),
        )

    def _listen(
        self, node: Node, devices: DeviceSettings
    ) -> tuple[Address, ListenerTls, ClientAddress]:
        fields = node.mapping(
            required=("address", "certificateFile", "privateKeyFile"),
            optional=("minimumTLSVersion", "clientAddress"),
        )
        version = "1.3"
        if "minimumTLSVersion" in fields:
            version = fields["minimumTLSVersion"].choice(tuple(_TLS_VERSIONS)) or version
        tls = ListenerTls(
            certificate_file=named_file(fields["certificateFile"], self._base),
            private_key_file=named_file(fields["privateKeyFile"], self._base),
            device_authority_file=devices.authority_file,
            managed_authority_file=devices.managed_authority_file,
            minimum_version=_TLS_VERSIONS[version],
        )
        return (
            read_address(fields["address"]),
            tls,
            load_client_address(fields.get("clientAddress")),
        )

    def _ops(self, node: Node) -> Address:
        return read_address(node.mapping(required=("address",))["address"])

    def _issuers(self, node: Node) -> tuple[JwtIssuerSettings, ...]:
        path = named_file(node, self._base)
        return () if file_fault(path) else load_authentication(path, self._mistakes)

    def _policy_files(self, node: Node) -> tuple[Path, ...]:
        paths = tuple(named_file(item, self._base) for item in node.sequence())
        if not paths:
            node.mistake("must name at least one file; `rules: []` in it denies everything")
        return paths

    def _policy(self, paths: tuple[Path, ...]) -> AccessPolicySet:
        there = [path for path in paths if not file_fault(path)]
        return load_access_policies(there, self._mistakes)

    def _decision_log(self, node: Node) -> DecisionLogSettings:
        fields = node.mapping(optional=("file", "stdout", "rotation"))
        file = self._base / fields["file"].string() if "file" in fields else None
        stdout = fields["stdout"].boolean() if "stdout" in fields else False
        if file is None and not stdout:
            node.mistake("set file, or stdout: true, or both: without a log nothing is permitted")
        rotation = self._rotation(fields["rotation"]) if "rotation" in fields else None
        if rotation is not None and file is None:
            node.mistake("rotation needs a file")
        return DecisionLogSettings(file=file, stdout=stdout, rotation=rotation)

    def _rotation(self, node: Node) -> Rotation:
        fields = node.mapping(required=("atMebibytes", "keep"))
        return Rotation(
            at_bytes=fields["atMebibytes"].integer(1, _MAX_LOG_MEBIBYTES) * _MEBIBYTE,
            keep=fields["keep"].integer(1, _MAX_KEPT_LOGS),
        )

    def _reasons(self, node: Node) -> ReasonSettings:
        fields = node.mapping(required=("directory",), optional=("maximumSeconds",))
        seconds = _DEFAULT_REASON_SECONDS
        if "maximumSeconds" in fields:
            seconds = fields["maximumSeconds"].integer(60, _MAX_REASON_SECONDS)
        directory = self._base / fields["directory"].string()
        if fault := directory_fault(directory.parent):
            fields["directory"].mistake(f"{directory.parent} {fault}")
        return ReasonSettings(directory=directory, maximum=timedelta(seconds=seconds))

    def _signals(
        self, fields: dict[str, Node], issuers: tuple[JwtIssuerSettings, ...]
    ) -> "SignalSettings | None":
        if "signals" not in fields:
            return None
        from kzproxy.config.signals import load_signals  # for those who listen to any

        for name in ("store", "signIn"):
            if name not in fields:
                fields["signals"].mistake(f"needs {name}: {_SIGNALS_NEED[name]}")
        return load_signals(fields["signals"], self._base, issuers)

    def _sign_in(
        self,
        fields: dict[str, Node],
        issuers: tuple[JwtIssuerSettings, ...],
        tls: ListenerTls,
        listen: Address,
    ) -> "SignInSettings":
        from kzproxy.config.sign_in import load_sign_in  # for those who sign people in

        if "store" not in fields:
            fields["signIn"].mistake("needs store, where sessions are kept")
        settings = load_sign_in(fields["signIn"], issuers, self._base, tls)
        if settings.address.port and settings.address == listen:
            # Workers share a port, and would share this one in silence.
            fields["signIn"].mistake("needs an address of its own, and not that of listen")
        return settings

    def _drain(self, node: Node | None) -> timedelta:
        seconds = _DEFAULT_DRAIN_SECONDS if node is None else node.integer(1, _MAX_DRAIN_SECONDS)
        return timedelta(seconds=seconds)


def _refuse_to_ask_in_vain(policy: AccessPolicySet, policy_files: Node) -> None:
    asking = next((rule.id for rule in policy.rules if rule.obligations.reason), None)
    if asking is not None:
        policy_files.mistake(
            f"rule {asking} asks users for a reason, which nobody can give:"
            " set reasons.directory, where reasons are kept"
        )
