"""Request headers that kzproxy refuses by name, and why each is refused and not dropped.

Everything that is not on the forwarding allow-list is dropped anyway. Two families are refused,
because dropping them would answer another question than the one the client asked:

* ``Impersonate-*``: ``kubectl --as`` asks to act as somebody else. Serving the request under the
  caller's own name would be a wrong answer to it. Refused by prefix, not by list: Kubernetes has
  added members before (``Impersonate-Uid``) and may again. A head that asks for it is given out in
  the refusal and in no other way, so that nothing can be done with it but to see who asked.
* An underscore in a name that kzproxy or kube-apiserver gives a meaning to. CGI-style servers
  behind ``*/proxy`` read ``X_Remote_User`` as ``X-Remote-User``, so that such a name has two
  readings (the class of oauth2-proxy's CVE-2025-64484).

``X-Remote-*``, ``X-Forwarded-*`` and the like in their own spelling are not refused: honest
intermediaries send them, and the allow-list never forwards them.
"""

from kzproxy.errors.kinds import BadRequest, Forbidden
from kzproxy.http.messages import RequestHead

_IMPERSONATION_PREFIX = "impersonate-"
# Spelt with hyphens; matched by prefix, for the same reason. Names of one word (Host, Cookie)
# have no spelling with an underscore, so they are not here.
_SENSITIVE_PREFIXES = (
    "audit-",
    "authorization-",
    "content-",
    "impersonate-",
    "keep-alive",
    "kubectl-",
    "proxy-",
    "sec-",
    "transfer-",
    "x-forwarded-",
    "x-http-method",
    "x-original-",
    "x-real-",
    "x-remote-",
    "x-stream-protocol",
)
# A refusal names the header; a name may be as long as a head.
_SHOWN_CHARACTERS = 64


class ImpersonationRefused(Forbidden):
    """The client asks to act as somebody else.

    Attributes:
        head: What it sent, of which the credential is still to be looked at: the refusal stands
            whoever it is, but the decision log should say who.
    """

    def __init__(self, name: str, head: RequestHead) -> None:
        super().__init__(
            f"header {name[:_SHOWN_CHARACTERS]!r} is refused: impersonation (kubectl --as) is "
            "not permitted through kzproxy"
        )
        self.head = head


def asks_to_impersonate(name: str) -> bool:
    """Whether a header of this lower-case name does."""
    return name.startswith(_IMPERSONATION_PREFIX)


def refuse_sensitive_name(name: str) -> None:
    """Return if a request may carry a header of this lower-case name.

    Raises:
        BadRequest: It is a sensitive name written with an underscore.
    """
    if "_" in name and name.replace("_", "-").startswith(_SENSITIVE_PREFIXES):
        raise BadRequest(
            f"header {name[:_SHOWN_CHARACTERS]!r} is refused: it can be read as "
            f"{name[:_SHOWN_CHARACTERS].replace('_', '-')!r}"
        )
