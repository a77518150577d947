"""The tree of errors that a request can end in; each class is one kind of ``metav1.Status``.

ProxyError
    BadRequest              400  the request has no reading, or two
    HeadTooLarge            431
    Unauthenticated         401  no credential, or one that does not hold
        StepUpRequired      401  one that holds, of a sign-in that is too old or too weak
    Forbidden               403  a known subject was refused
    NotAcceptable           406  an answer that kzproxy gives in a format nobody asked for
    UnsupportedMediaType    415  a body that cannot be read as it must be
    NotServed               404  a route kzproxy does not forward
    MethodNotAllowed        405  of an endpoint of kzproxy's own
    Expired                 410  what was listed is so no longer: list again
    PayloadTooLarge         413
    ExpectationFailed       417
    TooManyRequests         429
    InternalError           500  a bug; the traceback is in the diagnostic log
    UpstreamInvalid         502  kube-apiserver answered something kzproxy must not relay
    ServiceUnavailable      503  kzproxy cannot do its job now
        Unrecorded      503  since the decision log cannot be written
        UpstreamUnreachable 503  since kube-apiserver cannot be reached
    UpstreamTimeout         504
DownstreamClosed            the client has gone; there is nobody to answer
"""

from typing import ClassVar


class ProxyError(Exception):
    """A request that ends here.

    Attributes:
        message: What the client may read. Never holds a credential.
        detail: For the diagnostic log only.
        retry_after_seconds: Sent as ``Retry-After``; client-go retries only where it is present.
    """

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(
        self, message: str, *, detail: str = "", retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class BadRequest(ProxyError):
    """The request cannot be read, or can be read in two ways."""

    code = 400
    reason = "BadRequest"


class HeadTooLarge(ProxyError):
    """The request head is over its bound."""

    code = 431
    reason = "RequestEntityTooLarge"


class Unauthenticated(ProxyError):
    """No credential was presented, or the one presented does not hold."""

    code = 401
    reason = "Unauthorized"


class StepUpRequired(Unauthenticated):
    """The credential holds; policy asks for a sign-in that is fresher or stronger (RFC 9470).

    401 and not 403: client-go asks its credential plugin again after a 401 alone, and the plugin
    can have the user sign in as is wanted; kubectl prints the message of either.

    Attributes:
        acr_values: Authentication context classes, the preferred one first.
        max_age_seconds: How long ago the sign-in may have been; None where it does not matter.
        command: What the user can do; it stands in the message too.
    """

    def __init__(
        self,
        message: str,
        *,
        acr_values: tuple[str, ...] = (),
        max_age_seconds: int | None = None,
        command: str = "",
    ) -> None:
        super().__init__(message)
        self.acr_values = acr_values
        self.max_age_seconds = max_age_seconds
        self.command = command


class Forbidden(ProxyError):
    """A known subject was refused."""

    code = 403
    reason = "Forbidden"


class NotServed(ProxyError):
    """A route that kzproxy does not forward."""

    code = 404
    reason = "NotFound"


class MethodNotAllowed(NotServed):
    """An endpoint of kzproxy's own that has no such method."""

    code = 405
    reason = "MethodNotAllowed"


class NotAcceptable(BadRequest):
    """The client does not take the only format that there is."""

    code = 406
    reason = "NotAcceptable"


class UnsupportedMediaType(BadRequest):
    """A body that must be read and is in no format that can be."""

    code = 415
    reason = "UnsupportedMediaType"


class Expired(ProxyError):
    """What was listed is no longer so; client-go lists again when it is told this in a watch."""

    code = 410
    reason = "Expired"


class PayloadTooLarge(ProxyError):
    """A body is over its bound."""

    code = 413
    reason = "RequestEntityTooLarge"


class ExpectationFailed(ProxyError):
    """An ``Expect`` other than 100-continue (RFC 9110 section 10.1.1)."""

    code = 417
    reason = "BadRequest"


class TooManyRequests(ProxyError):
    """A limit on requests or streams is used up."""

    code = 429
    reason = "TooManyRequests"


class InternalError(ProxyError):
    """A bug in kzproxy; the traceback is logged under the audit id."""


class UpstreamInvalid(ProxyError):
    """kube-apiserver answered something that must not be relayed."""

    code = 502
    reason = "BadGateway"


class ServiceUnavailable(ProxyError):
    """kzproxy cannot do its job now: no upstream, no decision log, no keys."""

    code = 503
    reason = "ServiceUnavailable"


class Unrecorded(ServiceUnavailable):
    """The decision log could not be written; it has counted what was refused for that."""


class UpstreamUnreachable(ServiceUnavailable):
    """kube-apiserver cannot be reached; nothing was sent to it."""


class UpstreamTimeout(ProxyError):
    """kube-apiserver did not answer in time."""

    code = 504
    reason = "Timeout"


class DownstreamClosed(Exception):
    """The client has gone. Not a ``ProxyError``: there is nobody to answer."""
