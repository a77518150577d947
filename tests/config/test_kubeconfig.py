import base64
import json
from pathlib import Path

import pytest

from kzproxy.config.document import Mistakes
from kzproxy.config.kubeconfig import upstream_from_kubeconfig
from kzproxy.upstream.account import UpstreamSettings
from tests.servers.authority import Authority

CA = Authority.root()


def b64(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def written(directory: Path, cluster: dict[str, object], user: dict[str, object]) -> Path:
    file = directory / "kubeconfig"
    server = {"server": "https://api.example:6443", "certificate-authority-data": b64(CA.pem)}
    file.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "preferences": {},
                "current-context": "one",
                "clusters": [{"name": "c", "cluster": server | cluster}],
                "users": [{"name": "u", "user": user}, {"name": "t", "user": {"token": "tt"}}],
                "contexts": [
                    {"name": "one", "context": {"cluster": "c", "user": "u"}},
                    {"name": "two", "context": {"cluster": "c", "user": "t"}},
                ],
            }
        )
    )
    return file


def read(file: Path, context: str = "") -> UpstreamSettings:
    mistakes = Mistakes()
    settings = upstream_from_kubeconfig(file, context, mistakes)
    mistakes.raise_if_any()
    assert settings is not None
    return settings


def test_a_token_in_line_and_a_ca_in_line_are_read(tmp_path: Path) -> None:
    settings = read(written(tmp_path, {}, {"token": "secret-token"}))

    assert (settings.host, settings.port, settings.server_name) == (
        "api.example",
        6443,
        "api.example",
    )
    assert settings.authority_pem == CA.pem.decode()
    assert settings.token == "secret-token"
    assert "secret-token" not in repr(settings)


def test_files_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    leaf = CA.issue(common_names=["kzproxy"])
    leaf.write_to(tmp_path, "client")
    user = {"client-certificate": "client.crt", "client-key": "client.key"}
    settings = read(written(tmp_path, {"tls-server-name": "kubernetes"}, user))

    assert settings.server_name == "kubernetes"
    assert leaf.pem.decode() in settings.client_pem
    assert leaf.key_pem.decode() in settings.client_pem
    assert "PRIVATE" not in repr(settings)


def test_a_token_file_wins_over_the_token_in_line(tmp_path: Path) -> None:
    settings = read(written(tmp_path, {}, {"token": "old", "tokenFile": "fresh"}))

    assert (settings.token, settings.token_file) == ("", tmp_path / "fresh")


def test_another_context_may_be_named(tmp_path: Path) -> None:
    assert read(written(tmp_path, {}, {"token": "x"}), "two").token == "tt"


@pytest.mark.parametrize(
    ("cluster", "user", "part"),
    [
        ({"insecure-skip-tls-verify": True}, {"token": "t"}, "insecure-skip-tls-verify"),
        ({"proxy-url": "http://p"}, {"token": "t"}, "proxy-url"),
        ({"server": "http://api.example"}, {"token": "t"}, "must be https://"),
        ({"server": "https://api.example/path"}, {"token": "t"}, "must be https://"),
        ({"certificate-authority-data": "***"}, {"token": "t"}, "is not PEM"),
        ({}, {}, "neither a token nor a client certificate"),
        ({}, {"client-certificate-data": b64(CA.pem)}, "neither a token nor"),
        ({}, {"exec": {"command": "aws"}}, "uses exec"),
        ({}, {"username": "u", "password": "p"}, "uses username"),
        ({}, {"token": "t", "as": "admin"}, "uses as"),
        ({}, {"token": "t", "as-user-extra": {"reason": ["x"]}}, "uses as-user-extra"),
        ({}, {"token": 5}, "token must be a string"),
        ({}, {"client-certificate": "no.crt", "client-key": "no.key"}, "no.crt cannot be read"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    tmp_path: Path, cluster: dict[str, object], user: dict[str, object], part: str
) -> None:
    mistakes = Mistakes()

    assert upstream_from_kubeconfig(written(tmp_path, cluster, user), "", mistakes) is None
    assert len(mistakes) == 1
    assert part in str(mistakes.found[0])


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    mistakes = Mistakes()
    upstream_from_kubeconfig(written(tmp_path, {}, {"token": "t"}), "three", mistakes)

    assert "no context named 'three'" in str(mistakes.found[0])


@pytest.mark.parametrize("text", ["", "[]", "just text", "a: [", "clusters: 5"])
def test_what_is_no_kubeconfig_is_one_mistake(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    mistakes = Mistakes()

    assert upstream_from_kubeconfig(file, "", mistakes) is None
    assert len(mistakes) == 1
