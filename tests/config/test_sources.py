import os
from pathlib import Path

import pytest

from kzproxy.config.document import Mistakes
from kzproxy.config.proxy import load_proxy_settings
from kzproxy.config.sources import Sources
from kzproxy.errors.configuration import ConfigurationError


def looked_at(path: Path) -> Sources:
    sources = Sources()
    sources.look_at(path)
    return sources


def changed(sources: Sources) -> bool:
    return sources.differ(sources.as_they_are())


def test_a_file_that_stays_has_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("a")

    assert not changed(looked_at(file))


def test_a_file_of_another_length_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("a")
    sources = looked_at(file)
    file.write_text("ab")

    assert changed(sources)


def test_a_file_of_another_time_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("a")
    sources = looked_at(file)
    os.utime(file, ns=(1, 1))

    assert changed(sources)


def test_a_file_with_the_same_length_and_time_that_took_its_place_is_seen(tmp_path: Path) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    for each in (file, other):
        each.write_text("a")
        os.utime(each, ns=(1, 1))
    sources = looked_at(file)
    other.rename(file)

    assert changed(sources)


def test_a_file_that_comes_or_goes_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "a"
    missing = looked_at(file)
    file.write_text("a")
    there = looked_at(file)
    assert changed(missing)
    assert not changed(there)
    file.unlink()
    assert changed(there)


def test_the_kubelets_swap_of_a_directory_is_seen(tmp_path: Path) -> None:
    for name in ("..one", "..two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.yaml").write_text("same")
        os.utime(tmp_path / name / "policy.yaml", ns=(1, 1))
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "policy.yaml").symlink_to("..data/policy.yaml")
    sources = looked_at(tmp_path / "policy.yaml")
    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert changed(sources)


def test_a_file_is_as_it_was_when_it_was_first_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "a"
    sources = looked_at(file)
    file.write_text("a")
    sources.look_at(file)

    assert changed(sources)


def test_every_file_of_a_configuration_is_noted_though_it_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("not: [a policy")
    (tmp_path / "kzproxy.yaml").write_text(
        """
apiVersion: kzproxy.dev/v1
kind: ProxyConfiguration
listen: {address: "127.0.0.1:1", certificateFile: tls.crt, privateKeyFile: tls.key}
devices: {certificateAuthorityFile: device-ca.crt}
upstream:
  server:
    url: https://127.0.0.1
    certificateAuthorityFile: api-ca.crt
    tokenFile: token
authenticationFile: authentication.yaml
policyFiles: [policy.yaml, more.yaml]
decisionLog: {stdout: true}
"""
    )
    sources = Sources()
    with pytest.raises(ConfigurationError):
        load_proxy_settings(tmp_path / "kzproxy.yaml", sources)

    # The token is not among them: who uses it reads it again by itself.
    assert {file.name for file in sources.files} == {
        "kzproxy.yaml",
        "tls.crt",
        "tls.key",
        "device-ca.crt",
        "api-ca.crt",
        "authentication.yaml",
        "policy.yaml",
        "more.yaml",
    }


def test_mistakes_keep_sources_of_their_own_unless_given_some() -> None:
    assert Mistakes().sources is not Mistakes().sources
