"""`kubectl fulfillment` asked about many requests at once, when it cannot go on, or a person ends it."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import pytest
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_cli.action_client import ActionClient
from fulfillment_cli.actions import Action, Actor, Verb
from fulfillment_cli.bulk import print_outcomes, request_each
from fulfillment_cli.cluster import CONCURRENCY
from fulfillment_local.credentials import User
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError
from fulfillment_runtime.kubernetes.event_sink import EventSink
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.kubernetes.rest import Answer, Method
from support import commands
from support.running_operator import Shop
from support.running_plugin import Plugin

pytestmark = pytest.mark.usefixtures("crd")

READS = client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["get", "list", "watch"])
POSTS = client.V1PolicyRule(api_groups=[""], resources=["events"], verbs=["create"])
FAILED = Status(
    phase=Phase.FAILED, reason=Reason.FULFILLMENT_FAILED, message="it failed", observed_generation=1, conditions=[]
)
RETRY = Action(Verb.RETRY)
BUSY = Answer(HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests", b"")

Meddle = Callable[[Method, str], Awaitable[Answer | None]]


@dataclass(frozen=True)
class Meddled:
    """A connection to the API server on which somebody else answers some requests."""

    rest: LibraryRestClient
    meddle: Meddle

    async def request(self, method: Method, path: str, **how: Any) -> Answer:
        return await self.meddle(method, path) or await self.rest.request(method, path, **how)

    def stream(self, path: str, **how: Any) -> AbstractAsyncContextManager[Any]:
        return self.rest.stream(path, **how)


def actions(shop: Shop, meddle: Meddle) -> ActionClient:
    rest = Meddled(LibraryRestClient(shop.api), meddle)
    events = EventSink(rest, shop.namespace, reporter="here", timeout=10)
    requests = FulfillmentRequestClient(rest, shop.namespace, timeout=10)
    return ActionClient(requests, events, Actor(datetime(2026, 11, 24, 16, tzinfo=UTC), "alice"))


async def failed(shop: Shop, count: int) -> list[FulfillmentRequest]:
    """Make orders that failed, in the order of their names."""
    names = sorted([await shop.make(f"cs_test_{number:02}") for number in range(count)])
    return [await shop.requests.patch_status(each, FAILED) for each in names]


async def is_retried(shop: Shop, request: FulfillmentRequest) -> bool:
    return bool((await shop.requests.get(request.metadata.name)).annotations.retry)


async def test_what_is_forbidden_of_one_is_tried_with_no_other(shop: Shop) -> None:
    """It says what was requested by then, and how many were not tried."""
    requests = await failed(shop, 3 * CONCURRENCY)
    first = requests[0].metadata.name
    writes = client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], resource_names=[first], verbs=["patch"])
    await shop.control_plane.grant(User.ALICE, shop.namespace, [READS, POSTS, writes])
    said = await Plugin(shop)("retry", "--all", "--yes", "--wait=60")
    assert (said.code, said.output) == (os.EX_NOPERM, f"{first} retry requested\n")
    *refused, counted, why = said.errors.splitlines()
    assert CONCURRENCY - 1 <= len(refused) <= CONCURRENCY
    assert all(PLURAL in each for each in refused)
    assert counted == f"1 requested, {len(requests) - 1 - len(refused)} not tried"
    assert why.startswith(f'Error: RBAC forbids it: {PLURAL}.{GROUP} "')
    assert [await is_retried(shop, each) for each in requests] == [True, *(False for _ in requests[1:])]


async def test_a_request_that_is_cut_short_may_have_been_done(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a person presses Ctrl-C, what was requested is told, and of what nobody knows it."""
    requests = await failed(shop, CONCURRENCY + 5)
    first, *others = (each.metadata.name for each in requests)
    held = set[str]()
    all_held = asyncio.Event()

    async def meddle(method: Method, path: str) -> Answer | None:
        name = path.rpartition("/")[2]
        if method is not Method.PATCH or name == first:
            return None
        held.add(name)
        if len(held) == CONCURRENCY:  # so the first one has made room
            all_held.set()
        await asyncio.Event().wait()
        return None

    requesting = asyncio.create_task(request_each(actions(shop, meddle), RETRY, requests))
    await all_held.wait()
    requesting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await requesting
    said = capsys.readouterr()
    assert said.out == f"{first} retry requested\n"
    assert said.err.splitlines() == [
        *(f"{each} may be requested: kubectl fulfillment show {each}" for each in others[:CONCURRENCY]),
        "1 requested, 4 not tried",
    ]


