"""What anybody on the Internet can send to the public port, played on the real process: nothing comes of it."""

import asyncio
import base64
import itertools
import json
import resource
import socket
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from kubernetes.aio import client
from prometheus_client.parser import text_string_to_metric_families
from standardwebhooks import Webhook as StandardWebhook

from fulfillment_api.names import request_name
from fulfillment_local.control_plane import ControlPlane
from fulfillment_runtime.kubernetes.errors import NotFoundError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from support.commands import PROGRAMS
from support.running_webhook import SECRET, sign
from support.service_process import end, service_environ
from support.stripe_events import SESSION, snapshot

pytestmark = pytest.mark.xdist_group("busy")

DEADLINE = 8.0
"""Seconds within which the service answers, as by default."""
SHORT_DEADLINE = 5.0
"""Seconds, where a test has to wait for it."""
WITHIN = 60.0
"""Seconds within which all else must come, on however slow a machine."""
CONNECTIONS = 1000
"""As many as the service holds."""
MANY = CONNECTIONS + 300
LARGEST = 100_000
"""Bytes of the largest body that it reads."""
GROWTH = 48 * 1024 * 1024
"""Bytes that it may grow by, whatever is sent: the large bodies that it holds, and what it allocates once."""
CALLBACK_SECRET = "whsec_" + base64.b64encode(b"of the http backend's").decode()
IGNORED = json.dumps(snapshot("invoice.paid"))
"""An event that is answered without the API server."""
HEAD = "POST /webhook HTTP/1.1\r\nHost: shop.example\r\n"


