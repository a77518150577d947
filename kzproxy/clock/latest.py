"""The latest time that the clock has shown, and whether it has been set back since."""

from datetime import datetime, timedelta

# Less is how clocks are kept right, and prolongs or hides nothing that anybody would notice.
_SET_BACK = timedelta(seconds=1)


class LatestTime:
    """Remembers it."""

    def __init__(self, now: datetime) -> None:
        self._at = now

    def is_set_back(self, now: datetime) -> bool:
        """Whether ``now`` is before it, until ``begin_anew``; else it is the latest from now on."""
        self._at = max(self._at, now)
        return now < self._at - _SET_BACK

    def begin_anew(self, now: datetime) -> None:
        """Take ``now`` for the latest, once what rested on a later time has been seen to."""
        self._at = now
