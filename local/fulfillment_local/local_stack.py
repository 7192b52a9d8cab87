"""The whole product on one machine: a real API server, the workloads as processes, and stand-ins.

The demo runs it for people; nothing of it is another product than what is installed into a cluster.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp

from fulfillment_api.crd import custom_resource_definition
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.rate_limits import RateLimits
from fulfillment_local.fake_stripe.server import StripeServer, stripe_server
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_local.mailbox import Mailbox, mailbox
from fulfillment_local.ports import free_port
from fulfillment_local.processes import Child, wait_until_ready
from fulfillment_local.programs import Programs
from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.sockets import listen

HOST = "127.0.0.1"
WEBHOOK_URL = "http://localhost:4242/webhook"  # as in Stripe's guide
"""Where the webhook is, unless another program has its port."""
SECRET = "whsec_demo_0123456789abcdef"  # noqa: S105 - signs events of the stand-in only

_WEBHOOK_PORT = 4242
_STRIPE_PORT = 4243
_SERVICE_MANAGEMENT_PORT = 8081
_OPERATOR_MANAGEMENT_PORT = 8082
_PAGE_PORT = 4244
_PAGE_MANAGEMENT_PORT = 8083

_SHOP = {"FULFILLMENT_SHOP_NAME": "Harbour Goods", "FULFILLMENT_SHOP_URL": "https://shop.example/cart"}

_FULFILLMENT = Path(sys.executable).with_name("fulfillment")
_READY_WITHIN = 120.0  # seconds; it takes about 2, and one that ended is told of at once
_ASK_AGAIN_AFTER = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class StripeAccount:
    """A real account at Stripe, to use instead of the stand-in."""

    api_key: str
    webhook_secrets: str


@dataclass(frozen=True, slots=True)
class LocalStack:
    """What runs."""

    kubectl: Path
    kubeconfig: Path
    webhook_url: str
    service_url: str
    """Where the service's metrics and probes are."""
    operator_url: str
    """Where the operator's are."""
    page_url: str
    """Where buyers see their orders: without `?session_id=…`."""
    mailbox: Mailbox
    stripe: StripeServer | None
    """The stand-in; None when Stripe itself is used."""
    logs: Path
    """The folder of `service.log`, `operator.log` and `page.log`."""

    environ: Mapping[str, str]
    """The environment of the operator, and of what else asks Stripe."""

    async def run_kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator, and return what it prints.

        Raises:
            UnavailableError: it failed; with its own words.
        """
        return await _output(self.kubectl, arguments, {**os.environ, "KUBECONFIG": str(self.kubeconfig)}, stdin)

    async def run_fulfillment(self, *arguments: str) -> str:
        """Run `fulfillment` with the operator's settings, and return what it prints.

        Raises:
            UnavailableError: it failed; with its own words.
        """
        return await _output(_FULFILLMENT, arguments, self.environ)


async def _output(program: Path, arguments: Sequence[str], environ: Mapping[str, str], stdin: str | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate(stdin.encode() if stdin else None)
    finally:
        if process.returncode is None:  # nobody waits for it any more
            process.kill()
            await process.wait()
    if process.returncode:
        raise UnavailableError(f"{program.name} {' '.join(arguments)}: {errors.decode().strip()}")
    return output.decode()


@asynccontextmanager
async def running_local_stack(
    programs: Programs, account: StripeAccount | None = None, *, limits: RateLimits | None = None
) -> AsyncIterator[LocalStack]:
    """Start all of it, and stop all of it in the end.

    Each server has its usual port, or a free one while another program has that.

    Args:
        programs: what runs the API server.
        account: use Stripe itself; None starts the stand-in.
        limits: the rate limits of the stand-in; None: it has none, and the operator asks as often as it can.

    Raises:
        UnavailableError: a part cannot start; with the last lines it wrote.
    """
    async with AsyncExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="checkout-fulfillment-")))
        control_plane = await stack.enter_async_context(ControlPlane.running(programs))
        stripe = None
        if account is None:
            stripe = await stack.enter_async_context(
                stripe_server(new_world(), host=HOST, port=_port(_STRIPE_PORT), limits=limits)
            )
        box = await stack.enter_async_context(mailbox(host=HOST))
        kubeconfig = control_plane.kubeconfigs[User.ADMIN]
        webhook, service_management, operator_management = map(
            _port, (_WEBHOOK_PORT, _SERVICE_MANAGEMENT_PORT, _OPERATOR_MANAGEMENT_PORT)
        )
        page, page_management = map(_port, (_PAGE_PORT, _PAGE_MANAGEMENT_PORT))
        environ = {**_environ(), "KUBECONFIG": str(kubeconfig), "FULFILLMENT_BIND_ADDRESS": HOST}
        service = environ | _service_settings(account, webhook, service_management)
        operator = environ | _operator_settings(account, stripe, box, operator_management)
        if stripe is not None and limits is None:
            operator |= {"STRIPE_REQUESTS_PER_SECOND": "1000", "STRIPE_ENDPOINT_REQUESTS_PER_SECOND": "1000"}
        machine = LocalStack(
            kubectl=control_plane.kubectl,
            kubeconfig=kubeconfig,
            webhook_url=f"http://localhost:{webhook}/webhook",
            service_url=f"http://{HOST}:{service_management}",
            operator_url=f"http://{HOST}:{operator_management}",
            page_url=f"http://localhost:{page}/order",
            mailbox=box,
            stripe=stripe,
            logs=logs,
            environ=operator,
        )
        await control_plane.install(custom_resource_definition())
        page_management_url = f"http://{HOST}:{page_management}"
        workloads = {
            machine.service_url: Child(_FULFILLMENT, ["service"], logs / "service.log", service),
            machine.operator_url: Child(_FULFILLMENT, ["operator"], logs / "operator.log", operator),
            page_management_url: Child(
                _FULFILLMENT,
                ["page"],
                logs / "page.log",
                environ | _page_settings(account, stripe, page, page_management),
            ),
        }
        for child in workloads.values():
            await child.start()
            stack.push_async_callback(child.stop)
        for url, child in workloads.items():
            await wait_until_ready(_answers(f"{url}/readyz"), child, within=_READY_WITHIN)
        yield machine


async def _answers(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url) as response:
                    if response.status == HTTPStatus.OK:
                        return
            except aiohttp.ClientConnectionError:
                pass  # it does not listen yet
            await asyncio.sleep(_ASK_AGAIN_AFTER)


def _port(usual: int) -> int:
    try:
        listen(usual, what="port", setting="nothing").close()
    except UnavailableError:
        return free_port(HOST)
    return usual


def _environ() -> dict[str, str]:
    """Return this process's environment without any setting of ours, so that the machine is always the same."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("FULFILLMENT_", "STRIPE_"))}


