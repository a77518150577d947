"""Documents are true of the code where a test can tell."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("docs/**/*.md"),
    ]
)
# Modules of the configuration that read what other documents are about.
OTHER_FILES = "access_policy|authentication|claim_|policy_|kubeconfig"
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    prose = _CODE.sub("", document.read_text())
    for link in _LINK.findall(prose):
        assert (document.parent / link).exists(), link


def test_every_setting_is_documented_and_nothing_else() -> None:
    documented = set(
        re.findall(
            r"^\| `([A-Za-z.]+)` \|",
            (REPOSITORY / "docs/reference/configuration.md").read_text(),
            re.MULTILINE,
        )
    )
    source = "".join(
        module.read_text()
        for module in (REPOSITORY / "kzproxy/config").glob("*.py")
        if not re.match(OTHER_FILES, module.name)
    )
    calls = re.findall(r"(?:required|optional)=\((.*?)\)", source, re.DOTALL)
    named = {name for call in calls for name in re.findall(r'"([A-Za-z]+)"', call)}

    assert {part for field in documented for part in field.split(".")} == named | {
        "inCluster",
        "kubeconfig",
        "server",
    }


def test_every_endpoint_of_kzproxys_own_is_documented_and_no_other() -> None:
    source = (REPOSITORY / "kzproxy/server/own_endpoints.py").read_text()
    page = (REPOSITORY / "docs/reference/own-endpoints.md").read_text()
    served = set(re.findall(r'"([a-z]+)"(?:: |\] = )[A-Z]\w+Endpoint\(', source))
    assert len(served) > 5
    assert set(re.findall(r"^## `/kzproxy.dev/v1/([a-z]+)", page, re.MULTILINE)) == served


def test_the_architectures_request_path_names_real_code() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text()
    path = text[text.index("## The way of one request") : text.index("## What always holds")]
    sources = "".join(p.read_text() for p in (REPOSITORY / "kzproxy").rglob("*.py"))
    names = {name for call in re.findall(r"`([A-Za-z_.]+)`", path) for name in call.split(".")}

    for name in names - {"metav1", "transport", "Status", "enforcement", "point", "py"}:
        assert re.search(rf"\b(?:class|def|async def) {name}\b|\b{name}:|\b{name} =", sources), name
    for room in re.findall(r"`([a-z]+)/", text):
        assert (REPOSITORY / "kzproxy" / room).is_dir() or (REPOSITORY / room).is_dir(), room
