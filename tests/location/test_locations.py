"""Databases of addresses: what is read in them, and that none is believed that is damaged."""

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kzproxy.attributes.environment import NOWHERE, Place
from kzproxy.location import locations as module
from kzproxy.location.database import Database, DatabaseRefused
from kzproxy.location.fields import asn_in, country_in
from kzproxy.location.locations import LocationRefused, Locations
from kzproxy.location.settings import LocationSettings
from tests.servers.mmdb import countries, database, systems

COUNTRIES = countries(
    {"192.0.2.0/24": "DE", "198.51.100.0/25": "FR", "2001:db8::/32": "AT", "203.0.113.0/24": "US"}
)
SYSTEMS = systems({"192.0.2.0/24": 64500, "2001:db8::/32": 4_200_000_000})


def loaded(tmp_path: Path, country: bytes = COUNTRIES, asn: bytes = SYSTEMS) -> Locations:
    (tmp_path / "geo.mmdb").write_bytes(country)
    (tmp_path / "asn.mmdb").write_bytes(asn)
    return Locations.load(
        LocationSettings(database=tmp_path / "geo.mmdb", asn_database=tmp_path / "asn.mmdb")
    )


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", Place(country="DE", asn=64500)),
        ("198.51.100.7", Place(country="FR")),
        ("198.51.100.200", NOWHERE),
        ("2001:db8::7", Place(country="AT", asn=4_200_000_000)),
        ("10.0.0.1", NOWHERE),
        ("::1", NOWHERE),
    ],
)
def test_an_address_is_where_the_databases_say(tmp_path: Path, address: str, place: Place) -> None:
    found = loaded(tmp_path)

    assert found.place(ip_address(address)) == place
    assert found.place(ip_address(address)) is found.place(ip_address(address)), "remembered"


def test_one_database_is_enough(tmp_path: Path) -> None:
    (tmp_path / "asn.mmdb").write_bytes(SYSTEMS)
    found = Locations.load(LocationSettings(asn_database=tmp_path / "asn.mmdb"))

    assert found.place(ip_address("192.0.2.7")) == Place(asn=64500)


def test_a_database_of_ipv4_alone_says_nothing_of_ipv6(tmp_path: Path) -> None:
    found = loaded(tmp_path, countries({"192.0.2.0/24": "DE"}, ip_version=4))

    assert found.place(ip_address("192.0.2.7")).country == "DE"
    assert found.place(ip_address("2001:db8::7")).country == ""


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 3)
    found = loaded(tmp_path)

    for number in range(10):
        found.place(ip_address(f"192.0.2.{number}"))
        assert len(found._known) <= 3
    assert found.place(ip_address("192.0.2.0")).country == "DE"


def test_the_same_content_is_the_same_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, second = loaded(tmp_path), loaded(tmp_path / "other")
    assert first.revision == second.revision

    third = loaded(tmp_path, countries({"192.0.2.0/24": "CH"}))
    assert third.revision != first.revision


def test_what_has_not_changed_is_taken_over(tmp_path: Path) -> None:
    first = loaded(tmp_path)
    first.place(ip_address("192.0.2.7"))
    settings = LocationSettings(database=tmp_path / "geo.mmdb", asn_database=tmp_path / "asn.mmdb")
    assert Locations.load(settings, first) is first, "with all that it remembers"

    (tmp_path / "geo.mmdb").write_bytes(countries({"192.0.2.0/24": "CH"}))
    changed = Locations.load(settings, first)
    assert changed.place(ip_address("192.0.2.7")) == Place(country="CH", asn=64500)
    assert changed.systems is first.systems


def test_what_is_in_force_does_not_hang_on_the_file(tmp_path: Path) -> None:
    """Who writes it in place, or cuts it short, changes nothing until it is read again."""
    found = loaded(tmp_path)
    (tmp_path / "geo.mmdb").write_bytes(b"")
    (tmp_path / "asn.mmdb").unlink()

    assert found.place(ip_address("192.0.2.9")) == Place(country="DE", asn=64500)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        pytest.param(b"", "damaged", id="empty"),
        pytest.param(b"not a database" * 100, "damaged", id="another-file"),
        pytest.param(COUNTRIES[: len(COUNTRIES) // 2], "damaged", id="cut-short"),
        pytest.param(COUNTRIES[200:], "damaged", id="without-its-beginning"),
        pytest.param(bytes(600) + COUNTRIES[600:], "damaged", id="zeros-in-its-tree"),
        pytest.param(SYSTEMS, "holds no countries", id="of-another-kind"),
        pytest.param(database({"192.0.2.0/24": {"country": 7}}), "holds no", id="other-fields"),
    ],
)
def test_a_file_that_cannot_be_believed_is_refused(
    tmp_path: Path, content: bytes, part: str
) -> None:
    with pytest.raises(LocationRefused, match=part) as refused:
        loaded(tmp_path, content)
    assert refused.value.path == tmp_path / "geo.mmdb"


def test_the_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocationRefused, match="Test-Country") as refused:
        loaded(tmp_path, asn=COUNTRIES)
    assert refused.value.path == tmp_path / "asn.mmdb"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="No such file"):
        Database.load(tmp_path / "none.mmdb", country_in, "countries")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, len(COUNTRIES) - 1), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_file_is_refused_or_says_some_country_or_none(
    tmp_path: Path, place: int, bit: int, cut: bool
) -> None:
    damaged = bytearray(COUNTRIES)
    damaged[place] ^= 1 << bit
    content = bytes(damaged[:place]) if cut else bytes(damaged)
    try:
        found = loaded(tmp_path, content)
    except LocationRefused:
        return
    for address in ("192.0.2.7", "2001:db8::1", "10.0.0.1", "198.51.100.1"):
        country = found.place(ip_address(address)).country
        assert country == "" or (len(country) == 2 and country.isupper())


@pytest.mark.parametrize(
    ("record", "country"),
    [
        ({"country": {"iso_code": "DE"}}, "DE"),
        ({"country_code": "DE"}, "DE"),
        ({"country": "DE"}, "DE"),
        ({"country": {"iso_code": "de"}}, ""),
        ({"country": {"iso_code": "DEU"}}, ""),
        ({"registered_country": {"iso_code": "DE"}}, ""),
        ({"country": {}}, ""),
        ("DE", ""),
        (None, ""),
    ],
)
def test_the_country_stands_where_makers_put_it(record: object, country: str) -> None:
    assert country_in(record) == country


@pytest.mark.parametrize(
    ("record", "number"),
    [
        ({"autonomous_system_number": 64500}, 64500),
        ({"asn": 64500}, 64500),
        ({"asn": "AS64500"}, 64500),
        ({"asn": "64500"}, 0),
        ({"asn": "AS99999999999"}, 0),
        ({"asn": "AS9999999999"}, 0),
        ({"asn": -1}, 0),
        ({}, 0),
        (None, 0),
    ],
)
def test_the_autonomous_system_stands_where_makers_put_it(record: object, number: int) -> None:
    assert asn_in(record) == number
