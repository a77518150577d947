"""How much one provider may be asked: less, the less it answers.

One that is overloaded or coming back must not find all sessions of an organisation at its door. So
as long as it is silent it is asked one thing at a time, with growing pauses, and when it answers
again the rest follow.

Some fail about one person alone, for good: Dex says 500 of everybody whose account is gone. Those
must not hold the others up, so it is remembered about whom nothing was heard.
"""

from datetime import timedelta

from kzproxy.clock.system import Clock

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=15)
"""Well below the grace, so that what is back is noticed in time."""

MAX_UNANSWERED = 10_000
"""Sessions that are remembered; of the others it is not known that they alone fail."""

MAX_WISHED_PAUSE = timedelta(seconds=60)
"""Of what a provider itself asks for (``Retry-After``): it must not be able to silence itself."""


class ProviderPace:
    """Counts what is under way with one provider, and remembers whether it answers."""

    def __init__(self, at_once: int, clock: Clock) -> None:
        self._at_once = at_once
        self._clock = clock
        self._under_way = 0
        self._silences = 0
        self._ends = 0  # of questions, counted
        self._answered_at = 0
        self._unanswered: dict[str, int] = {}  # the last ones of these sessions; oldest first
        self._not_before = clock.monotonic()

    @property
    def is_silent(self) -> bool:
        """Whether the last that was heard of the provider is nothing."""
        return self._silences > 0

    def may_begin(self) -> bool:
        """Tell whether another question may begin now."""
        if self._silences:
            return self._under_way == 0 and self._clock.monotonic() >= self._not_before
        return self._under_way < self._at_once

    def begun(self) -> None:
        """Note that one has begun."""
        self._under_way += 1

    def rank(self, session: str) -> int:
        """Return how soon a session's turn is, the highest first; its use decides among equals.

        Whether a silent provider answers again is tried with those that it was not asked about,
        and then with those about whom it was asked the longest ago.
        """
        return -self._unanswered.get(session, 0) if self._silences else 0

    def answered(self, session: str = "") -> bool:
        """Note that one has ended with an answer, whatever it was; whether it had been silent."""
        self._under_way -= 1
        self._ends += 1
        self._answered_at = self._ends
        self._unanswered.pop(session, None)
        was_silent, self._silences = self._silences > 0, 0
        return was_silent

    def silent_about(self, session: str) -> bool:
        """Note that nothing was heard about a session; whether that says nothing of the provider.

        So it is where it has answered about others since nothing was last heard about this one.
        """
        self._ends += 1
        before = self._unanswered.pop(session, self._ends)
        self._unanswered[session] = self._ends
        if len(self._unanswered) > MAX_UNANSWERED:
            del self._unanswered[next(iter(self._unanswered))]
        return before < self._answered_at

    def silent(self, wished: timedelta | None = None) -> bool:
        """Note that one has ended without; whether it had answered before.

        Args:
            wished: The pause that the provider asks for.
        """
        self._under_way -= 1
        now = self._clock.monotonic()
        if self._silences and now < self._not_before:
            return False  # begun before the others ended, and tells nothing new
        pause = min(FIRST_PAUSE * 2 ** min(self._silences, 10), LONGEST_PAUSE)
        pause = max(pause, min(wished or timedelta(), MAX_WISHED_PAUSE))
        self._silences += 1
        self._not_before = now + pause.total_seconds()
        return self._silences == 1

    def ended(self) -> None:
        """Note that one has ended without the provider having been asked, or for another reason."""
        self._under_way -= 1
