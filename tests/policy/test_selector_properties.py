"""What a request's selector surely asks for, held against what Kubernetes selects by it."""

from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.policy.selectors import asked_equalities, asked_fields

KEYS, VALUES = ["team", "env", "a.b/c"], ["a", "b", "prod", ""]
LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
Selects = Callable[[Mapping[str, str]], bool]


@st.composite
def label_requirements(draw: st.DrawFn) -> tuple[str, Selects]:
    """Strategy for one requirement, as text and as what it selects."""
    key = draw(st.sampled_from(KEYS))
    values = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3))
    gap, (first, *_) = draw(st.sampled_from(["", " "])), values
    listed = f"({','.join(values)})"
    known: dict[str, Selects] = {
        f"{gap}{key}{gap}={gap}{first}{gap}": lambda labels: labels.get(key) == first,
        f"{gap}{key}{gap}=={gap}{first}": lambda labels: labels.get(key) == first,
        f"{gap}{key}!={first}": lambda labels: labels.get(key) != first,
        f"{key} in {gap}{listed}": lambda labels: labels.get(key) in values,
        f"{key} notin {listed}": lambda labels: labels.get(key) not in values,
        f"{gap}{key}{gap}": lambda labels: key in labels,
        f"!{gap}{key}": lambda labels: key not in labels,
    }
    return draw(st.sampled_from(sorted(known.items(), key=lambda item: item[0])))


@given(st.lists(label_requirements(), min_size=1, max_size=3), st.lists(LABELS, max_size=20))
def test_all_that_is_selected_has_the_labels_that_are_said_to_be_asked_for(
    requirements: list[tuple[str, Selects]], objects: list[dict[str, str]]
) -> None:
    asked = asked_equalities(",".join(text for text, _ in requirements))
    for labels in objects:
        if all(selects(labels) for _, selects in requirements):
            assert asked <= set(labels.items())


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


TERMS = st.tuples(
    st.sampled_from(["type", "a.b"]),
    st.sampled_from(["=", "==", "!="]),
    st.sampled_from(["x", " x", "x ", ""]) | st.text(alphabet="xy, =\\()!", max_size=4),
)


@given(st.lists(TERMS, min_size=1, max_size=3))
def test_of_fields_nothing_is_said_to_be_asked_for_that_is_not(
    terms: list[tuple[str, str, str]],
) -> None:
    text = ",".join(f"{field}{operator}{escaped(value)}" for field, operator, value in terms)
    required = {(field, value) for field, operator, value in terms if operator != "!="}
    asked = asked_fields(text)
    assert asked <= required
    if all(value in ("x", "") for _, _, value in terms):
        assert asked == required


def test_a_blank_is_part_of_a_fields_value() -> None:
    assert asked_fields("type= x") == frozenset()
    assert asked_fields("type=x,a.b==y") == {("type", "x"), ("a.b", "y")}
