"""How long to wait before what ended by itself is started again."""

_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 30.0
_PROVEN_SECONDS = 60.0


class BackOff:
    """Doubles from 1 s to 30 s; what has lived for a minute begins anew."""

    def __init__(self) -> None:
        self._next_seconds = _FIRST_SECONDS

    def after(self, lived_seconds: float) -> float:
        """Return how many seconds to wait after a life of so many."""
        if lived_seconds >= _PROVEN_SECONDS:
            self._next_seconds = _FIRST_SECONDS
        wait = self._next_seconds
        self._next_seconds = min(2 * wait, _LONGEST_SECONDS)
        return wait