@dataclass(frozen=True)
class Edge:
    """The service at its public port, and what can be seen of it inside."""

    port: int
    management_port: int
    requests: FulfillmentRequestClient
    http: aiohttp.ClientSession

    async def exchange(self, raw: bytes) -> bytes:
        """Send anything, and return all that comes until the service hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(WITHIN):
                writer.write(raw)
                with suppress(ConnectionError):
                    await writer.drain()
                    return await reader.read()
                return b""
        finally:
            writer.close()

    async def post(self, body: str, headers: dict[str, str], path: str = "/webhook") -> tuple[int, dict[str, str]]:
        async with self.http.post(f"http://127.0.0.1:{self.port}{path}", data=body, headers=headers) as response:
            return response.status, await response.json()

    async def send(self, event: dict[str, Any]) -> tuple[int, dict[str, str]]:
        """Send an event as Stripe does, over a connection of its own."""
        body = json.dumps(event)
        return await self.post(body, {"Stripe-Signature": sign(body), "Connection": "close"})

    async def metric(self, name: str, **labels: str) -> float:
        async with self.http.get(f"http://127.0.0.1:{self.management_port}/metrics") as response:
            text = await response.text()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return next(sample.value for sample in samples if (sample.name, sample.labels) == (name, labels))

    async def rejections(self, reason: str) -> float:
        return await self.metric("fulfillment_webhook_rejections_total", reason=reason)

    async def memory(self) -> float:
        return await self.metric("process_resident_memory_bytes")

    async def releases_all(self) -> None:
        """Wait until it holds no connection but the few of these tests."""
        async with asyncio.timeout(WITHIN):
            while await self.metric("process_open_fds") > 60:
                pass


@asynccontextmanager
async def at_the_edge(control_plane: ControlPlane, **settings: str) -> AsyncIterator[tuple[Edge, asyncio.StreamReader]]:
    """Run the real program, allowed no more open files than most systems give it, and yield it with its log."""
    async with control_plane.connect() as api, aiohttp.ClientSession() as http:
        made = await client.CoreV1Api(api).create_namespace(
            client.V1Namespace(metadata=client.V1ObjectMeta(generate_name="edge-"))
        )
        assert made.metadata
        assert made.metadata.name
        environ = await service_environ(control_plane, made.metadata.name)
        environ |= {
            "FULFILLMENT_WEBHOOK_DEADLINE": f"{DEADLINE}s",
            "FULFILLMENT_WEBHOOK_MAX_BODY_BYTES": str(LARGEST),
            "FULFILLMENT_HTTP_SECRET": CALLBACK_SECRET,
            "FULFILLMENT_RETENTION": "0s",
            **settings,
        }
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", 'ulimit -Sn 1024; exec "$0" service', PROGRAMS / "fulfillment", env=environ, stderr=PIPE
        )
        assert process.stderr is not None
        try:
            line = json.loads(await process.stderr.readline())
            requests = FulfillmentRequestClient(LibraryRestClient(api), made.metadata.name, timeout=10.0)
            yield Edge(line["webhook_port"], line["management_port"], requests, http), process.stderr
            assert process.returncode is None
        finally:
            await end(process)


@pytest.fixture(scope="module")
async def running_edge(control_plane: ControlPlane, crd: None) -> AsyncIterator[Edge]:  # noqa: ARG001 - it must be there
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # these tests are as many senders as there are
    async with at_the_edge(control_plane) as (edge, log):
        reading = asyncio.create_task(drained(log))
        yield edge
        reading.cancel()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def drained(log: asyncio.StreamReader) -> None:
    while await log.read(1 << 20):
        pass


@pytest.fixture
async def edge(running_edge: Edge) -> AsyncIterator[Edge]:
    """Yield it, and see that it serves afterwards as before."""
    yield running_edge
    assert (await running_edge.send(snapshot()))[0] == 200


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def senders(edge: Edge, count: int, first: bytes) -> AsyncIterator[list[Connection]]:
    """Open connections, and send the same over each."""
    opened: list[Connection] = []
    try:
        for _ in range(count):
            opened.append(await asyncio.open_connection("127.0.0.1", edge.port))
            opened[-1][1].write(first)
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def drip(connection: Connection, piece: bytes) -> bytes:
    """Send a piece again and again, slowly, and return what comes until the service hangs up."""
    reader, writer = connection
    answer = asyncio.create_task(reader.read())
    with suppress(ConnectionError):
        while not answer.done():
            writer.write(piece)
            await writer.drain()
            await asyncio.wait({answer}, timeout=0.2)
        return await answer
    return b""


async def test_slow_heads_and_slow_bodies_end_at_the_deadline(control_plane: ControlPlane, crd: None) -> None:  # noqa: ARG001 - it must be there
    """However steadily they come: a head is hung up on, a body is answered 408, and events are taken meanwhile."""
    kinds = [
        (HEAD, "X-More: 1\r\n"),
        (f"{HEAD}Content-Length: 90000\r\n\r\n", "{"),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n", "1\r\n{\r\n"),
    ]
    async with (
        at_the_edge(control_plane, FULFILLMENT_WEBHOOK_DEADLINE=f"{SHORT_DEADLINE}s") as (edge, _),
        AsyncExitStack() as stack,
    ):
        began = time.monotonic()
        opened = [await stack.enter_async_context(senders(edge, 15, first.encode())) for first, _ in kinds]
        dripping = [drip(each, piece.encode()) for some, (_, piece) in zip(opened, kinds, strict=True) for each in some]
        answers = asyncio.gather(*dripping)
        while not answers.done():
            assert (await edge.send(snapshot("invoice.paid")))[0] == 200
            await asyncio.sleep(0.2)
        took, ended = time.monotonic() - began, await answers
        assert SHORT_DEADLINE < took < WITHIN
        assert {each[:12] for each in ended[:15]} == {b""}
        assert {each[:12] for each in ended[15:]} <= {b"HTTP/1.1 408", b""}  # it is lost on who goes on sending
        assert await edge.rejections("too-slow") == 30


async def test_who_reads_no_answer_binds_nothing(edge: Edge) -> None:
    """An unsigned request is answered, and its connection given up, whether or not the sender ever reads."""
    request = f"{HEAD}Content-Length: 2\r\n\r\n{{}}".encode()
    async with senders(edge, 200, request * 50):
        await edge.releases_all()


async def test_a_signed_sender_who_reads_no_answer_is_not_read_on(edge: Edge) -> None:
    """Requests are taken one after the other: its next is read once the answer is gone, so no answers pile up."""
    count = 4000
    body = IGNORED.encode()
    request = f"{HEAD}Stripe-Signature: {sign(IGNORED)}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)  # noqa: FBT003 - the library's
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", edge.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=4096)
        before = await edge.memory()
        writing = asyncio.create_task(written(writer, request, count))
        await asyncio.sleep(1)
        assert await edge.memory() - before < GROWTH
        async with asyncio.timeout(WITHIN):
            answered = 0
            while answered < count:
                answered += (await reader.readuntil(b'"reason":"event-type"}')).count(b"HTTP/1.1 200")
            await writing
        writer.close()


async def written(writer: asyncio.StreamWriter, piece: bytes, count: int) -> None:
    for _ in range(count):
        writer.write(piece)
        await writer.drain()


@pytest.mark.parametrize("first", [b"", HEAD.encode(), f"{HEAD}Content-Length: 90000\r\n\r\n{{".encode()])
async def test_a_flood_of_connections_keeps_no_event_out(edge: Edge, first: bytes) -> None:
    """More than it holds, that say nothing or half a request: it hangs up on the oldest, and takes what is signed."""
    before = await edge.memory()
    async with senders(edge, MANY, first) as opened:
        for number in range(5):
            began = time.monotonic()
            assert (await edge.send(snapshot(session={"id": f"cs_test_flood{number}"})))[0] == 200
            assert time.monotonic() - began < DEADLINE
        assert await edge.metric("process_open_fds") < CONNECTIONS + 60
        with suppress(ConnectionError):
            assert (await opened[0][0].read())[:12] in {b"", b"HTTP/1.1 408"}  # the latter on a slow machine
        assert await edge.memory() - before < GROWTH
    await edge.releases_all()


async def test_what_is_refused_because_of_too_many_connections_is_counted(edge: Edge) -> None:
    """Each of them was proved to be Stripe's, so none is hung up on: the next is answered 503, and sent again."""
    body = IGNORED.encode()
    request = f"{HEAD}Stripe-Signature: {sign(IGNORED)}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    async with senders(edge, CONNECTIONS - 1, request) as opened:
        for reader, _ in opened:
            assert (await reader.readuntil(b'"reason":"event-type"}')).startswith(b"HTTP/1.1 200")
        before = await edge.rejections("overloaded")
        async with edge.http.post(f"http://127.0.0.1:{edge.port}/webhook", data=body) as response:
            assert response.status == 503
        assert await edge.rejections("overloaded") == before + 1
        assert await edge.metric("fulfillment_webhook_duration_seconds_count", status="503") >= 1
    await edge.releases_all()


