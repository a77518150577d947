"""docs/posture.md: its checks are those of the code, and its example is a configuration."""

import re
from pathlib import Path

from kzproxy.client.posture.linux import CHECKS
from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.posture import load_posture
from kzproxy.posture.checks import PASSED_IF_NOT, PASSED_IF_SO, PATCH_AGE, PATCHED
from kzproxy.posture.settings import DEFAULT_TTL, TTL

PAGE = (Path(__file__).parents[2] / "docs" / "posture.md").read_text()


def test_every_check_is_explained_and_nothing_else():
    section = PAGE.partition("## What is collected")[2].partition("**Privacy.**")[0]
    explained = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))

    assert explained == PASSED_IF_SO | PASSED_IF_NOT | {PATCHED}
    assert {PATCHED if name == PATCH_AGE else name for name in CHECKS} <= explained


def test_every_check_that_passes_where_it_is_not_so_is_said_to():
    (sentence,) = [line for line in PAGE.splitlines() if "are called after what is wrong" in line]

    for name in PASSED_IF_NOT:
        assert f"`{name}`" in sentence


def test_the_times_are_those_of_the_code():
    hours = {name: ttl.total_seconds() / 3600 for name, ttl in TTL.items()}

    assert hours == {"disk_encrypted": 24, "edr_running": 0.25, "firewall": 0.25}
    assert DEFAULT_TTL.total_seconds() == 3600
    assert "24 hours for `disk_encrypted`, 15 minutes for `firewall` and `edr_running` and one" in (
        PAGE.replace("\n", " ")
    )


def test_the_example_is_a_configuration(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "kzproxy.yaml"
    file.write_text(example)
    (tmp_path / "fleet.headers").write_text("Authorization: Bearer x\n")
    mistakes = Mistakes()

    section = read_document(file, mistakes).mapping(required=("posture",))["posture"]
    settings = load_posture(section, tmp_path, has_store=True)

    mistakes.raise_if_any()
    (provider,) = settings.providers
    assert {name for name, _ in provider.checks} <= PASSED_IF_SO | PASSED_IF_NOT | {PATCHED}
