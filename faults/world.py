"""All that a case is played on: an API server, Stripe, the shop, mail, and the workloads as the kubelet keeps them."""

import asyncio
import os
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import client

from faults.api_proxy import ApiProxy, running_api_proxy
from faults.ledger import Ledger, running_ledger
from faults.pod import HOST, Pod, settings_environ
from faults.rights import Rights
from faults.sale import Sale
from faults.surroundings import Hosts, LogReader, on_small_disk
from faults.verdict import Verdict, judge
from fulfillment_api.names import GROUP, PLURAL, VERSION
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.cuttable_proxy import CuttableProxy, cuttable_proxy
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.server import StripeServer, stripe_server
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_local.mailbox import Mailbox, mailbox
from fulfillment_local.ports import free_port
from fulfillment_local.processes import wait_until_ready
from fulfillment_local.webhook_sender import Webhook

_SECRET = "whsec_faults_0123456789abcdef"  # noqa: S105 - signs events of the stand-in only
_NAMES = ("stripe.faults.test", "shop.faults.test")
_CLOCK = Path(__file__).parent / "clock"
_LEADS_WITHIN = 180.0  # seconds: a machine may be busy
_LOOK_EVERY = 0.1
_LOOK_AT_LEADERS_EVERY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """How a case differs from the usual world."""

    operators: int = 1
    behind_proxy: bool = False
    """Whether the workloads reach the API server by a proxy that can be told to fail."""
    names: bool = False
    """Whether the workloads know Stripe and the shop by names, which their own /etc/hosts holds."""
    log_pipes: tuple[str, ...] = ()
    """The workloads whose standard error is a pipe that the case reads."""
    log_disk: bool = False
    """Whether the logs are on a small disk of their own."""
    clocks: tuple[float, ...] = ()
    """By how many seconds the clock of each operator is wrong."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Other settings of the operators."""


@dataclass(kw_only=True)
class World:
    """What runs."""

    control_plane: ControlPlane
    namespace: str
    """Where the workloads are at work: no other case is."""
    api: client.ApiClient
    """As someone who may do everything."""
    stripe: StripeServer
    mailbox: Mailbox
    ledger: Ledger
    proxy: ApiProxy | None
    rights: Rights
    service: Pod
    operators: list[Pod]
    sale: Sale
    folder: Path
    mail_proxy: CuttableProxy
    hosts: Hosts | None
    log_readers: Mapping[str, LogReader]
    log_disk: Path
    operator_environ: Mapping[str, str]
    deleted: set[str] = field(default_factory=set)
    """Sessions whose requests a person deleted before they were paid."""
    two_led: bool = False
    """Whether two operators were seen to lead at once, twice in a row: one look may meet a change of the leader."""
    failovers: list[float] = field(default_factory=list)
    """How many seconds no operator led, each time."""

    def names_unknown(self) -> AbstractContextManager[None]:
        """Let the operators find no name while the context lasts."""
        return nullcontext() if self.hosts is None else self.hosts.empty()

    @property
    def address(self) -> dict[str, Any]:
        """Where the Kubernetes client library finds the requests."""
        return {"group": GROUP, "version": VERSION, "plural": PLURAL, "namespace": self.namespace}

    async def watch_leaders(self) -> None:
        """Look who leads, again and again, until cancelled."""
        before: set[Pod] = set()
        while True:
            gauges = await asyncio.gather(*(each.metric("fulfillment_leader") for each in self.operators))
            now = {each for each, gauge in zip(self.operators, gauges, strict=True) if gauge == 1}
            self.two_led |= len(now & before) > 1
            before = now
            await asyncio.sleep(_LOOK_AT_LEADERS_EVERY)

    async def leader(self) -> Pod:
        """Wait until an operator leads, and return it."""
        async with asyncio.timeout(_LEADS_WITHIN):
            while True:
                for each in self.operators:
                    if await each.metric("fulfillment_leader") == 1:
                        return each
                await asyncio.sleep(_LOOK_EVERY)

    async def next_leader(self, after: Pod) -> Pod:
        """Wait until another operator leads than one that has just been ended, and note how long that took."""
        start = asyncio.get_running_loop().time()
        async with asyncio.timeout(_LEADS_WITHIN):
            while True:
                for each in self.operators:
                    if each is not after and await each.metric("fulfillment_leader") == 1:
                        self.failovers.append(asyncio.get_running_loop().time() - start)
                        return each
                await asyncio.sleep(_LOOK_EVERY)

    async def stored(self) -> list[dict[str, Any]]:
        """List the requests as the API server has them."""
        found: Any = await client.CustomObjectsApi(self.api).list_namespaced_custom_object(
            **self.address, _request_timeout=10
        )
        items: list[dict[str, Any]] = found["items"]
        return items

    async def verdict(self) -> Verdict:
        """Tell how the orders stand now."""
        leading = [each for each in self.operators if await each.metric("fulfillment_leader") == 1]
        return judge(
            self.stripe.world,
            acknowledged=self.sale.acknowledged,
            objects=await self.stored(),
            keys=self.ledger.keys,
            posts=self.ledger.posts,
            mails=Counter(mail.message_id for mail in self.mailbox.mails),
            counted=await leading[0].metric("fulfillment_requests") if leading else None,
            deleted=self.deleted,
        )


