"""Who is found in an index is exactly who is covered."""

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.administrator.concern import Concern, ConcernIndex, Who

ISSUERS, FEW = ["a", "b"], st.sampled_from(["", "x", "y"])
CONCERNS = st.builds(
    Concern,
    issuers=st.lists(st.sampled_from(ISSUERS), max_size=2, unique=True).map(tuple),
    subject=FEW,
    email=FEW,
    usernames=st.lists(st.tuples(st.sampled_from(ISSUERS), FEW), max_size=2).map(tuple),
    idp_session=FEW,
    device_id=FEW,
    everybody=st.booleans(),
)
WHO = st.builds(
    Who,
    issuer=st.sampled_from(ISSUERS),
    subject=FEW,
    username=FEW,
    email=st.sampled_from(["", "X", "y"]),
    idp_session=FEW,
    device_id=FEW,
)


def reachable(concern: Concern) -> bool:
    """Everybody of no issuer in particular is nobody: a source names whose users it speaks of."""
    return bool(concern.issuers) or not concern.everybody


@given(st.dictionaries(st.sampled_from("klm"), CONCERNS.filter(reachable)), WHO)
def test_an_index_finds_whom_a_concern_covers(concerns: dict[str, Concern], who: Who) -> None:
    index: ConcernIndex[str] = ConcernIndex()
    for key, concern in concerns.items():
        index.keep(key, Concern(issuers=("a",), subject="before"), "old")
        index.keep(key, concern, key)
    found = list(index.about(who))
    assert sorted(found) == sorted(key for key, one in concerns.items() if one.covers(who))
    for key in concerns:
        index.drop(key)
    assert not len(index)
    assert list(index.about(who)) == []


def test_a_concern_that_says_nothing_covers_nobody() -> None:
    who = Who("a", "", "", "", "", "")
    assert not Concern().covers(who)
    assert not Concern(issuers=("a",)).covers(who)
    assert Concern(issuers=("a",), everybody=True).covers(who)


def test_an_index_that_was_cleared_knows_of_nobody_and_says_whom_it_knew_of() -> None:
    who = Who("a", "x", "", "", "", "")
    index: ConcernIndex[str] = ConcernIndex()
    concern = Concern(issuers=("a",), subject="x")
    index.keep("k", concern, "old")
    assert list(index.about(who)) == ["old"]

    assert index.clear() == (concern,)
    assert not len(index)
    assert list(index.about(who)) == []
    index.keep("l", concern, "new")
    assert list(index.about(who)) == ["new"]
