"""Parameters have one reading, or a fault."""

from kzproxy.demo.idp_forms import MAX_PARAMETER_CHARACTERS, Parameters


def test_an_absent_parameter_reads_as_empty():
    assert Parameters([])["state"] == ""


def test_a_repeated_parameter_is_a_fault_that_names_it():
    assert "'state'" in Parameters([("state", "a"), ("state", "a")]).fault


def test_a_long_parameter_is_a_fault_that_names_it():
    assert not Parameters([("state", "a" * MAX_PARAMETER_CHARACTERS)]).fault
    assert "'state'" in Parameters([("state", "a" * (MAX_PARAMETER_CHARACTERS + 1))]).fault
