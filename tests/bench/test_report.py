"""The table, the document, and the page that holds them."""

import json

import pytest

from bench import decisions
from bench.figures import KZPROXY, NGINX
from bench.report import Circumstances, document, table, taken_of, verdict
from bench.written import PAGE, RESULTS, _on_one_line, figures_of, page_with

CIRCUMSTANCES = Circumstances(
    date="2026-01-02T03:04:05+00:00",
    commit="0123456789ab",
    repetitions=3,
    rounds=8,
    versions={"nginx": "1.22.1"},
    machine={"cores": "2"},
    ciphers={"nginx": "TLS 1.3 X"},
    load_averages=[0.123, 0.456],
)
DECISIONS = {key: [1.0] for kind in decisions.KINDS for key in (kind.p50, kind.p99)} | {
    decisions.LOAD: [0.5]
}
FIGURES = {
    KZPROXY: {"small_cpu_us": [50.0, 70.0, 60.0], "small_rps": [12345.6]},
    NGINX: {"small_cpu_us": [30.0]},
}


def test_the_document_holds_medians_and_spread() -> None:
    held = document(CIRCUMSTANCES, FIGURES)

    assert held["ratios_to_nginx"] == {"small_cpu": 2.0}
    assert held["systems"][KZPROXY]["small_cpu_us"] == {
        "median": 60.0,
        "min": 50.0,
        "max": 70.0,
        "taken": [50.0, 70.0, 60.0],
    }
    assert held["floors"]["small_cpu"] == {
        "beside": "nginx",
        "found": 2.0,
        "limit": 2.2,
        "reached": True,
    }
    assert held["load_averages"] == [0.12, 0.46]
    assert json.loads(json.dumps(held)) == held


def test_the_figures_come_back_out_of_the_document() -> None:
    assert taken_of(document(CIRCUMSTANCES, FIGURES)) == FIGURES


def test_the_table_has_kzproxy_last_and_lines_up() -> None:
    lines = table({KZPROXY: {"small_cpu_us": [60.0]}, NGINX: {"small_cpu_us": [30.0]}}).splitlines()

    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == [
        "",
        "nginx",
        "kzproxy",
        "kzproxy ÷ nginx",
        "at most",
    ]
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "small GET, warm: CPU, µs",
        "30.0",
        "60.0",
        "2.00",
        "2.20",
    ]
    assert len({len(line) for line in lines}) == 1


def test_what_was_not_measured_is_not_made_up() -> None:
    written = table({NGINX: {"small_cpu_us": [30.0]}, KZPROXY: {"idle_rss_mib": [50.0]}})

    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in written.splitlines()[2:]]
    assert [row[1:] for row in rows] == [["30.0", "-", "-", "2.20"], ["-", "50.0", "-", "-"]]


def test_a_floor_that_is_missed_says_by_how_much() -> None:
    written = verdict({NGINX: {"small_cpu_us": [10.0]}, KZPROXY: {"small_cpu_us": [44.0]}})

    assert "no: 2.00 times as much" in written


def test_the_page_keeps_everything_but_the_figures() -> None:
    held = document(CIRCUMSTANCES, FIGURES)
    begin, end = "<!-- figures: written by make bench -->", "<!-- end of the figures -->"

    page = page_with(f"before\n{begin}\nold\n{end}\nafter\n", held)

    assert page == f"before\n{begin}\n{figures_of(held)}\n{end}\nafter\n"
    assert page_with(page, held) == page


def test_decisions_stand_on_the_page_where_they_were_measured() -> None:
    held = document(CIRCUMSTANCES, FIGURES)
    alone = decisions.part(DECISIONS, date="2026-01-02", commit="0123", load_averages=[0.1])

    assert decisions.words(alone) not in figures_of(held)
    assert figures_of(held | {decisions.KEY: alone}) == (
        f"{figures_of(held)}\n{decisions.words(alone)}\n"
    )


def test_a_page_without_a_place_for_figures_is_not_written() -> None:
    with pytest.raises(ValueError, match="lacks"):
        page_with("no marks", document(CIRCUMSTANCES, FIGURES))


def test_the_page_shows_the_figures_that_are_kept() -> None:
    held = json.loads(RESULTS.read_text())

    assert page_with(PAGE.read_text(), held) == PAGE.read_text()


@pytest.mark.parametrize(
    "value", [[1.5, -2, 3e-7], {"a": [0.1], "b": ["1, 2"]}, [], [[1, 2], [3]], "[\n1,\n2\n]"]
)
def test_a_list_of_numbers_is_written_on_one_line_and_read_as_it_was(value: object) -> None:
    written = _on_one_line(json.dumps({"it": value}, indent=2))

    assert json.loads(written) == {"it": value}


def test_numbers_stand_side_by_side() -> None:
    assert _on_one_line(json.dumps([1.5, 2], indent=2)) == "[1.5, 2]"
