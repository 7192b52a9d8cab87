"""A workload as a process, `fulfillment service` above all, and one connection to it."""

import asyncio
import json
import re
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from support.commands import fulfillment
from support.running_webhook import OLD_SECRET, RULES, SECRET, sign


async def service_environ(control_plane: ControlPlane, namespace: str) -> dict[str, str]:
    """Allow it what the chart does, and return the whole environment of the process."""
    await control_plane.grant(User.SERVICE, namespace, [RULES])
    return {
        "KUBECONFIG": str(control_plane.kubeconfigs[User.SERVICE]),
        "FULFILLMENT_NAMESPACE": namespace,
        "FULFILLMENT_WEBHOOK_PORT": "0",
        "FULFILLMENT_MANAGEMENT_PORT": "0",
        "FULFILLMENT_WEBHOOK_DEADLINE": "9s",
        "STRIPE_WEBHOOK_SECRETS": f"{SECRET}, {OLD_SECRET}",
    }


async def start(environ: dict[str, str], workload: str = "service") -> Process:
    return await asyncio.create_subprocess_exec(fulfillment(), workload, env=environ, stdout=PIPE, stderr=PIPE)


async def end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


@asynccontextmanager
async def running(environ: dict[str, str], workload: str = "service") -> AsyncIterator[tuple[Process, dict[str, Any]]]:
    """Run it until it says that it has started, and yield the process and that line."""
    process = await start(environ, workload)
    assert process.stderr is not None
    try:
        yield process, json.loads(await process.stderr.readline())
    finally:
        await end(process)


@dataclass(frozen=True)
class Sender:
    """One connection to the webhook, as a load balancer holds it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def post(self, body: str, secret: str = SECRET) -> tuple[int, bool]:
        """Send an event: the answer's status, and whether the service is about to hang up."""
        lines = ("POST /webhook HTTP/1.1", "Host: shop", f"Stripe-Signature: {sign(body, secret)}")
        self.writer.write("\r\n".join((*lines, f"Content-Length: {len(body)}", "", body)).encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = re.search(r"content-length: (\d+)", head)
        assert length
        await self.reader.readexactly(int(length[1]))
        return int(head.split()[1]), "connection: close" in head


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Sender]:
    reader, writer = await asyncio.open_connection("localhost", port)
    try:
        yield Sender(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()
