"""What has become of the demo's people since the start: who is disabled, who is in which groups.

An identity provider is where somebody leaves and is moved; what kzproxy does when it notices is to
be seen in the demo and tried in the tests.
"""

from dataclasses import replace

from kzproxy.demo.idp_users import DemoUser

MAX_GROUPS = 64
MAX_GROUP_CHARACTERS = 128


class Accounts:
    """The present state of accounts; every answer about a person is made of it."""

    def __init__(self) -> None:
        self._disabled: set[str] = set()
        self._groups: dict[str, tuple[str, ...]] = {}

    def disable(self, name: str) -> None:
        """Let ``name`` sign in no more, and nothing of theirs be refreshed."""
        self._disabled.add(name)

    def enable(self, name: str) -> None:
        """Take ``disable`` back."""
        self._disabled.discard(name)

    def move(self, name: str, groups: tuple[str, ...]) -> None:
        """Put ``name`` into exactly these groups.

        Raises:
            ValueError: They are too many, or one is empty or too long.
        """
        if len(groups) > MAX_GROUPS or any(
            not 0 < len(group) <= MAX_GROUP_CHARACTERS for group in groups
        ):
            raise ValueError(f"at most {MAX_GROUPS} groups of {MAX_GROUP_CHARACTERS} characters")
        self._groups[name] = groups

    def is_enabled(self, name: str) -> bool:
        """Tell whether ``name`` may sign in."""
        return name not in self._disabled

    def present(self, user: DemoUser) -> DemoUser:
        """Return ``user`` as they are now."""
        return replace(user, groups=self._groups.get(user.name, user.groups))
