"""Conditions on the session that a request is made in."""

# ruff: noqa: D102 - what the methods do is said of Condition

from datetime import datetime, timedelta

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.condition import Timeless
from kzproxy.policy.decision import Dependency
from kzproxy.policy.device_features import is_within_risk
from kzproxy.policy.sign_in import duration_words, turn, within
from kzproxy.policy.view import RequestView

_AUTHENTICATION = frozenset({Dependency.AUTHENTICATION})


class OfSession:
    """The session began at most so long ago."""

    name = "session"
    about = Dependency.AUTHENTICATION
    depends_on = _AUTHENTICATION | {Dependency.TIME}

    def __init__(self, max_age: timedelta) -> None:
        self.max_age = max_age

    def value(self, view: RequestView) -> bool | None:
        return within(view, session_start(view.attributes), self.max_age)

    def turns_at(self, view: RequestView) -> datetime | None:
        return turn(view, session_start(view.attributes), self.max_age)

    def asked(self) -> str:
        return f"a session of at most {duration_words(self.max_age)}"

    def found(self, view: RequestView) -> str:
        since = session_start(view.attributes)
        if since is None:
            return "nobody says when yours began"
        age = view.attributes.environment.received_at - since
        return f"yours began {duration_words(age)} ago; sign in again with `kzproxy login`"


class InSession(Timeless):
    """kzproxy keeps a session: the credential is no token that an issuer gave to the client."""

    name = "session"
    about = Dependency.AUTHENTICATION
    depends_on = _AUTHENTICATION

    def value(self, view: RequestView) -> bool:
        return view.attributes.subject.is_session

    def asked(self) -> str:
        return "a session that kzproxy keeps"

    def found(self, view: RequestView) -> str:  # noqa: ARG002
        return (
            "you came with a token of your issuer; use a kubeconfig made by `kzproxy kubeconfig`"
            " that signs in at kzproxy"
        )


class SessionAtRisk(Timeless):
    """The risk of the session is known, and not above a level."""

    name = "session"
    about = Dependency.AUTHENTICATION
    depends_on = _AUTHENTICATION

    def __init__(self, most: str) -> None:
        self._most = most

    def value(self, view: RequestView) -> bool | None:
        return is_within_risk(view.attributes.subject.risk, self._most)

    def asked(self) -> str:
        return f"a session of risk {self._most} at most"

    def found(self, view: RequestView) -> str:
        return f"that of yours is {view.attributes.subject.risk or 'not known'}"


def session_start(attributes: Attributes) -> datetime | None:
    """Return since when the session lasts, as far as anybody says."""
    subject = attributes.subject
    return subject.session_began_at or subject.authenticated_at or subject.issued_at
