from kzproxy.server.back_off import BackOff


def test_it_doubles_from_one_second_to_half_a_minute() -> None:
    back_off = BackOff()

    assert [back_off.after(0.1) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_what_has_lived_for_a_minute_begins_anew() -> None:
    back_off = BackOff()
    for _ in range(5):
        back_off.after(59.9)

    assert back_off.after(60) == 1
    assert back_off.after(1) == 2