async def test_an_event_that_cannot_be_written_takes_nothing_back(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The annotation stands, so the action is requested, and one line tells of the Events."""
    requests = await failed(shop, 2)

    async def meddle(_method: Method, path: str) -> Answer | None:
        return BUSY if path.endswith("/events") else None

    requested = await request_each(actions(shop, meddle), RETRY, requests)
    assert [each.request.metadata.name for each in requested] == [each.metadata.name for each in requests]
    assert [await is_retried(shop, each) for each in requests] == [True, True]
    why = "the Kubernetes API answered 429: Too Many Requests"
    assert capsys.readouterr().err == f"without an Event about it: {why}\n"


async def test_an_api_server_that_goes_away_leaves_what_was_requested(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came of it cannot be read: of each it says that it is requested."""
    requests = await failed(shop, CONCURRENCY + 1)

    async def meddle(method: Method, _path: str) -> Answer | None:
        return BUSY if method is Method.GET else None

    acting = actions(shop, meddle)
    requested = await request_each(acting, RETRY, requests)
    with pytest.raises(ApiUnavailableError):
        await print_outcomes(acting, requested, shop.namespace, 0.5)
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"{each.metadata.name} retry requested" for each in requests]
    assert said.err == ""


@contextmanager
def ctrl_c() -> Iterator[None]:
    """Let programs that are started heed Ctrl-C, also where a shell has it ignored here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def test_who_waits_no_longer_is_told_what_was_requested(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told in the order in which it was selected."""
    requests = await failed(shop, 3)
    read = asyncio.Semaphore(0)

    async def meddle(method: Method, _path: str) -> Answer | None:
        if method is Method.GET:
            read.release()
            await asyncio.Event().wait()
        return None

    acting = actions(shop, meddle)
    requested = await request_each(acting, RETRY, requests)
    waiting = asyncio.create_task(print_outcomes(acting, requested, shop.namespace, 60))
    for _ in requests:
        await read.acquire()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert capsys.readouterr().out.splitlines() == [f"{each.metadata.name} retry requested" for each in requests]


async def retry_all(shop: Shop, *options: str) -> asyncio.subprocess.Process:
    """Have a person retry all that failed, who may press Ctrl-C."""
    with ctrl_c():
        return await asyncio.create_subprocess_exec(
            commands.plugins() / "kubectl-fulfillment",
            *("retry", "--all", "-n", shop.namespace, *options),
            env={
                **os.environ,
                "PATH": f"{commands.plugins()}:{os.environ['PATH']}",
                "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.ADMIN]),
            },
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )


async def test_ctrl_c_at_the_question_is_a_no(shop: Shop) -> None:
    """It is heeded at once, and nothing is written."""
    (request,) = await failed(shop, 1)
    process = await retry_all(shop)
    assert process.stderr is not None
    asked = await process.stderr.readuntil(b"[y/N]: ")
    assert b"(FulfillmentFailed: 1)?" in asked
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 1
    assert not await is_retried(shop, request)


async def test_ctrl_c_takes_nothing_back(shop: Shop) -> None:
    """Each order that has the annotation is named, and the exit code is a shell's."""
    requests = await failed(shop, 3)
    process = await retry_all(shop, "--yes", "--wait=600")
    names = {each.metadata.name for each in requests}
    async with shop.watching(None) as changes:
        async for request in changes:
            if request.annotations.retry:
                names.discard(request.metadata.name)
            if not names:
                break
    process.send_signal(signal.SIGINT)
    output, errors = await process.communicate()
    assert process.returncode == 130
    assert all(each.metadata.name.encode() in output + errors for each in requests)
