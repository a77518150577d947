"""The contexts of the demo: one for each role, with a browser and without."""

import shlex
import sys

import pytest
import yaml

from kzproxy.client.plugin_arguments import parse_arguments
from kzproxy.demo.directory import DemoDirectory
from kzproxy.demo.failure import DemoFailure
from kzproxy.demo.kubeconfigs import Kubeconfigs, plugin_call
from kzproxy.demo.sample import Namespaces

ROLES = ["developer", "operator", "guest", "admin"]


@pytest.fixture
def directory(tmp_path) -> DemoDirectory:
    directory = DemoDirectory(tmp_path / "a directory")
    directory.prepare()
    directory.ca.write_text("-----BEGIN CERTIFICATE-----")
    Kubeconfigs(
        directory=directory,
        proxy_url="https://127.0.0.1:8443",
        issuer="https://127.0.0.1:9443",
        namespaces=Namespaces(),
        plugin=["/opt/kzproxy"],
    ).write()
    return directory


def settings(kubeconfig, user):
    command = plugin_call(kubeconfig, user).command
    assert command[:2] == ["/opt/kzproxy", "credential"]
    return parse_arguments(command[2:])


def test_there_is_a_context_for_each_role(directory):
    document = yaml.safe_load(directory.kubeconfig.read_text())
    assert [context["name"] for context in document["contexts"]] == ROLES
    assert document["current-context"] == "developer"
    namespaces = {each["name"]: each["context"]["namespace"] for each in document["contexts"]}
    assert namespaces["developer"] == "dev"
    assert namespaces["operator"] == "prod"


def test_no_secret_is_in_them_and_nobody_else_may_read_them(directory):
    for path in (directory.kubeconfig, *map(directory.scripted_kubeconfig, ROLES)):
        assert path.stat().st_mode & 0o777 == 0o600
        users = [each["user"] for each in yaml.safe_load(path.read_text())["users"]]
        assert {frozenset(user) for user in users} == {frozenset({"exec"})}


def test_a_person_is_asked_in_the_usual_way(directory):
    prompting = settings(directory.kubeconfig, "developer").prompting
    assert (prompting.flow, prompting.browser_command) == ("auto", "")


@pytest.mark.parametrize("user", ROLES)
def test_as_a_user_the_page_agent_stands_where_the_browser_would(directory, user):
    path = directory.scripted_kubeconfig(user)
    assert yaml.safe_load(path.read_text())["current-context"] == user
    prompting = settings(path, user).prompting
    assert prompting.flow == "browser"
    assert shlex.split(prompting.browser_command) == [
        *(sys.executable, "-P", "-m", "kzproxy.demo.page_agent"),
        *("--user", user, "--ca", str(directory.ca)),
    ]


def test_each_context_keeps_its_own_sign_in(directory):
    caches = [plugin_call(directory.kubeconfig, user).variables for user in ROLES]
    caches += [plugin_call(directory.scripted_kubeconfig(user), user).variables for user in ROLES]
    names = [cache["KZPROXY_CACHE_DIR"] for cache in caches]
    assert len(set(names)) == len(names)
    assert all(name.startswith(str(directory.root)) for name in names)


def test_a_guest_shows_no_device(directory):
    assert settings(directory.kubeconfig, "guest").device_certificate == ""
    assert settings(directory.kubeconfig, "admin").device_certificate


def test_a_user_that_is_not_there_is_named(directory, tmp_path):
    with pytest.raises(DemoFailure, match="has no user 'root'"):
        plugin_call(directory.kubeconfig, "root")
    with pytest.raises(DemoFailure, match="cannot be read"):
        plugin_call(tmp_path / "nothing", "guest")
