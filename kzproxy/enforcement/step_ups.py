"""Who is told that a session's user has to sign in again, more freshly or more strongly."""

from typing import Protocol

from kzproxy.policy.decision import Challenge


class StepUps(Protocol):
    """Sees to it that the next renewal of a session is answered with what is wanted."""

    def wanted(self, session_id: str, challenge: Challenge) -> None:
        """Note it of a session that kzproxy keeps; never waits, never raises.

        It may be told of again, and of what has been mended meanwhile: a request is judged by the
        token it came with.
        """
