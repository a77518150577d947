from soak.verdict import Line, passed, table

GOOD = Line(name="good", found="3 of 3")
BAD = Line(name="bad one", found="2 of 3", problems=tuple(f"no {number}" for number in range(12)))


def test_one_line_that_does_not_hold_fails_all() -> None:
    assert passed([GOOD, GOOD])
    assert not passed([GOOD, BAD])
    assert not passed([])


def test_the_table_says_what_is_wrong_and_stays_short() -> None:
    assert table([GOOD, BAD]).splitlines() == [
        "ok    good     3 of 3",
        "FAIL  bad one  2 of 3",
        *(f"        no {number}" for number in range(10)),
        "        and 2 more",
    ]
