"""Writing a context into a kubeconfig, and losing nothing that was there."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from kzproxy.client.failure import ClientFailure
from kzproxy.client.kubeconfig import ProxyContext, context_settings
from kzproxy.client.kubeconfig_document import KubeconfigDocument
from kzproxy.client.kubeconfig_files import KubeconfigFiles, kubeconfig_paths, locked
from kzproxy.client.plugin_arguments import parse_arguments, to_arguments

SERVER = "https://kz.example.test:8443"
ARGUMENTS = ["--issuer=https://issuer.test", "--client-id=kzproxy", f"--server={SERVER}"]

# What YAML 1.1 would turn into other values, what other tools put there, and what kubectl writes.
EXISTING = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Zm9v
    insecure-skip-tls-verify: false
    server: https://old.example.test
    extensions:
    - extension: {last-update: 2026-01-01T00:00:00Z, provider: minikube, version: 1.30}
      name: cluster_info
  name: old
contexts:
- {context: {cluster: old, user: old, namespace: 0123}, name: old}
current-context: old
kind: Config
preferences: {}
users:
- name: old
  user:
    auth-provider:
      config:
        expiry: 2026-01-01T00:00:00Z
        idp: on
      name: oidc
    token: "1e3"
"""


def proxy_context(name: str = "kz", *, arguments: Sequence[str] = ARGUMENTS) -> ProxyContext:
    return ProxyContext(
        name=name,
        settings=parse_arguments(arguments),
        server_ca="Y2E=",
        namespace="dev",
        command=["/usr/local/bin/kzproxy"],
    )


def merge(paths: Sequence[Path], context: ProxyContext, *, force: bool = False) -> list[Path]:
    files = KubeconfigFiles(paths)
    context.merge_into(files, force=force)
    files.set_current_context(context.name)
    return files.write()


def loaded(path: Path) -> dict[str, object]:
    document = yaml.safe_load(path.read_text())
    assert isinstance(document, dict)
    return document


def names(path: Path, section: str) -> list[str]:
    return [item["name"] for item in loaded(path)[section]]  # type: ignore[attr-defined]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(EXISTING)
    return path


