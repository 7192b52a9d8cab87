"""`python -m fulfillment_local.mail_server`: the mail catcher as a process of its own, such as a pod.

`GET /mails` on its HTTP port lists what was caught, `DELETE /mails` forgets it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import click
import msgspec
from aiohttp import web

from fulfillment_local.mailbox import Mailbox, mailbox
from fulfillment_local.signals import told_to_end
from fulfillment_runtime.sockets import listen


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail catcher that can be asked over HTTP."""

    mailbox: Mailbox
    url: str
    """Where it can be asked, from this machine."""


@asynccontextmanager
async def mail_server(*, host: str, smtp_port: int = 0, http_port: int = 0) -> AsyncIterator[MailServer]:
    """Catch mail, and tell over HTTP what was caught (a port 0 takes a free one).

    Raises:
        UnavailableError: a port is taken.
    """
    async with mailbox(host=host, port=smtp_port) as box:
        listener = listen(http_port, what="the mail catcher's HTTP port", setting="--http-port")

        async def tell(_request: web.Request) -> web.StreamResponse:
            return web.Response(body=msgspec.json.encode(box.mails), content_type="application/json")

        async def forget(_request: web.Request) -> web.StreamResponse:
            box.clear()
            return web.Response(status=HTTPStatus.NO_CONTENT)

        app = web.Application()
        app.add_routes([web.get("/mails", tell), web.delete("/mails", forget)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield MailServer(box, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            await runner.cleanup()


@click.command(context_settings={"show_default": True})
@click.option("--host", default="0.0.0.0", help="The address to take mail on.")  # noqa: S104 - others send from outside
@click.option("--smtp-port", default=1025, help="The port to take mail on; 0 takes a free one.")
@click.option("--http-port", default=8025, help="The port to be asked on; 0 takes a free one.")
def command(host: str, smtp_port: int, http_port: int) -> None:
    """Catch mail, and tell what was caught."""
    asyncio.run(_serve(host, smtp_port, http_port))


async def _serve(host: str, smtp_port: int, http_port: int) -> None:
    async with mail_server(host=host, smtp_port=smtp_port, http_port=http_port) as server:
        click.echo(f"The mail catcher takes mail on port {server.mailbox.port}, and is asked at {server.url}/mails")
        await told_to_end()


if __name__ == "__main__":
    command()
