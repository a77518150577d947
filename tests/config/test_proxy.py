import base64
import json
import shutil
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from kzproxy.config.proxy import Address, load_proxy_settings
from kzproxy.errors.configuration import ConfigurationError
from tests.servers.authority import Authority

EXAMPLES = Path(__file__).parents[2] / "config"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The shipped examples, with the certificates and the kubeconfig that they name."""
    for example in EXAMPLES.glob("*.yaml"):
        shutil.copy(example, tmp_path)
    authority = Authority.root()
    authority.server("localhost").write_to(tmp_path, "tls")
    (tmp_path / "device-ca.crt").write_bytes(authority.pem)
    (tmp_path / "token").write_text("a-token")
    (tmp_path / "upstream-ca.crt").write_bytes(authority.pem)
    (tmp_path / "upstream.kubeconfig").write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [
                    {
                        "name": "c",
                        "cluster": {
                            "server": "https://10.0.0.1:6443",
                            "certificate-authority": "upstream-ca.crt",
                        },
                    }
                ],
                "users": [{"name": "c", "user": {"tokenFile": "token"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
            }
        )
    )
    return tmp_path


def test_the_shipped_example_with_sessions_is_read(directory: Path) -> None:
    authority = Authority.root()
    authority.issued.write_to(directory, "device-ca")
    (directory / "store.keys").write_text(base64.b64encode(bytes(32)).decode())
    (directory / "idp.secret").write_text("a secret")

    settings = load_proxy_settings(directory / "kzproxy-sessions.yaml")

    assert settings.store is not None
    assert settings.store.file == directory / "kzproxy.db"
    assert settings.sign_in is not None
    assert settings.sign_in.url == "https://kzproxy.example.com:8444"
    assert settings.devices.issuing is not None
    assert settings.sessions.reverify == timedelta(minutes=1)
    assert settings.signals is not None
    assert settings.signals.back_channel_logout


def changed(directory: Path, **fields: object) -> Path:
    """Change fields of the example; None removes one."""
    file = directory / "kzproxy.yaml"
    content = yaml.safe_load(file.read_text()) | fields
    file.write_text(
        yaml.safe_dump({name: value for name, value in content.items() if value is not None})
    )
    return file


def mistakes_of(file: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load_proxy_settings(file)
    return [str(mistake) for mistake in raised.value.mistakes]


def test_the_shipped_example_is_read(directory: Path) -> None:
    settings = load_proxy_settings(directory / "kzproxy.yaml")

    assert settings.listen == Address(host="0.0.0.0", port=8443)
    assert settings.ops == Address(host="127.0.0.1", port=9443)
    assert settings.tls.minimum_version is ssl.TLSVersion.TLSv1_3
    assert settings.tls.device_authority_file == directory / "device-ca.crt"
    assert (settings.upstream.host, settings.upstream.port) == ("10.0.0.1", 6443)
    assert settings.upstream.token_file == directory / "token"
    assert settings.upstream.endpoints == (("10.0.0.1", 6443),)
    assert (settings.send_uid, settings.send_decision_id) == (True, False)
    assert settings.decision_log.file == directory / "decisions.jsonl"
    assert settings.drain == timedelta(seconds=30)
    assert settings.issuers
    assert settings.policy.rules


def test_all_mistakes_in_all_files_are_reported_at_once(directory: Path) -> None:
    file = changed(
        directory,
        kind="Proxy",
        listen={
            "address": "localhost:8443",
            "certificateFile": "no.crt",
            "privateKeyFile": "tls.key",
        },
        drainTimeoutSeconds=0,
        colour="blue",
    )
    (directory / "policy.yaml").write_text("apiVersion: kzproxy.dev/v1\nkind: AccessPolicies\n")

    found = "\n".join(mistakes_of(file))

    for part in (
        "ProxyConfiguration",
        "'localhost:8443' must be ADDRESS:PORT",
        "no.crt is not a file",
        "colour",
        "AccessPolicy",
    ):
        assert part in found
    assert all(line.startswith(str(directory)) for line in found.splitlines())


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"apiVersion": "v2"}, "kzproxy.dev/v1"),
        ({"policyFiles": []}, "at least one file"),
        ({"policyFiles": ["nowhere.yaml"]}, "is not a file"),
        ({"authenticationFile": None}, "authenticationFile"),
        ({"decisionLog": {}}, "without a log nothing is permitted"),
        ({"decisionLog": {"stdout": "yes"}}, "true or false"),
        (
            {"decisionLog": {"stdout": True, "rotation": {"atMebibytes": 1, "keep": 1}}},
            "rotation needs a file",
        ),
        ({"decisionLog": {"file": "d", "rotation": {"atMebibytes": 1}}}, "keep must be set"),
        ({"decisionLog": {"file": "d", "rotation": {"atMebibytes": 0, "keep": 1}}}, "from 1 to"),
        ({"ops": {"address": "127.0.0.1:99999"}}, "99999 is not a port"),
        ({"reasons": {}}, "directory must be set"),
        ({"reasons": {"directory": "no/where"}}, "is not a directory"),
        ({"reasons": {"directory": "r", "maximumSeconds": 59}}, "from 60 to"),
        ({"upstream": {}}, "exactly one of inCluster, kubeconfig and server"),
        (
            {"upstream": {"inCluster": {}, "kubeconfig": {"file": "upstream.kubeconfig"}}},
            "exactly one of",
        ),
        ({"upstream": {"inCluster": {}}}, "does not run in a pod"),
        (
            {
                "upstream": {
                    "kubeconfig": {"file": "upstream.kubeconfig"},
                    "otherURLs": ["https://10.0.0.1:6443"],
                }
            },
            "this endpoint is named already",
        ),
        (
            {
                "upstream": {
                    "kubeconfig": {"file": "upstream.kubeconfig"},
                    "otherURLs": ["http://10.0.0.2"],
                }
            },
            "must be https://",
        ),
        ({"upstream": {"server": {"url": "http://h", "tokenFile": "token"}}}, "must be https://"),
        (
            {"upstream": {"server": {"url": "https://h/x", "tokenFile": "token"}}},
            "must be https://",
        ),
        ({"upstream": {"server": {"url": "https://h"}}}, "set either tokenFile"),
    ],
)
def test_a_mistake_says_what_is_allowed(
    directory: Path, fields: dict[str, object], part: str
) -> None:
    found = mistakes_of(changed(directory, **fields))

    assert any(part in mistake for mistake in found), found


UNSEEN = "x" * 300  # As a file in a directory that kzproxy may not enter: it cannot be looked at.


@pytest.mark.parametrize(
    "fields",
    [
        {"policyFiles": ["policy.yaml", UNSEEN]},
        {"authenticationFile": UNSEEN},
        {"upstream": {"kubeconfig": {"file": UNSEEN}}},
        {"upstream": {"server": {"url": "https://h", "tokenFile": UNSEEN}}},
        {"devices": {"certificateAuthorityFile": UNSEEN}},
        {"reasons": {"directory": f"{UNSEEN}/r"}},
        {"store": {"file": f"{UNSEEN}/s", "keysEnvironment": "HOME"}},
    ],
)
def test_what_cannot_be_looked_at_is_a_mistake_like_others(
    directory: Path, fields: dict[str, object]
) -> None:
    found = mistakes_of(changed(directory, colour="blue", **fields))

    assert any(f"{UNSEEN} cannot be looked at: " in mistake for mistake in found), found
    assert any("unknown field colour" in mistake for mistake in found), found


def test_other_endpoints_of_the_cluster_are_read(directory: Path) -> None:
    file = directory / "kzproxy.yaml"
    document = yaml.safe_load(file.read_text())
    document["upstream"]["otherURLs"] = ["https://10.0.0.2:6443", "https://[fd00::3]"]
    document["upstream"]["impersonation"] = {"uid": False}
    file.write_text(yaml.safe_dump(document))

    upstream = load_proxy_settings(file).upstream

    assert upstream.others == (("10.0.0.2", 6443), ("fd00::3", 443))


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    assert len(mistakes_of(tmp_path / "no.yaml")) == 1


def test_a_rule_that_asks_for_a_reason_needs_a_place_for_reasons(directory: Path) -> None:
    policy = yaml.safe_load((directory / "policy.yaml").read_text())
    asking = next(rule for rule in policy["rules"] if rule["effect"] == "allow")
    asking["obligations"] = {"reason": "required"}
    (directory / "policy.yaml").write_text(yaml.safe_dump(policy))

    (mistake,) = mistakes_of(directory / "kzproxy.yaml")
    assert f"rule {asking['id']} asks users for a reason" in mistake
    settings = load_proxy_settings(changed(directory, reasons={"directory": "reasons"}))
    assert settings.reasons is not None


def test_sessions_need_a_sign_in_that_begins_them(directory: Path) -> None:
    """Left to be, a bound that an operator has set would hold for nobody."""
    store = {"file": "kept.db", "keysFile": "store.keys"}
    (directory / "store.keys").write_text(base64.b64encode(bytes(32)).decode())
    file = changed(directory, store=store, sessions={"absoluteSeconds": 3600})

    (mistake,) = mistakes_of(file)
    assert "needs signIn" in mistake
    assert f"{file}:" in mistake


def test_signals_need_a_store_and_a_listener(directory: Path) -> None:
    found = "\n".join(mistakes_of(changed(directory, signals={"backChannelLogout": True})))

    assert "needs store" in found
    assert "needs signIn" in found