def test_a_new_file_is_whole_private_and_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config"
    assert merge([path], proxy_context()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    document = loaded(path)
    assert document["apiVersion"] == "v1"
    assert document["kind"] == "Config"
    assert document["current-context"] == "kz"
    assert document["clusters"] == [
        {"cluster": {"server": SERVER, "certificate-authority-data": "Y2E="}, "name": "kz"}
    ]
    assert document["contexts"] == [
        {"context": {"cluster": "kz", "user": "kz", "namespace": "dev"}, "name": "kz"}
    ]
    [user] = document["users"]  # type: ignore[misc]
    plugin = user["user"]["exec"]
    assert plugin["apiVersion"] == "client.authentication.k8s.io/v1"
    assert plugin["command"] == "/usr/local/bin/kzproxy"
    assert plugin["args"] == ["credential", *ARGUMENTS]
    assert plugin["interactiveMode"] == "IfAvailable"
    assert plugin["provideClusterInfo"] is True
    assert "pipx install kzproxy" in plugin["installHint"]


def test_what_was_there_stays_to_the_letter(config: Path) -> None:
    merge([config], proxy_context())
    before, after = (
        yaml.load(EXISTING, yaml.BaseLoader),
        yaml.load(config.read_text(), yaml.BaseLoader),
    )
    for section in ("clusters", "contexts", "users"):
        assert after[section][:-1] == before[section]
        assert after[section][-1]["name"] == "kz"
    assert after["current-context"] == "kz"
    assert loaded(config)["clusters"][0] == yaml.safe_load(EXISTING)["clusters"][0]  # type: ignore[index]


def test_merging_twice_changes_nothing(config: Path) -> None:
    merge([config], proxy_context())
    before = config.read_text()
    files = KubeconfigFiles([config])
    proxy_context().merge_into(files, force=False)
    assert files.write() == []
    assert config.read_text() == before


def test_an_entry_that_says_something_else_is_not_replaced_unasked(config: Path) -> None:
    merge([config], proxy_context())
    before = config.read_text()
    other = proxy_context(arguments=[*ARGUMENTS, "--scope=email"])
    with pytest.raises(ClientFailure, match="has an entry 'kz' in users that says something else"):
        merge([config], other)
    assert config.read_text() == before
    merge([config], other, force=True)
    assert names(config, "users") == ["old", "kz"]
    assert "--scope=email" in config.read_text()


def test_a_name_of_somebody_elses_is_not_taken(config: Path) -> None:
    with pytest.raises(ClientFailure, match="has an entry 'old' in clusters"):
        merge([config], proxy_context("old"))


def test_a_file_with_comments_is_kept_beside(config: Path) -> None:
    config.write_text("# mine\n" + EXISTING)
    merge([config], proxy_context())
    backup = config.with_name("config.before-kzproxy")
    assert backup.read_text() == "# mine\n" + EXISTING
    assert backup.stat().st_mode & 0o777 == 0o600
    merge([config], proxy_context("another"))
    assert backup.read_text() == "# mine\n" + EXISTING, "there are no comments any more"


def test_a_symbolic_link_stays_one(tmp_path: Path, config: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(config)
    merge([link], proxy_context())
    assert link.is_symlink()
    assert names(config, "users") == ["old", "kz"]


@pytest.mark.parametrize(
    "text",
    ["", "---\n", "# nothing\n", "apiVersion: v1\nkind: Config\nclusters: null\nusers: []\n"],
)
def test_an_empty_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    merge([path], proxy_context())
    assert names(path, "clusters") == names(path, "users") == names(path, "contexts") == ["kz"]


def test_a_kubeconfig_in_json_can_be_merged_into(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text('{"apiVersion":"v1","users":[{"name":"old","user":{"token":"t"}}]}')
    merge([path], proxy_context())
    assert names(path, "users") == ["old", "kz"]
    assert loaded(path)["users"][0]["user"] == {"token": "t"}  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not YAML"),
        ("a: b: c", "is not YAML"),
        ("[]", "is not a kubeconfig"),
        ("text", "is not a kubeconfig"),
        ("users: {}", "users is not a list"),
        ("clusters: [x]", "clusters has a wrong item"),
        ("a: 1\n---\nb: 2\n", "is not YAML"),
        ("[" * 3000, "is not YAML"),
    ],
)
def test_what_is_no_kubeconfig_is_left_alone(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ClientFailure, match=said) as refused:
        merge([path], proxy_context())
    assert "\n" not in str(refused.value)
    assert path.read_text() == text


def test_an_entry_stays_in_its_file_and_a_new_one_goes_to_the_first(tmp_path: Path) -> None:
    missing, first, second = (tmp_path / name for name in ("missing", "first", "second"))
    first.write_text("kind: Config\n")
    merge([second], proxy_context())
    paths = [missing, first, second]
    changed = proxy_context(arguments=[*ARGUMENTS, "--scope=email"])
    assert merge(paths, changed, force=True) == [second]
    assert merge(paths, proxy_context("new")) == [first, second]
    assert names(first, "users") == ["new"]
    assert loaded(second)["current-context"] == "new"
    assert not missing.exists()


def test_where_no_file_exists_the_last_is_made(tmp_path: Path) -> None:
    paths = [tmp_path / "first", tmp_path / "last"]
    assert merge(paths, proxy_context()) == [paths[1]]


def test_the_first_file_to_name_an_entry_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    merge([first], proxy_context())
    merge([second], proxy_context(arguments=[*ARGUMENTS, "--scope=email"]))
    settings = context_settings(KubeconfigFiles([first, second]), "")
    assert settings.client.scopes == ()


def test_the_files_are_those_of_kubectl() -> None:
    named = {"KUBECONFIG": os.pathsep.join(["a", "", "b", "a"])}
    assert kubeconfig_paths(named) == (Path("a"), Path("b"))
    assert kubeconfig_paths({}) == (Path.home() / ".kube" / "config",)
    assert kubeconfig_paths({"KUBECONFIG": ""}) == (Path.home() / ".kube" / "config",)


@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_directory_is_told_what_to_set() -> None:
    with pytest.raises(ClientFailure, match="set HOME or KUBECONFIG"):
        kubeconfig_paths({})
    assert kubeconfig_paths({"KUBECONFIG": "a"}) == (Path("a"),)


def test_a_file_that_kubectl_is_changing_is_left_alone(config: Path) -> None:
    lock = config.with_name("config.lock")
    lock.touch()
    with (
        pytest.raises(ClientFailure, match="kubectl is changing this file"),
        locked([config]),
    ):
        pytest.fail("it is locked")
    assert lock.exists(), "the lock is kubectl's"
    lock.unlink()
    with locked([config, config]):
        assert lock.exists()
    assert not lock.exists()


def test_settings_are_read_back_from_a_context(config: Path) -> None:
    merge([config], proxy_context())
    settings = context_settings(KubeconfigFiles([config]), "kz")
    assert to_arguments(settings) == ARGUMENTS


def test_a_context_without_server_argument_is_for_its_cluster(config: Path) -> None:
    merge([config], proxy_context())
    config.write_text(config.read_text().replace(f"      - --server={SERVER}\n", ""))
    assert context_settings(KubeconfigFiles([config]), "kz").server == SERVER


def test_overrides_count_more_than_the_context(config: Path) -> None:
    merge([config], proxy_context())
    settings = context_settings(KubeconfigFiles([config]), "", ["--flow=device-code"])
    assert settings.prompting.flow == "device-code"
    assert settings.client.client_id == "kzproxy"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("old", "does not sign in with kzproxy; make one that does with `kzproxy kubeconfig`"),
        ("missing", "has no context 'missing'"),
    ],
)
def test_a_context_that_is_not_ours_is_said(config: Path, name: str, said: str) -> None:
    with pytest.raises(ClientFailure, match=said):
        context_settings(KubeconfigFiles([config]), name)


def test_a_path_that_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    """As one in a directory that may not be entered."""
    path = tmp_path / ("x" * 300) / "config"
    with pytest.raises(ClientFailure, match=r"the kubeconfig .* cannot be looked at: File name"):
        KubeconfigFiles([path])
    with pytest.raises(ClientFailure, match="cannot be looked at"), locked([path]):
        pytest.fail("it cannot be locked")


def test_no_current_context_is_said(tmp_path: Path) -> None:
    with pytest.raises(ClientFailure, match="has no current context"):
        context_settings(KubeconfigFiles([tmp_path / "missing"]), "")


def test_a_printed_context_is_a_kubeconfig_of_its_own() -> None:
    text = proxy_context().document(current=True).text()
    read = KubeconfigDocument.parse(text, "printed")
    assert read.current_context == "kz"
    assert read.entry("clusters", "kz") == proxy_context().entries()["clusters"]
    assert (
        KubeconfigDocument.parse(
            proxy_context().document(current=False).text(), "printed"
        ).current_context
        == ""
    )


@pytest.mark.parametrize("value", ["!own x", "2026-13-45", "!!int x", "0x_"])
def test_a_value_that_yaml_cannot_read_is_a_failure_and_no_crash(value: str) -> None:
    text = f"users: [{{name: u, user: {{exec: {{command: {value}}}}}}}]"
    document = KubeconfigDocument.parse(text, "config")

    with pytest.raises(ClientFailure, match="entry 'u' in users has a value"):
        document.entry("users", "u")
