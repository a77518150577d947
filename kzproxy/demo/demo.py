"""Everything together: certificates, cluster, identity provider, kzproxy and its kubeconfigs."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kzproxy.clock.system import Clock
from kzproxy.demo.cluster import Cluster, OtherCluster, other_cluster, own_cluster
from kzproxy.demo.component import Component, ControlPlaneError
from kzproxy.demo.configuration import Endpoints, write_configuration
from kzproxy.demo.directory import DemoDirectory
from kzproxy.demo.identity_provider import IdentityProvider, running_identity_provider
from kzproxy.demo.idp_settings import IdentityProviderSettings
from kzproxy.demo.issue import issue_certificates
from kzproxy.demo.kubeconfigs import Kubeconfigs
from kzproxy.demo.loopback_ports import LOOPBACK, free_ports
from kzproxy.demo.private_file import write_private_file
from kzproxy.demo.progress import Progress
from kzproxy.demo.proxy_account import TOKEN_RENEWAL
from kzproxy.demo.proxy_process import running_proxy
from kzproxy.demo.sample import Sample, WorkingHours, machine_zone
from kzproxy.demo.set_up import ClusterSetUp
from kzproxy.demo.threads import in_thread

_WATCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A demo that runs."""

    directory: DemoDirectory
    endpoints: Endpoints
    cluster: Cluster
    hours: WorkingHours
    set_up: ClusterSetUp
    proxy: Component

    @property
    def decisions_so_far_bytes(self) -> int:
        """Return how long the decision log is now."""
        return self.directory.decisions.stat().st_size

    async def keep(self, progress: Progress) -> None:
        """Keep it going: renew kzproxy's token, and notice if kzproxy ends. Runs until cancelled.

        Raises:
            ControlPlaneError: kzproxy has ended.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._renew_token(progress))

    async def _watch(self) -> None:
        while True:
            # Its check that the process lives is the point; nothing is waited for.
            self.proxy.wait_until(lambda: True)
            await asyncio.sleep(_WATCH_SECONDS)

    async def _renew_token(self, progress: Progress) -> None:
        while True:
            await asyncio.sleep(TOKEN_RENEWAL.total_seconds())
            try:
                await in_thread(lambda: _write_token(self.directory, self.set_up))
            except ControlPlaneError as error:
                progress.warn(f"kzproxy's own token could not be renewed: {error}")


@asynccontextmanager
async def running_demo(
    directory: DemoDirectory, other: OtherCluster | None, clock: Clock, progress: Progress
) -> AsyncIterator[Demo]:
    """Run the demo until the block ends; then nothing of it is left running.

    Args:
        directory: Prepared; it is owned meanwhile.
        other: The cluster to use; None starts one.
        clock: For certificates, tokens and time-outs.
        progress: Told of each slow step.

    Raises:
        DemoFailure: Another demo runs in ``directory``, or ``other`` cannot be used.
        ControlPlaneError: Something did not come up.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(directory.owned())
        _forget_sign_ins(directory)
        issue_certificates(directory, clock)
        with progress.step("starting etcd, kube-apiserver, kube-controller-manager and a node"):
            cluster = await _cluster(stack, directory, other, clock)
        provider = await _provider(stack, directory, clock)
        hours = WorkingHours(zone_name=machine_zone(os.environ))
        sample = Sample(hours, cluster.namespaces)
        set_up = ClusterSetUp(cluster, sample)
        if not cluster.is_own:
            stack.push_async_callback(_take_out, set_up, progress)
        with progress.step("setting up namespaces, rights and pods"):
            await in_thread(set_up.apply)
            await in_thread(lambda: _write_token(directory, set_up))
        endpoints = _endpoints(cluster, provider)
        directory.upstream_ca.write_text(cluster.authority_pem)
        write_configuration(directory, endpoints, sample)
        with progress.step("starting kzproxy"):
            proxy = await stack.enter_async_context(running_proxy(directory, endpoints.ops, clock))
        _write_kubeconfigs(directory, endpoints, cluster)
        yield Demo(
            directory=directory,
            endpoints=endpoints,
            cluster=cluster,
            hours=hours,
            set_up=set_up,
            proxy=proxy,
        )


def plugin_command() -> list[str]:
    """Return how this very kzproxy is started, by absolute paths."""
    beside = Path(sys.executable).with_name("kzproxy")
    return [str(beside)] if beside.is_file() else [sys.executable, "-P", "-m", "kzproxy"]


async def _cluster(
    stack: AsyncExitStack, directory: DemoDirectory, other: OtherCluster | None, clock: Clock
) -> Cluster:
    if other is not None:
        return await other_cluster(other, directory)
    return await stack.enter_async_context(own_cluster(directory, clock))


async def _provider(
    stack: AsyncExitStack, directory: DemoDirectory, clock: Clock
) -> IdentityProvider:
    return await stack.enter_async_context(
        running_identity_provider(
            IdentityProviderSettings(),
            clock,
            certificate_file=directory.tls_certificate,
            private_key_file=directory.tls_key,
        )
    )


async def _take_out(set_up: ClusterSetUp, progress: Progress) -> None:
    try:
        await in_thread(set_up.take_out)
    except ControlPlaneError as error:
        progress.warn(f"what the demo put into the cluster may still be there: {error}")


def _endpoints(cluster: Cluster, provider: IdentityProvider) -> Endpoints:
    proxy, ops = free_ports(2)
    return Endpoints(
        proxy=f"{LOOPBACK}:{proxy}",
        ops=f"{LOOPBACK}:{ops}",
        issuer=provider.issuer,
        api_server=cluster.server,
    )


def _write_kubeconfigs(directory: DemoDirectory, endpoints: Endpoints, cluster: Cluster) -> None:
    plugin: Sequence[str] = plugin_command()
    Kubeconfigs(
        directory=directory,
        proxy_url=endpoints.proxy_url,
        issuer=endpoints.issuer,
        namespaces=cluster.namespaces,
        plugin=plugin,
    ).write()


def _write_token(directory: DemoDirectory, set_up: ClusterSetUp) -> None:
    write_private_file(directory.upstream_token, set_up.account.token().encode())


def _forget_sign_ins(directory: DemoDirectory) -> None:
    """Remove what the last demo's users left: its issuer is gone."""
    shutil.rmtree(directory.root / "cache", ignore_errors=True)
