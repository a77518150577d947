from kzproxy.attributes.shared import Shared


def built(*parts: str) -> tuple[str, ...]:
    """Build a tuple that is no constant, and so its own."""
    return tuple(map(str, parts))


def test_values_that_are_alike_are_held_once() -> None:
    shared = Shared[tuple[str, ...]]()
    first = built("a", "b")

    assert shared.one(first) is first
    assert shared.one(built("a", "b")) is first
    assert shared.one(built("a")) == ("a",)


def test_what_is_held_is_bounded() -> None:
    shared = Shared[tuple[str, ...]](max_values=2)
    first = shared.one(built("a"))
    for word in ("b", "c"):
        shared.one(built(word))

    assert shared.one(built("a")) is not first
