"""What mypy says of ``replace``, by the settings of the project."""

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
MODULE = """
import dataclasses
from typing import TypeVar
from msgspec import Struct, structs

class Place(Struct, frozen=True, kw_only=True):
    country: str
    asn: int = 0

class Somewhere(Place, frozen=True, kw_only=True):
    pass

@dataclasses.dataclass(frozen=True)
class Kept:
    country: str

Some = TypeVar("Some", bound=Place)
Other = TypeVar("Other", bound=Kept)

def right(some: Some, other: Other) -> tuple[Some, Other]:
    return structs.replace(some, country="NL"), dataclasses.replace(other, country="NL")

Word = str | int

def change(
    place: Place, some: Some, either: Place | Somewhere, kept: Kept, mixed: Place | Kept, word: Word
) -> None:
"""
RIGHT = (
    "structs.replace(place, country='NL')",
    "structs.replace(Somewhere(country='NL'), asn=1, country='DE')",
    "dataclasses.replace(kept, country='NL')",
)
WRONG = {
    "structs.replace(place, city='Delft')": (
        'Unexpected keyword argument "city" for "replace" of "Place"'
    ),
    "structs.replace(place, country=word)": (
        'Argument "country" to "replace" of "Place" has incompatible type "str | int";'
        ' expected "str"'
    ),
    "structs.replace(either, country='NL')": (
        "replace one struct at a time: these have fields of their own"
    ),
    "structs.replace(some, city='Delft')": (
        'Unexpected keyword argument "city" for "replace" of "Place"'
    ),
    "dataclasses.replace(some, country='NL')": "a struct is replaced by msgspec.structs.replace",
    "dataclasses.replace(mixed, country='NL')": "a struct is replaced by msgspec.structs.replace",
    "structs.replace(kept, country='NL')": (
        'Value of type variable "_S" of "replace" cannot be "Kept"'
    ),
    "dataclasses.replace(place, country='NL')": "a struct is replaced by msgspec.structs.replace",
    "dataclasses.replace(kept, city='Delft')": (
        'Unexpected keyword argument "city" for "replace" of "Kept"'
    ),
}
ERROR = re.compile(r":(\d+): error: (.*?)  \[[a-z-]+\]$", re.MULTILINE)


def test_a_replace_that_would_fail_when_it_runs_is_found_by_mypy(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(MODULE + "".join(f"    {call}\n" for call in (*RIGHT, *WRONG)))
    lines = path.read_text().splitlines()

    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", path],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.stderr == ""
    assert {
        lines[int(number) - 1].strip(): error for number, error in ERROR.findall(told.stdout)
    } == WRONG
