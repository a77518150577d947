"""Whom a security event is about: the subject identifiers of RFC 9493 and of Shared Signals.

In a complex subject what is not said is any, so what cannot be read must not be taken for not said
where that does harm: it is told apart.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypedDict

from kzproxy.administrator.signal import SignalSubject
from kzproxy.authentication.names import name_fault

USER, DEVICE, SESSION, TENANT = "user", "device", "session", "tenant"
MEMBERS = frozenset({USER, DEVICE, SESSION, TENANT})
"""Of a complex subject, those that kzproxy knows."""

_OTHER_MEMBERS = frozenset({"application", "org_unit", "group"})


class _Fields(TypedDict, total=False):
    issuer: str
    subject: str
    email: str
    idp_session: str
    device_id: str


class ReadSubject(NamedTuple):
    """A subject as far as it can be read.

    Attributes:
        subject: None where nothing of it can be.
        unread: The members of a complex subject that cannot be read.
    """

    subject: SignalSubject | None
    unread: frozenset[str] = frozenset()


def read_subject(said: Mapping[str, object], simple_role: str) -> ReadSubject:
    """Read a subject.

    Args:
        said: ``sub_id`` as it was sent.
        simple_role: What a subject is that is not complex.
    """
    if not _is_complex(said):
        fields = _member(simple_role, said)
        return ReadSubject(SignalSubject(**fields) if fields else None)
    fields, unread = _Fields(), set[str]()
    for role in sorted((MEMBERS | _OTHER_MEMBERS) & said.keys()):
        part = said[role]
        read = _member(role, part) if isinstance(part, Mapping) else _Fields()
        if role == TENANT:
            continue
        fields |= read
        if not read:
            unread.add(role)
    if fields:
        return ReadSubject(SignalSubject(**fields), frozenset(unread))
    if TENANT in said and not unread:
        return ReadSubject(SignalSubject(tenant=True))
    return ReadSubject(None, frozenset(unread))


def _is_complex(said: Mapping[str, object]) -> bool:
    kind = _format(said)
    # Drafts before 2021 had no format here.
    return kind == "complex" or (not kind and bool((MEMBERS | _OTHER_MEMBERS) & said.keys()))


def _format(said: Mapping[str, object]) -> str:
    # `subject_type` is what drafts, and Google's events still, call it.
    return _name(said.get("format", said.get("subject_type")))


def _member(role: str, said: Mapping[str, object]) -> _Fields:
    """Return the fields of a ``SignalSubject`` that a simple subject gives."""
    match role:
        case "user":
            return _user(said)
        case "device":
            device = _opaque(said) or _name(said.get("sub"))
            return {"device_id": device} if device else {}
        case "session":
            return {"idp_session": _opaque(said)} if _opaque(said) else {}
        case _:
            return {}


def _user(said: Mapping[str, object]) -> _Fields:
    match _format(said).replace("-", "_"):
        case "iss_sub":
            issuer, subject = _name(said.get("iss")), _name(said.get("sub"))
            return {"issuer": issuer, "subject": subject} if issuer and subject else {}
        case "email":
            return _email(_name(said.get("email")))
        case "account":
            scheme, _, address = _name(said.get("uri")).partition(":")
            return _email(address) if scheme.lower() == "acct" else {}
        case "opaque":
            return {"subject": _opaque(said)} if _opaque(said) else {}
        case "aliases":
            return _first_alias(said.get("identifiers"))
        case _:
            return {}


def _first_alias(listed: object) -> _Fields:
    """Return the one that says most of several names of one person."""
    if not isinstance(listed, list):
        return {}
    # Not aliases of aliases, which RFC 9493 section 3.2.8 forbids.
    simple = [one for one in listed if isinstance(one, Mapping) and _format(one) != "aliases"]
    read: list[_Fields] = [fields for one in simple if (fields := _user(one))]
    return next((one for one in read if "issuer" in one), read[0] if read else _Fields())


def _opaque(said: Mapping[str, object]) -> str:
    return _name(said.get("id")) if _format(said) == "opaque" else ""


def _email(address: str) -> _Fields:
    # Who owns a@b@c depends on the reader.
    return {"email": address} if address.count("@") == 1 else {}


def _name(value: object) -> str:
    return value if isinstance(value, str) and not name_fault(value) else ""
