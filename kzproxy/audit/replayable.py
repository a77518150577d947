"""From a record of a decision back to the attributes that it was taken on.

A record is made safe to keep: texts are cut and made visible, contents of commands left out. What
cannot be told any more is said, never guessed.
"""

from ipaddress import ip_address

from kzproxy.attributes.api_object import ApiObject, Labels
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.audit.recorded_device import device_of, texts_of
from kzproxy.audit.recorded_facts import api_object_of, namespace_labels_of
from kzproxy.audit.schema import (
    Cause,
    DecisionRecord,
    Device,
    Namespace,
    ObjectFacts,
    Request,
    User,
    Verdict,
)
from kzproxy.audit.visible import MASK, is_whole
from kzproxy.errors.kinds import ProxyError
from kzproxy.policy.decision import Decision, Dependency

_NOT_IN_A_RECORD = {
    Dependency.OBJECT: "what the object of the request was like is not in the log",
    Dependency.NAMESPACE: "the labels of the namespace are not in the log",
}
# What a deletion's body asks for is not in the log either.
_WITH_OPTIONS_IN_THE_BODY = frozenset({"delete", "deletecollection"})


class NotReplayable(Exception):
    """Why a record does not say enough."""


def attributes_of(record: DecisionRecord) -> Attributes:
    """Return what was judged.

    Raises:
        NotReplayable: The record does not hold all of it.
    """
    if record.decision is Verdict.REFUSED or record.user is None or record.device is None:
        raise NotReplayable("refused before policy")
    if record.cause is Cause.OWN_ENDPOINT:
        raise NotReplayable("kzproxy's own endpoint answered it, and policy was not asked")
    return Attributes(
        subject=_identity(record.user),
        device=_device(record.device),
        request=_request(record.request),
        environment=Environment(
            received_at=record.received_at,
            source_address=ip_address(record.source.address),
            country=record.source.country,
            asn=record.source.asn,
            sign_in_country=record.source.sign_in_country,
            seen_country=record.source.seen_country,
            user_agent=record.request.user_agent,
            reason=record.reason,
        ),
        namespace_labels=_namespace_labels(record.namespace),
        api_object=_api_object(record.object),
    )


def check_replayed(
    record: DecisionRecord,
    decision: Decision,
    *,
    given: frozenset[Dependency] = frozenset(),
) -> None:
    """Refuse a decision that rests on what the record does not hold, nor was ``given`` besides.

    Raises:
        NotReplayable: It does.
    """
    for dependency, why in _NOT_IN_A_RECORD.items():
        # Where the decision that was taken rested on it too, it stands there, or was not known.
        if dependency in decision.depends_on - given - {*record.depends_on}:
            raise NotReplayable(why)
    source = record.source
    was_looked_up = source.country or source.asn or Dependency.LOCATION in record.depends_on
    if Dependency.LOCATION in decision.depends_on - given and not was_looked_up:
        raise NotReplayable("what country the address was in is not in the log")
    asked = record.request
    is_partial = MASK in asked.target or asked.verb in _WITH_OPTIONS_IN_THE_BODY
    if Dependency.REQUEST in decision.depends_on and is_partial:
        raise NotReplayable("what the request carries beside its target is not in the log")
    was_asked = record.reason or Dependency.REASON in record.depends_on
    if Dependency.REASON in decision.depends_on and not was_asked:
        raise NotReplayable("whether the user had given a reason is not in the log")


def _identity(user: User) -> Identity:
    if user.groups_omitted:
        raise NotReplayable("groups were left out of the record")
    values = [value for values in user.extra.values() for value in values]
    _require_whole(user.name, user.uid, user.issuer, user.subject, *user.groups, *values)
    return Identity(
        username=user.name,
        groups=user.groups,
        uid=user.uid,
        extra=tuple(sorted(user.extra.items())),
        method=user.method,
        issuer=user.issuer,
        subject=user.subject,
        expires_at=user.expires_at,
        confirmation=user.confirmation,
        authenticated_at=user.authenticated_at,
        authentication_class=user.authentication_class,
        authentication_methods=user.authentication_methods,
        issued_at=user.issued_at,
        session_began_at=user.session_began_at,
        signed_in_from=user.signed_in_from,
        seen_from=user.seen_from,
        risk=user.risk,
    )


def _device(device: Device) -> DevicePosture:
    if device.checks_omitted:
        raise NotReplayable("checks of the device were left out of the record")
    _require_whole(*texts_of(device))
    return device_of(device)


def _namespace_labels(part: Namespace | None) -> Labels | None:
    if part is not None:
        if part.labels_omitted:
            raise NotReplayable("labels of the namespace were left out of the record")
        _require_whole(*part.labels, *part.labels.values())
    return namespace_labels_of(part)


def _api_object(part: ObjectFacts | None) -> ApiObject | None:
    if part is not None:
        if part.labels_omitted or part.images_omitted:
            raise NotReplayable("labels or images of the object were left out of the record")
        texts = (*part.labels, *part.labels.values(), part.service_account, *part.images)
        _require_whole(*texts)
    return api_object_of(part)


def _request(asked: Request) -> RequestInfo:
    _require_whole(asked.target, asked.path, asked.user_agent)
    try:
        info = RequestInfo.parse(asked.method, asked.target)
    except ProxyError as error:
        raise NotReplayable("its target cannot be read any more") from error
    found = (info.verb, info.api_group, info.resource, info.subresource, info.namespace, info.name)
    logged = (
        asked.verb,
        asked.group,
        asked.resource,
        asked.subresource,
        asked.namespace,
        asked.name,
    )
    if found != logged:
        raise NotReplayable("its target is read otherwise now")
    return info


def _require_whole(*texts: str) -> None:
    if not all(is_whole(text) for text in texts):
        raise NotReplayable("a text was cut or made visible")
