"""What one round of all systems comes to."""

from bench.rounds import _beside_direct
from bench.upstreams import Counts


def test_what_a_system_adds_is_told_by_the_direct_way_of_the_same_round() -> None:
    found = _beside_direct(
        {
            "direct": {"seq_p50_us": 30.0, "seq_p99_us": 60.0, "seq_cpu_us": 5.0},
            "nginx": {"seq_p50_us": 80.0, "seq_p99_us": 160.0, "seq_cpu_us": 50.0},
        }
    )

    assert found["direct"] == {"seq_p50_us": 30.0, "seq_p99_us": 60.0}
    assert found["nginx"]["seq_added_p50_us"] == 50.0
    assert found["nginx"]["seq_added_p99_us"] == 100.0


def test_nothing_is_added_to_what_the_direct_way_did_not_take() -> None:
    values = {"nginx": {"small_cpu_us": 30.0}}

    assert _beside_direct(values) == values
    assert _beside_direct(values | {"direct": {"small_rps": 9.0}})["nginx"] == values["nginx"]


def test_what_the_upstream_was_asked_in_all_turns_is_added_up() -> None:
    one = Counts(
        requests=1,
        impersonated=2,
        audit_ids=3,
        audit_sum=4,
        bytes_received=5,
        cipher_suite="first",
    )
    other = Counts(
        requests=10,
        impersonated=20,
        audit_ids=30,
        audit_sum=40,
        bytes_received=50,
        cipher_suite="last",
    )

    assert Counts.sum_of([one, other]) == Counts(
        requests=11,
        impersonated=22,
        audit_ids=33,
        audit_sum=44,
        bytes_received=55,
        cipher_suite="last",
    )
