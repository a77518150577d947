"""The people of the demo identity provider, named after their roles in the sample policy."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoUser:
    """Somebody that anyone at this machine may sign in as.

    Attributes:
        name: What ``preferred_username`` says, and what ``--as`` takes.
        groups: What ``groups`` says.
        role: One line for people: what the sample policy lets them do.
    """

    name: str
    groups: tuple[str, ...]
    role: str

    @property
    def subject(self) -> str:
        """Return ``sub``: stable, and not the user name, so that nobody takes one for the other."""
        return f"kzproxy-demo|{self.name}"

    @property
    def email(self) -> str:
        """Return an address that can belong to nobody (RFC 2606 section 2)."""
        return f"{self.name}@demo.kzproxy.example"


DEMO_USERS = (
    DemoUser(
        name="developer",
        groups=("developers",),
        role="Works in namespace dev, at any time, from an enrolled device.",
    ),
    DemoUser(
        name="operator",
        groups=("developers", "operators"),
        role="Works in namespace prod too, in working hours, from the office network.",
    ),
    DemoUser(
        name="guest",
        groups=("guests",),
        role="May see what the cluster offers, and nothing that is in it.",
    ),
    DemoUser(
        name="admin",
        groups=("admins",),
        role="Breaks the glass: everything, and every use of it is shouted in the log.",
    ),
)


def demo_user(name: str) -> DemoUser | None:
    """Return the user called ``name``, or None where there is none."""
    return next((user for user in DEMO_USERS if user.name == name), None)