def _service_settings(account: StripeAccount | None, webhook_port: int, management_port: int) -> dict[str, str]:
    return {
        "STRIPE_WEBHOOK_SECRETS": account.webhook_secrets if account else SECRET,
        "FULFILLMENT_WEBHOOK_PORT": str(webhook_port),
        "FULFILLMENT_MANAGEMENT_PORT": str(management_port),
    }


def _page_settings(
    account: StripeAccount | None, stripe: StripeServer | None, page_port: int, management_port: int
) -> dict[str, str]:
    return _stripe_settings(account, stripe) | {
        "FULFILLMENT_PAGE_PORT": str(page_port),
        "FULFILLMENT_MANAGEMENT_PORT": str(management_port),
        **_SHOP,
    }


def _stripe_settings(account: StripeAccount | None, stripe: StripeServer | None) -> dict[str, str]:
    key = {"STRIPE_API_KEY": account.api_key if account else TEST_KEY}
    return key | ({"STRIPE_API_BASE": stripe.url} if stripe else {})


def _operator_settings(
    account: StripeAccount | None, stripe: StripeServer | None, box: Mailbox, management_port: int
) -> dict[str, str]:
    return _stripe_settings(account, stripe) | {
        "FULFILLMENT_MANAGEMENT_PORT": str(management_port),
        "FULFILLMENT_SMTP_HOST": box.host,
        "FULFILLMENT_SMTP_PORT": str(box.port),
        "FULFILLMENT_SMTP_TLS": "none",
        "FULFILLMENT_MAIL_FROM": "Harbour Goods <orders@shop.example>",
        **_SHOP,
        "FULFILLMENT_REVERSAL_INTERVAL": "1s",  # nobody waits half a minute for a demo
    }
