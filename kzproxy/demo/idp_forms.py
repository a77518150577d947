"""Read the parameters of OAuth requests: each at most once, none too long, empty ones as absent."""

from collections.abc import Iterable

# The longest that clients send are the redirect URI, the state and ID token hints; 8 KiB holds
# them all and is what servers commonly allow for a whole request line.
MAX_PARAMETER_CHARACTERS = 8 * 1024


class Parameters:
    """The parameters of one request.

    RFC 6749 section 3.1: one without a value is as if it were not there, and none may come twice.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        self.repeated = ""
        self.too_long = ""
        for name, value in pairs:
            if name in self._values:
                self.repeated = name
            if len(value) > MAX_PARAMETER_CHARACTERS:
                self.too_long = name
            self._values.setdefault(name, value)

    def __getitem__(self, name: str) -> str:
        """Return the value of ``name``; empty where there is none."""
        return self._values.get(name, "")

    @property
    def fault(self) -> str:
        """Return what is wrong with them as a whole; empty where nothing is."""
        if self.repeated:
            return f"the parameter {self.repeated[:64]!r} comes more than once"
        if self.too_long:
            return f"the parameter {self.too_long[:64]!r} is too long"
        return ""
