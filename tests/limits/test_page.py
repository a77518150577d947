"""docs/limits.md says what the code does."""

import importlib
import re
from pathlib import Path

import pytest
import yaml
from msgspec.structs import asdict

from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.limits import Limits, load_limits
from kzproxy.errors import kinds

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "limits.md").read_text()
ROWS = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \| `([A-Za-z_.]+)` \| ([^|]+) \|",
    PAGE,
    re.MULTILINE,
)
UNITS = {"": 1, " s": 1, " bytes": 1, " KiB": 1024, " MiB": 1024 * 1024}
SETTINGS = set(
    re.findall(
        r'^            "([A-Za-z]+)",$',
        (REPOSITORY / "kzproxy/config/limits.py").read_text(),
        re.MULTILINE,
    )
)


def flat(limits: Limits) -> dict[str, object]:
    return {
        f"{room}.{name}": value
        for room, values in asdict(limits).items()
        for name, value in asdict(values).items()
    }


def set_by(name: str, directory: Path) -> str:
    """Return the one value that a field of the configuration sets."""
    file = directory / "limits.yaml"
    file.write_text(yaml.safe_dump({name: 7}))
    mistakes = Mistakes()
    loaded = flat(load_limits(read_document(file, mistakes)))
    mistakes.raise_if_any()
    (place,) = [place for place, value in loaded.items() if value != flat(load_limits(None))[place]]
    assert loaded[place] == 7
    return place


def value_of(setting: str, directory: Path) -> object:
    if setting.startswith("limits."):
        return flat(load_limits(None))[set_by(setting.removeprefix("limits."), directory)]
    module, _, name = setting.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_the_tables_are_read() -> None:
    assert len(ROWS) > 20
    assert len(SETTINGS) == 10


def test_every_field_is_on_the_page() -> None:
    fields = {setting.removeprefix("limits.") for _, _, setting, _ in ROWS if "limits." in setting}

    assert {name for name in fields if "." not in name} == SETTINGS


@pytest.mark.parametrize(("default", "setting"), [row[1:3] for row in ROWS], ids=lambda x: x)
def test_a_default_is_the_codes(default: str, setting: str, tmp_path: Path) -> None:
    value = value_of(setting, tmp_path)
    if setting == "limits.connections":
        assert (default, value) == ("half of the open files", None)
        return
    number, unit = re.fullmatch(r"(\d+)(.*)", default).groups()
    assert int(number) * UNITS[unit] == value


def test_every_status_is_one_that_kzproxy_gives() -> None:
    known = {
        (error.code, error.reason)
        for error in vars(kinds).values()
        if isinstance(error, type) and issubclass(error, kinds.ProxyError)
    }
    named = {(int(code), reason) for code, reason in re.findall(r"\b([45]\d\d) ([A-Z]\w+)", PAGE)}

    assert len(named) == 9
    assert named <= known


def test_a_limit_that_cannot_be_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text("streamsPerIdentity: 0\nheadTimeoutSeconds: 3601\nstreams: 5\n")
    mistakes = Mistakes()
    load_limits(read_document(file, mistakes))
    with pytest.raises(Exception, match="streamsPerIdentity") as raised:
        mistakes.raise_if_any()

    said = str(raised.value)
    assert "from 1 to 1000000" in said
    assert "from 1 to 3600" in said
    assert "streams" in said
