"""Stands in for an MDM: HTTPS, JSON about devices, and every way of being rude."""

import asyncio
import ssl
from contextlib import asynccontextmanager

from aiohttp import web


class Mdm:
    """What it answers, by path; a test changes it."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.status = 200
        self.headers = {}
        self.raw = None
        self.hangs = asyncio.Event()
        self.hangs.set()
        self.url = ""

    async def answer(self, request):
        self.asked.append((request.raw_path, request.headers.get("Authorization", "")))
        await self.hangs.wait()
        if self.raw is not None:
            return web.Response(body=self.raw, status=self.status, headers=self.headers)
        if request.raw_path not in self.answers:
            return web.json_response({"error": "no such device"}, status=404)
        return web.json_response(
            self.answers[request.raw_path], status=self.status, headers=self.headers
        )


@asynccontextmanager
async def running_mdm(authority, directory):
    mdm = Mdm()
    certificate, key = authority.server("localhost", "127.0.0.1").write_to(directory, "mdm")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    application = web.Application()
    application.router.add_get("/{rest:.*}", mdm.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    mdm.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield mdm
    finally:
        mdm.hangs.set()
        await runner.cleanup()