EVENT = json.dumps(snapshot())
GOOD = sign(EVENT)
_TIME, _, _V1 = GOOD.partition(",")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 400),
        ([""], 400),
        (["t=,v1="], 400),
        (["v1=00"], 400),
        ([f"{_TIME},v0={_V1[3:]}"], 400),
        ([f"{_TIME},v1"], 400),
        ([f"{_TIME};{_V1}"], 400),
        ([f"t=-1,{_V1}"], 400),
        ([f"t=1_0,{_V1}"], 400),
        ([f"t=1e9,{_V1}"], 400),
        ([f"t={'9' * 5000},{_V1}"], 400),
        ([f"t=\u00b2,{_V1}"], 400),
        ([f"{_TIME},v1=\u00e9"], 400),
        ([f"t=1,{GOOD}"], 400),
        ([f"{_TIME},{_V1.upper()}"], 400),
        ([f"{_TIME},{_V1[:-1]}"], 400),
        ([_TIME + ",v1=00" * 9000], 400),
        (["," * 60_000], 400),
        (["=" * 60_000], 400),
        ([GOOD, "t=1,v1=00"], 400),
        (["x" * 400_000], None),
    ],
)
async def test_no_signature_header_but_the_right_one_is_heard(
    edge: Edge, headers: list[str], status: int | None
) -> None:
    """Malformed ones are answered 400, as soon as others are; one that is larger than any head is hung up on."""
    lines = "".join(f"Stripe-Signature: {value}\r\n" for value in headers)
    answer = await edge.exchange(f"{HEAD}{lines}Content-Length: {len(EVENT)}\r\n\r\n{EVENT}".encode("latin-1"))
    assert answer[:13] == (b"" if status is None else f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1") <= 1


@pytest.mark.parametrize("path", ["/webhook", f"/callback/{request_name(SESSION['id'])}", "/", "/elsewhere"])
@pytest.mark.parametrize("framing", ["announced", "chunked"])
async def test_no_path_reads_a_body_that_is_too_large(edge: Edge, path: str, framing: str) -> None:
    """It is answered before it is whole, and the connection ends; where nothing is served, that is all the same."""
    head = f"POST {path} HTTP/1.1\r\nHost: shop.example\r\n"
    before = await edge.memory()
    if framing == "announced":
        raw = f"{head}Content-Length: 1000000000\r\n\r\n".encode() + b" " * 1000
    else:
        raw = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + (b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 5
    connections = [edge.exchange(raw) for _ in range(20)]
    statuses = {answer[:12] for answer in await asyncio.gather(*connections)} - {b""}
    assert statuses <= {b"HTTP/1.1 413" if path.startswith(("/webhook", "/callback")) else b"HTTP/1.1 404"}
    assert await edge.memory() - before < GROWTH


def with_body(*lines: str, body: str = EVENT) -> str:
    return "\r\n".join([f"Stripe-Signature: {GOOD}", *lines, "", body])


HIDDEN = f"{HEAD}Content-Length: 0\r\n\r\n"
LENGTH = f"Content-Length: {len(EVENT)}"


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + with_body(LENGTH, "Transfer-Encoding: chunked"),
        HEAD + with_body(LENGTH, "Content-Length: 5"),
        HEAD + with_body("Content-Length: -5"),
        HEAD + with_body("Content-Length: 5, 6"),
        HEAD + with_body("Content-Length: 0x10"),
        HEAD + with_body("Content-Length: " + "9" * 30),
        HEAD + with_body("Transfer-Encoding: chunked", body="xyz\r\n"),
        HEAD + with_body("Transfer-Encoding: chunked", body="-1\r\n"),
        HEAD + with_body("Transfer-Encoding: chunked", body="f" * 20 + "\r\n"),
        HEAD + with_body("Transfer-Encoding: gzip"),
        HEAD + with_body("Transfer-Encoding: chunked, identity"),
        HEAD + f"Stripe-Signature : {GOOD}\r\n{LENGTH}\r\n\r\n{EVENT}",
        HEAD + f" folded: 1\r\n{LENGTH}\r\n\r\n{EVENT}",
        HEAD + f"X-Null: \0\r\n{LENGTH}\r\n\r\n{EVENT}",
        "POST /webhook HTTP/3.7\r\n\r\n",
        "post /webhook HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00",
    ],
    ids=itertools.count(1),  # what they hold was signed just now, at another time in each process
)
async def test_a_request_that_is_framed_in_two_ways_or_none_is_the_last(edge: Edge, request_: str) -> None:
    """It is answered 400 and hung up on: nothing that follows on its connection is taken for a request."""
    before = await edge.rejections("invalid-http")
    answer = await edge.exchange((request_ + HIDDEN * 2).encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert await edge.rejections("invalid-http") == before + 1


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/webhook", {}, 200),
        ("POST", "/webhook?x=/callback", {}, 200),
        ("POST", "//webhook", {}, 200),
        ("POST", "/WEBHOOK", {}, 404),
        ("POST", "/webhook/more", {}, 404),
        ("POST", "/webhook;x", {}, 404),
        ("POST", "/webhook%00", {}, 404),
        ("POST", "/callback/../webhook", {}, 404),
        ("POST", "/callback/%2e%2e%2fwebhook", {}, 404),
        ("POST", "/metrics", {"X-Original-URL": "/webhook"}, 404),
        ("POST", "/", {"X-Rewrite-URL": "/webhook", "X-Forwarded-Prefix": "/webhook"}, 404),
        ("GET", "/webhook", {"X-HTTP-Method-Override": "POST"}, 405),
        ("OPTIONS", "/webhook", {}, 405),
        ("TRACE", "/webhook", {}, 405),
        ("POST", "/webhook", {"Host": "evil.example", "X-Forwarded-For": "3.18.12.63", "X-Forwarded-Proto": "x"}, 200),
        ("POST", "/webhook", {"Content-Encoding": "gzip"}, 200),
        ("POST", "/webhook", {"Content-Type": "multipart/form-data; boundary=x"}, 200),
    ],
)
async def test_a_path_or_a_header_leads_nowhere_else(
    edge: Edge, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """The body is what Stripe signed, so that what decides is the method and the path alone, as they were sent."""
    sent = {"Host": "shop.example", "Connection": "close", "Stripe-Signature": sign(IGNORED), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    raw = f"{method} {path} HTTP/1.1\r\n{lines}Content-Length: {len(IGNORED)}\r\n\r\n{IGNORED}"
    assert (await edge.exchange(raw.encode()))[:12] == f"HTTP/1.1 {status}".encode()


async def test_what_is_replayed_within_the_tolerance_makes_one_order(edge: Edge) -> None:
    """Byte for byte, at once and one after the other: one object, and nothing in it changes."""
    session_id = "cs_test_replayed"
    body = json.dumps(snapshot(session={"id": session_id}))
    headers = {"Stripe-Signature": sign(body)}
    answers = await asyncio.gather(*(edge.post(body, headers) for _ in range(20)))
    results = sorted(answer["result"] for status, answer in answers if status == 200)
    assert results == ["created", *["unchanged"] * 19]
    stored = await edge.requests.get(request_name(session_id))
    assert (await edge.post(body, headers))[1]["result"] == "unchanged"
    assert await edge.requests.get(request_name(session_id)) == stored


@pytest.mark.parametrize(
    ("age", "error"), [(310, "stale-signature"), (10**9, "stale-signature"), (-310, "future-signature")]
)
async def test_what_is_signed_at_another_time_makes_none(edge: Edge, age: float, error: str) -> None:
    """Rightly signed, and replayed after the tolerance, or made for later."""
    session_id = f"cs_test_late{abs(age):.0f}"
    body = json.dumps(snapshot(session={"id": session_id}))
    status, answer = await edge.post(body, {"Stripe-Signature": sign(body, age=age)})
    assert (status, answer["error"]) == (400, error)
    with pytest.raises(NotFoundError):
        await edge.requests.get(request_name(session_id))


ORDER = request_name("cs_test_forged")
DONE = json.dumps({"result": "done"})


def callback(
    key: str = ORDER, *, age: float = 0, body: str = DONE, secret: str = CALLBACK_SECRET, **changed: str
) -> dict[str, str]:
    at = datetime.fromtimestamp(int(time.time() - age), UTC)
    signature = StandardWebhook(secret).sign(key, at, body)
    headers = {"webhook-id": key, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    return headers | {f"webhook-{name}": value for name, value in changed.items()}


OTHER_SECRET = "whsec_" + base64.b64encode(b"another's").decode()


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (dict, "no-signature"),
        (lambda: callback(signature=""), "no-signature"),
        (lambda: callback(timestamp="now"), "no-signature"),
        (lambda: callback(timestamp="9" * 40), "no-signature"),
        (lambda: callback(secret=OTHER_SECRET), "wrong-signature"),
        (lambda: callback(body='{"result": "rejected"}'), "wrong-signature"),
        (lambda: callback(id=request_name("cs_test_another")), "wrong-signature"),
        (lambda: callback(signature="v1,AAAA " * 5000), "wrong-signature"),
        (lambda: callback(signature="v1a," + "A" * 88), "wrong-signature"),
        (lambda: callback(request_name("cs_test_another")), "another-order"),
        (lambda: callback(age=400), "stale-signature"),
        (lambda: callback(age=-400), "stale-signature"),
        (callback, "unknown-order"),
        (lambda: {"Stripe-Signature": sign(DONE, SECRET)}, "no-signature"),
    ],
)
async def test_a_forged_callback_ends_no_order(edge: Edge, made: Callable[[], dict[str, str]], error: str) -> None:
    """Signed by another, for another order, for other words, at another time, or of an order that there is not."""
    _, answer = await edge.post(DONE, made(), f"/callback/{ORDER}")
    assert answer["error"] == error


async def test_signed_events_come_through_a_flood_of_unsigned_ones(edge: Edge) -> None:
    """Small and large, over as many connections as it holds large bodies and more: all in time, and memory bounded."""
    enough = asyncio.Event()
    before, rejected = await edge.memory(), await edge.rejections("no-signature")

    async def flood(body: bytes) -> None:
        raw = f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body
        while not enough.is_set():
            with suppress(ConnectionError):
                await edge.exchange(raw)

    flooding = [asyncio.create_task(flood(b"{" * size)) for size in (10, 10, 10, 90_000) * 8]
    slowest = 0.0
    for number in range(20):
        began = time.monotonic()
        assert (await edge.send(snapshot(session={"id": f"cs_test_wanted{number}"})))[0] == 200
        slowest = max(slowest, time.monotonic() - began)
    grown = await edge.memory() - before
    enough.set()
    await asyncio.gather(*flooding)
    assert slowest < DEADLINE
    assert grown < GROWTH
    assert await edge.rejections("no-signature") > rejected + 20


STRIPE, STRANGER = "3.18.12.63", "192.0.2.66"
PROXY = "127.0.0.1, ::1"


async def lines_of(log: asyncio.StreamReader, event: str) -> AsyncIterator[dict[str, Any]]:
    async for line in log:
        found = json.loads(line)
        if found["event"] == event:
            yield found


async def test_an_allow_list_goes_by_what_trusted_proxies_say(control_plane: ControlPlane, crd: None) -> None:  # noqa: ARG001 - it must be there
    """The nearest address that is no trusted proxy's counts; who is turned away is counted, and told once a minute."""
    allowed = {"STRIPE_ALLOWED_SOURCES": f"{STRIPE} 2001:db8::/32"}
    rows: Iterable[tuple[list[str], int]] = [
        ([STRIPE], 200),
        ([f"{STRANGER}, {STRIPE}"], 200),
        ([STRANGER, STRIPE], 200),
        (["2001:db8::7"], 200),
        (["[2001:db8::7]:443"], 200),
        ([f"{STRIPE}, 127.0.0.1"], 200),
        ([], 403),
        ([STRANGER], 403),
        ([f"{STRIPE}, {STRANGER}"], 403),
        ([STRIPE, STRANGER], 403),
        ([f"{STRIPE}, unknown"], 403),
        ([""], 403),
    ]
    async with at_the_edge(control_plane, **allowed, FULFILLMENT_TRUSTED_PROXIES=PROXY) as (edge, log):
        for values, status in rows:
            lines = "".join(f"X-Forwarded-For: {value}\r\n" for value in values)
            signed = f"Stripe-Signature: {sign(IGNORED)}\r\nConnection: close\r\nContent-Length: {len(IGNORED)}\r\n"
            answer = await edge.exchange(f"{HEAD}{lines}{signed}\r\n{IGNORED}".encode())
            assert answer[:12] == f"HTTP/1.1 {status}".encode(), values
        refused = sum(status == 403 for _, status in rows)
        assert await edge.rejections("not-allowed") == refused
        assert await edge.metric("fulfillment_webhook_duration_seconds_count", status="403") == refused
        told = lines_of(log, "webhook.turned_away")
        assert (await anext(told))["count"] == 1
        await edge.exchange(b"no HTTP\r\n\r\n")
        line = await anext(told)
        assert (line["reason"], line["count"]) == ("invalid-http", 1)


async def test_no_proxy_is_trusted_that_is_not_named(control_plane: ControlPlane, crd: None) -> None:  # noqa: ARG001 - it must be there
    """Whatever a sender writes into a header, the address that counts is its own."""
    async with at_the_edge(control_plane, STRIPE_ALLOWED_SOURCES=STRIPE) as (edge, _):
        body = json.dumps(snapshot())
        for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP"):
            status, answer = await edge.post(body, {"Stripe-Signature": sign(body), header: STRIPE})
            assert (status, answer["error"]) == (403, "not-allowed")
        with pytest.raises(NotFoundError):
            await edge.requests.get(request_name(SESSION["id"]))
