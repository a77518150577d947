"""Tell a client no, in Kubernetes' own words."""

import contextlib

from kzproxy.administrator.step_up_required import step_up_required
from kzproxy.attributes.attributes import Attributes
from kzproxy.audit.schema import Termination
from kzproxy.enforcement.case import Case
from kzproxy.errors.bearer_challenge import bearer_challenge
from kzproxy.errors.kinds import (
    DownstreamClosed,
    Forbidden,
    InternalError,
    ProxyError,
    StepUpRequired,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from kzproxy.errors.status import status_body
from kzproxy.http.messages import Length, ResponseBody, ResponseHead, Unsent
from kzproxy.policy.decision import Cause, Challenge, Deny, NotPermitted
from kzproxy.transport.exchange import Exchange

_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    410: "Gone",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def denial(decision: Deny | Challenge) -> Forbidden | StepUpRequired:
    """Return the error: kube-apiserver's sentence, then why and what would help."""
    message = f"{what_was_asked(decision.attributes)}: {why_denied(decision)}"
    if isinstance(decision, Challenge):
        return step_up_required(decision, message)
    return Forbidden(message)


def what_was_asked(attributes: Attributes) -> str:
    """Say who cannot do what, as apiserver's responsewriters/errors.go words it."""
    info, user = attributes.request, attributes.subject.username
    if not info.is_resource:
        return f'User "{user}" cannot {info.verb} path "{info.path}"'
    sentence = (
        f'User "{user}" cannot {info.verb} resource "{info.qualified_resource}"'
        f' in API group "{info.api_group}"'
    )
    if info.namespace:
        return f'{sentence} in the namespace "{info.namespace}"'
    return f"{sentence} at the cluster scope"


def why_denied(deny: NotPermitted) -> str:
    """Say it with the engine's hint, which names the rule."""
    match deny.cause:
        case Cause.NO_RULE if deny.hint:
            return f"no kzproxy rule allows it as things are; {deny.hint}"
        case Cause.NO_RULE:
            return "no kzproxy rule allows it"
        case Cause.OBLIGATION:
            return f"kzproxy asks for more first; {deny.hint}"
        case Cause.SIGN_IN:
            return f"kzproxy asks for a sign-in that is fresher or stronger; {deny.hint}"
        case Cause.DENY_RULE:
            return f"kzproxy {deny.hint or f'rule {deny.rule} denies this'}"
        case Cause.RULE_ERROR:
            return f"kzproxy rule {deny.rule} could not be judged, and so denies this"


def ended_by(error: ProxyError, *, is_sent_on: bool) -> Termination:
    """Say whose doing it is that a request is answered with ``error``.

    Args:
        error: What is answered.
        is_sent_on: Whether the request is one for kube-apiserver, and permitted.
    """
    match error:
        case InternalError():
            return Termination.ERROR
        case UpstreamTimeout() if is_sent_on:
            return Termination.UPSTREAM_TIMEOUT
        case UpstreamInvalid() | UpstreamUnreachable() if is_sent_on:
            return Termination.UPSTREAM_REFUSED
        case _:
            return Termination.REFUSED


async def refuse(exchange: Exchange, error: ProxyError, case: Case) -> None:
    """Answer with a Status; where an answer has begun, cut it so that it cannot look complete."""
    if exchange.started:
        exchange.break_off()
        return
    case.status_code = error.code
    body = status_body(error, case.audit_id)
    headers = [
        ("audit-id", case.audit_id),
        ("cache-control", "no-cache, private"),
        ("content-type", "application/json"),
    ]
    if isinstance(error, StepUpRequired):
        headers.append(("www-authenticate", bearer_challenge(error)))
    if error.retry_after_seconds is not None:
        headers.append(("retry-after", str(error.retry_after_seconds)))
    framing: ResponseBody = Length(len(body))
    if case.request is not None and case.request.method == "HEAD":
        framing, body = Unsent(len(body)), b""
    head = ResponseHead(
        status=error.code,
        reason=_PHRASES.get(error.code, "Error"),
        headers=tuple(headers),
        body=framing,
    )
    with contextlib.suppress(DownstreamClosed, TimeoutError):
        await exchange.respond(head, body)
