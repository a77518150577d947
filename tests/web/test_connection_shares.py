"""Nobody can hold all connections, however many addresses they have."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.web.connection_shares import ConnectionShares


@dataclass(eq=False)
class Line:
    """A connection that does nothing."""

    shares: ConnectionShares
    address: str
    is_busy: bool = False
    dropped: list["Line"] = field(default_factory=list)

    def drop(self) -> None:
        self.dropped.append(self)
        self.shares.leave(self, self.address)


def opened(shares: ConnectionShares, address: str, *, is_busy: bool = False) -> Line | None:
    line = Line(shares, address, is_busy)
    return line if shares.admit(line, address) else None


def test_an_ipv6_neighbourhood_has_the_share_of_one_address():
    shares = ConnectionShares(most=10, most_of_address=2)
    assert [bool(opened(shares, f"2001:db8::{n}")) for n in range(3)] == [True, True, False]
    assert opened(shares, "2001:db8:0:1::1")


def test_who_has_few_is_let_in_for_the_oldest_idle_one_of_who_has_the_most():
    shares = ConnectionShares(most=4, most_of_address=4)
    first = opened(shares, "192.0.2.1", is_busy=True)
    second = opened(shares, "192.0.2.1")
    assert opened(shares, "192.0.2.1")
    assert opened(shares, "192.0.2.2")
    assert opened(shares, "192.0.2.3")
    assert first is not None
    assert second is not None
    assert (first.dropped, second.dropped) == ([], [second])
    assert opened(shares, "192.0.2.4")
    assert opened(shares, "192.0.2.5") is None


def test_who_is_served_is_not_dropped():
    shares = ConnectionShares(most=2, most_of_address=2)
    assert opened(shares, "192.0.2.1", is_busy=True)
    assert opened(shares, "192.0.2.1", is_busy=True)
    assert opened(shares, "192.0.2.2") is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "::1"]),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_there_are_never_more_than_so_many(steps: list[tuple[str, bool]]):
    shares = ConnectionShares(most=5, most_of_address=3)
    lines: list[Line] = []
    for address, leaves in steps:
        theirs = [one for one in lines if one.address == address]
        if leaves and theirs:
            lines.remove(theirs[0])
            shares.leave(theirs[0], address)
        elif line := opened(shares, address):
            lines.append(line)
        lines = [one for one in lines if not one.dropped]
        assert len(lines) <= 5
        assert all(sum(one.address == each for one in lines) <= 3 for each, _ in steps)
