"""kube-rbac-proxy as released: the proxy that most clusters know."""

import json
from pathlib import Path

from bench.load import Door
from bench.policy import PREFIX
from bench.systems.system import Site, System
from bench.world import AUDIENCE


class KubeRbacProxy(System):
    """OIDC tokens and one static permission; it asks nobody, impersonates nobody, logs nothing.

    Its own defaults in all else: it keeps two idle connections to its upstream.
    """

    name = "kube-rbac-proxy"

    def __init__(self, site: Site, program: Path) -> None:
        """Take its path."""
        super().__init__(site)
        self._program = program

    @property
    def door(self) -> Door:
        """Tokens, over TLS."""
        return Door(address=f"127.0.0.1:{self.port}", authority=self.site.world.authority)

    def command(self) -> list[str]:
        """Write its files; return what starts it."""
        world, upstream = self.site.world, self.site.upstream
        permission = self.site.directory / "authorization.yaml"
        permission.write_text(json.dumps(_AUTHORIZATION))
        options = {
            "secure-listen-address": f"127.0.0.1:{self.port}",
            "upstream": f"https://{upstream.address}/",
            "upstream-ca-file": upstream.authority,
            "tls-cert-file": world.directory / "proxy.crt",
            "tls-private-key-file": world.directory / "proxy.key",
            "oidc-issuer": world.issuer_url,
            "oidc-clientID": AUDIENCE,
            "oidc-ca-file": world.authority,
            "oidc-username-claim": "sub",
            "oidc-username-prefix": PREFIX,
            "oidc-groups-prefix": PREFIX,
            "config-file": permission,
            "kubeconfig": upstream.kubeconfig,
        }
        if upstream.client_certificate is not None:
            options["upstream-client-cert-file"] = upstream.client_certificate
            options["upstream-client-key-file"] = str(upstream.client_key)
        return [str(self._program), *(f"--{name}={value}" for name, value in options.items())]


# Whatever is asked for counts as this one resource, which everybody may have.
_AUTHORIZATION = {
    "authorization": {
        "resourceAttributes": {"resource": "kube-apiserver"},
        "static": [{"resourceRequest": True, "resource": "kube-apiserver"}],
    }
}
