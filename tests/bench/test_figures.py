"""Medians, ratios and floors."""

from bench.figures import FIGURES, FLOORS, median_of, ratio_of, ratios_to_nginx, standings

FOUND = {
    "direct": {"list_wall_ms": [100.0]},
    "nginx": {"small_cpu_us": [30.0], "seq_added_p50_us": [0.0]},
    "kzproxy": {
        "small_cpu_us": [66.0],
        "seq_added_p50_us": [9.0],
        "list_wall_ms": [116.0],
        "idle_rss_mib": [60.0],
    },
}


def test_the_median_is_taken_figure_by_figure() -> None:
    found = {"nginx": {"a": [3.0, 1.0, 2.0], "b": [1.0, 2.0], "c": []}}

    assert [median_of(found, "nginx", key) for key in "abcd"] == [2.0, 1.5, None, None]
    assert median_of(found, "kzproxy", "a") is None


def test_a_ratio_is_ours_by_theirs() -> None:
    assert ratio_of(FOUND, "small_cpu_us", "nginx") == 2.2


def test_a_ratio_is_taken_within_each_round() -> None:
    """The machine had half its speed in the second round: of the medians the ratio is 3."""
    found = {
        "nginx": {"small_cpu_us": [20.0, 40.0, 20.0]},
        "kzproxy": {"small_cpu_us": [40.0, 80.0, 60.0]},
    }

    assert ratio_of(found, "small_cpu_us", "nginx") == 2.0


def test_of_what_was_not_taken_as_often_it_is_that_of_the_medians() -> None:
    found = {
        "nginx": {"small_cpu_us": [20.0, 40.0, 20.0]},
        "kzproxy": {"small_cpu_us": [80.0, 40.0]},
    }

    assert ratio_of(found, "small_cpu_us", "nginx") == 3.0


def test_a_round_in_which_the_other_took_nothing_is_one_of_the_worst() -> None:
    found = {
        "nginx": {"seq_added_p50_us": [0.0, 20.0, 10.0]},
        "kzproxy": {"seq_added_p50_us": [9.0, 30.0, 10.0]},
    }

    assert ratio_of(found, "seq_added_p50_us", "nginx") == 1.5


def test_another_system_may_be_divided() -> None:
    assert ratio_of(FOUND, "small_cpu_us", "kzproxy", "nginx") == 30.0 / 66.0


def test_there_is_no_ratio_to_nothing() -> None:
    assert ratio_of(FOUND, "seq_added_p50_us", "nginx") is None
    assert ratio_of(FOUND, "event_cpu_us", "nginx") is None
    assert ratio_of({}, "small_cpu_us", "") is None


def test_a_floor_is_reached_up_to_its_limit() -> None:
    reached = {each.floor.name: each.reached for each in standings(FOUND)}

    assert reached == {"small_cpu": True, "list_wall": False, "idle_rss_mib": True}


def test_only_ratios_to_nginx_are_called_so() -> None:
    assert ratios_to_nginx(FOUND) == {"small_cpu": 2.2}


def test_the_ratios_have_the_names_that_others_read() -> None:
    everything = {floor.key: [1.0] for floor in FLOORS}

    ratios = ratios_to_nginx({"nginx": everything, "kzproxy": everything, "direct": everything})

    assert list(ratios) == [
        "small_cpu",
        "seq_p50",
        "conn_cpu",
        "down_cpu",
        "up_cpu",
        "list_cpu",
        "event_cpu",
        "event_p50",
        "watch_rss",
    ]


def test_every_floor_is_of_a_figure_in_the_table() -> None:
    assert {floor.key for floor in FLOORS} <= {figure.key for figure in FIGURES}
