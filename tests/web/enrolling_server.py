"""The enrolment endpoints over TLS, with real devices behind them."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from kzproxy.demo.loopback_ports import free_ports
from kzproxy.devices.device_record import DeviceRecord
from kzproxy.web.address_limits import AddressLimit
from kzproxy.web.device_enrolment import Callers, DeviceEnrolment, EnrolmentParts
from tests.devices.kept_devices import KeptDevices
from tests.servers.authority import Authority


def refusals(kept: KeptDevices) -> AddressLimit:
    return AddressLimit(
        kept.clock,
        what="refused requests",
        each_per_minute=20,
        all_per_minute=99,
        share_per_minute=2,
    )


@asynccontextmanager
async def enrolling_server(
    directory: Path,
    kept: KeptDevices,
    callers: Callers,
    path: str = "",
    *,
    authority: Authority | None = None,
    refused: AddressLimit | None = None,
) -> AsyncIterator[str]:
    """Serve until the block ends; gives the URL.

    The CA of its certificate, and of those that clients may show, is ``ca.crt``.
    """
    authority = authority or Authority.root("server root")
    (directory / "ca.crt").write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server("localhost").write_to(directory, "server"))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(directory / "ca.crt")
    (port,) = free_ports(1)
    url = f"https://localhost:{port}{path}"

    async def changed(record: DeviceRecord) -> None:
        await kept.administration.settle(record)

    application = web.Application()
    parts = EnrolmentParts(
        enrolment=lambda: kept.enrolment,
        nonces=kept.nonces,
        callers=callers,
        changed=changed,
        refused=refused or refusals(kept),
    )
    DeviceEnrolment(parts, url=url).add_to(application, path)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "localhost", port, ssl_context=context).start()
        yield url
    finally:
        await runner.cleanup()
