"""SPIFFE IDs, and which workload of a cluster an identity stands for."""

import re

import msgspec

from kzproxy.attributes.identity import Identity

SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

MAX_SPIFFE_ID_BYTES = 2048  # SPIFFE-ID.md section 2.3

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")


class SpiffeId(msgspec.Struct, frozen=True, kw_only=True):
    """A SPIFFE ID (github.com/spiffe/spiffe, standards/SPIFFE-ID.md section 2).

    Attributes:
        trust_domain: Who vouches, such as ``example.org``.
        segments: Of the path; empty where the ID is that of the trust domain itself.
    """

    trust_domain: str
    segments: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "SpiffeId":
        """Read an ID in its one spelling: lower-case scheme and domain, no escapes, no ``..``.

        Raises:
            ValueError: It is none.
        """
        scheme, separator, rest = text.partition("://")
        if scheme != "spiffe" or not separator or len(text) > MAX_SPIFFE_ID_BYTES:
            raise ValueError("a SPIFFE ID begins with spiffe:// and has at most 2048 bytes")
        domain, *segments = rest.split("/")
        if not _TRUST_DOMAIN.fullmatch(domain):
            raise ValueError("the trust domain of a SPIFFE ID has letters a-z, digits and . _ -")
        if not all(_SEGMENT.fullmatch(s) and s not in (".", "..") for s in segments):
            raise ValueError("a segment of a SPIFFE ID has letters, digits and . _ -")
        return cls(trust_domain=domain, segments=tuple(segments))


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What an identity says of the workload that calls; empty texts where it says nothing.

    Attributes:
        spiffe_id: As an issuer's mapping gives it.
        trust_domain: Of it.
        namespace: Of the ServiceAccount.
        service_account: Its name.
    """

    spiffe_id: str = ""
    trust_domain: str = ""
    namespace: str = ""
    service_account: str = ""


def workload_of(identity: Identity) -> Workload:
    """Say what an identity says of a workload.

    The ServiceAccount is that of the user name ``system:serviceaccount:NS:NAME``, or else that of
    a SPIFFE ID whose path is ``/ns/NS/sa/NAME``, as Istio and SPIRE write it.
    """
    spiffe_id = identity.spiffe_id
    read = SpiffeId.parse(spiffe_id) if spiffe_id else None
    namespace, name = _service_account(identity.username, read)
    return Workload(
        spiffe_id=spiffe_id,
        trust_domain=read.trust_domain if read else "",
        namespace=namespace,
        service_account=name,
    )


def _service_account(username: str, spiffe_id: SpiffeId | None) -> tuple[str, str]:
    if username.startswith(SERVICE_ACCOUNT_PREFIX):
        namespace, _, name = username.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
        return namespace, name
    match spiffe_id.segments if spiffe_id else ():
        case ("ns", namespace, "sa", name):
            return namespace, name
        case _:
            return "", ""