@asynccontextmanager
async def open_world(  # noqa: PLR0913 - where, what, and how much
    control_plane: ControlPlane, staging: Staging, namespace: str, *, orders: int, seconds: float, seed: int
) -> AsyncIterator[World]:
    """Start all of it, in a namespace that is not there yet; the sale has not begun.

    Raises:
        UnavailableError: a part cannot start; with the last lines it wrote.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        api = await stack.enter_async_context(control_plane.connect())
        await client.CoreV1Api(api).create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=namespace)))
        rights = Rights(api, namespace)
        await rights.grant_all()
        proxy = await stack.enter_async_context(running_api_proxy(control_plane)) if staging.behind_proxy else None
        stripe = await stack.enter_async_context(stripe_server(new_world(seed=seed)))
        box = await stack.enter_async_context(mailbox())
        mail_proxy = await stack.enter_async_context(cuttable_proxy(box.port))
        ledger, endpoint = await stack.enter_async_context(running_ledger())
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        webhook_port = free_port(HOST)

        def kubeconfig(user: User) -> Path:
            path = control_plane.kubeconfigs[user]
            return path if proxy is None else proxy.kubeconfig(path, folder / f"{user}.kubeconfig")

        def named(url: str, name: str) -> str:
            return url.replace(HOST, name) if staging.names else url

        usual = {"FULFILLMENT_NAMESPACE": namespace, "FULFILLMENT_LOG_FORMAT": "json"}
        service_environ = settings_environ(
            kubeconfig(User.SERVICE),
            STRIPE_WEBHOOK_SECRETS=_SECRET,
            FULFILLMENT_WEBHOOK_PORT=str(webhook_port),
            **usual,
        )
        operator_settings = {
            **usual,
            "STRIPE_API_KEY": TEST_KEY,
            "STRIPE_API_BASE": named(stripe.url, _NAMES[0]),
            "STRIPE_REQUESTS_PER_SECOND": "1000",
            "STRIPE_ENDPOINT_REQUESTS_PER_SECOND": "1000",
            "STRIPE_TIMEOUT": "2s",
            "FULFILLMENT_BACKEND": "http",
            "FULFILLMENT_HTTP_URL": named(endpoint, _NAMES[1]),
            "FULFILLMENT_HTTP_TIMEOUT": "2s",
            "FULFILLMENT_BACKEND_RETRY_MAX": "4s",
            "FULFILLMENT_RECHECK_INTERVAL": "20s",
            "FULFILLMENT_REVERSAL_INTERVAL": "2s",
            "FULFILLMENT_SMTP_HOST": box.host,
            "FULFILLMENT_SMTP_PORT": str(mail_proxy.port),
            "FULFILLMENT_SMTP_TLS": "none",
            "FULFILLMENT_SMTP_TIMEOUT": "2s",
            "FULFILLMENT_MAIL_FROM": "orders@shop.example",
            **staging.settings,
        }
        environs = []
        for number in range(staging.operators):
            shift = staging.clocks[number] if staging.clocks else 0.0
            path = os.pathsep.join(filter(None, [str(_CLOCK), os.environ.get("PYTHONPATH")]))
            clock = {"PYTHONPATH": path, "FAULTS_CLOCK_SHIFT": str(shift)} if shift else {}
            environs.append(settings_environ(kubeconfig(User.OPERATOR), **operator_settings, **clock))
        hosts = Hosts(folder, _NAMES) if staging.names else None
        log_disk = folder / "disk"
        log_disk.mkdir()
        wrapper = hosts.wrapper() if hosts else on_small_disk(log_disk) if staging.log_disk else []
        log_readers = {name: LogReader(folder / f"{name}.log") for name in staging.log_pipes}
        for reader in log_readers.values():
            stack.callback(reader.close)
        service = Pod("service", http, folder / "service.log", service_environ)
        operators = [
            Pod(f"operator-{number}", http, folder / f"operator-{number}.log", environ, wrapper)
            for number, environ in enumerate(environs)
        ]
        webhook = Webhook(url=f"http://{HOST}:{webhook_port}/webhook", secrets=(_SECRET,), http=http)
        chance = random.Random(seed)  # noqa: S311 - which orders are played, no secret
        world = World(
            control_plane=control_plane,
            namespace=namespace,
            api=api,
            stripe=stripe,
            mailbox=box,
            ledger=ledger,
            proxy=proxy,
            rights=rights,
            service=service,
            operators=operators,
            sale=Sale(stripe.world, webhook, chance, orders, seconds),
            mail_proxy=mail_proxy,
            hosts=hosts,
            log_readers=log_readers,
            log_disk=log_disk,
            folder=folder,
            operator_environ=environs[0],
        )
        first, *others = operators
        await _start(stack, [service, first])
        await world.leader()  # before another one may
        await _start(stack, others)
        yield world


async def _start(stack: AsyncExitStack, pods: Sequence[Pod]) -> None:
    for pod in pods:
        await stack.enter_async_context(pod.running())
    for pod in pods:
        await wait_until_ready(pod.ready(), within=_LEADS_WITHIN)
