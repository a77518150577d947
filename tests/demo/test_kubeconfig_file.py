from pathlib import Path

from kzproxy.config.document import Mistakes
from kzproxy.config.kubeconfig import upstream_from_kubeconfig
from kzproxy.demo.kubeconfig_file import KubeconfigUser


def test_a_kubeconfig_is_read_by_kzproxy_and_never_prints_its_token(tmp_path: Path):
    authority, path = tmp_path / "ca.crt", tmp_path / "up stream.kubeconfig"
    authority.write_text("PEM")
    user = KubeconfigUser(
        name="kzproxy",
        server="https://127.0.0.1:6443",
        certificate_authority=authority,
        user={"token": "secret"},
    )
    user.write(path)
    mistakes = Mistakes()
    settings = upstream_from_kubeconfig(path, "", mistakes)
    mistakes.raise_if_any()
    assert settings is not None
    assert (settings.host, settings.port, settings.token) == ("127.0.0.1", 6443, "secret")
    assert "secret" not in repr(user)
    assert path.stat().st_mode & 0o777 == 0o600
