"""`fulfillment service` as a process: how it starts, what it writes, and how it ends."""

import asyncio
import itertools
import json
import os
import signal
import socket
from contextlib import AsyncExitStack, closing
from pathlib import Path

import aiohttp
import pytest
import yaml

from fulfillment_api.names import request_name
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.programs import find_programs
from support.kubelet import MountedVolume
from support.running_webhook import OLD_SECRET, SECRET, sign
from support.service_process import connected, end, running, service_environ, start
from support.stripe_events import SESSION, snapshot


@pytest.fixture
async def environ(
    control_plane: ControlPlane,
    namespace: str,
    crd: None,  # noqa: ARG001 - it must be there
) -> dict[str, str]:
    return await service_environ(control_plane, namespace)


async def last_words(environ: dict[str, str]) -> tuple[int | None, str, str]:
    """Run it until it ends by itself: exit code, standard output, standard error."""
    process = await start({"FULFILLMENT_LOG_FORMAT": "console", **environ})
    try:
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
    finally:
        await end(process)
    return process.returncode, output.decode(), errors.decode()


def with_another_server(kubeconfig: str, folder: Path, server: str) -> str:
    changed = yaml.safe_load(Path(kubeconfig).read_text())
    changed["clusters"][0]["cluster"]["server"] = server
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(changed))
    return str(file)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (
            {"STRIPE_WEBHOOK_SECRETS": ""},
            os.EX_CONFIG,
            "STRIPE_WEBHOOK_SECRETS (stripe.existingSecret) is set but empty",
        ),
        (
            {"STRIPE_WEBHOOK_SECRETS": "sk_test_topsecret"},
            os.EX_CONFIG,
            "STRIPE_WEBHOOK_SECRETS (stripe.existingSecret): number 1 of 1 is no signing secret: it starts with whsec_",
        ),
        (
            {"STRIPE_WEBHOOK_SECRET": SECRET},
            os.EX_CONFIG,
            "did you mean STRIPE_WEBHOOK_SECRETS (stripe.existingSecret)?",
        ),
        ({"KUBECONFIG": "/none"}, os.EX_CONFIG, "KUBECONFIG names '/none', which is not there"),
        (
            {"FULFILLMENT_NAMESPACE": "kube-system"},
            os.EX_NOPERM,
            "RBAC does not allow this process to create fulfillmentrequests in the namespace kube-system",
        ),
    ],
)
async def test_it_does_not_start_with_a_mistake(
    environ: dict[str, str], changes: dict[str, str], code: int, words: str
) -> None:
    """It says what to do in one line, and no secret."""
    returned, output, errors = await last_words(environ | changes)
    assert (returned, output) == (code, "")
    assert words in errors
    assert errors.startswith("Error: ")
    assert errors.count("\n") == 1
    assert "topsecret" not in errors


async def test_it_does_not_start_without_an_api_server(environ: dict[str, str], tmp_path: Path) -> None:
    """Nobody listens there: a later start may succeed."""
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{nobody.getsockname()[1]}"
        unreachable = with_another_server(environ["KUBECONFIG"], tmp_path, server)
        code, _, errors = await last_words(environ | {"KUBECONFIG": unreachable})
    assert code == os.EX_UNAVAILABLE
    assert errors.startswith("Error: the Kubernetes API cannot be reached")
    assert errors.endswith("is it up, and is the address right?\n")
    assert errors.count("\n") == 1


async def test_it_does_not_start_before_a_hanging_api_server(
    environ: dict[str, str], control_plane: ControlPlane
) -> None:
    """It gives up in time, and says so."""
    with control_plane.hanging():
        code, _, errors = await last_words(environ)
    assert code == os.EX_UNAVAILABLE
    assert errors == ("Error: the Kubernetes API did not answer in time: is it up, and is the address right?\n")


async def test_it_does_not_start_without_the_definition(environ: dict[str, str]) -> None:
    """The cluster does not know what a FulfillmentRequest is: install it first."""
    async with ControlPlane.running(find_programs(os.environ)) as bare:
        code, _, errors = await last_words(environ | {"KUBECONFIG": str(bare.kubeconfigs[User.ADMIN])})
    assert code == os.EX_CONFIG
    assert errors == (
        "Error: the cluster has no fulfillmentrequests.checkout-fulfillment.dev: install the chart, or run "
        "`fulfillment crd | kubectl apply -f -`\n"
    )


@pytest.mark.parametrize("name", ["FULFILLMENT_WEBHOOK_PORT", "FULFILLMENT_MANAGEMENT_PORT"])
async def test_it_does_not_start_on_a_port_that_is_taken(environ: dict[str, str], name: str) -> None:
    """It names the setting to change."""
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, errors = await last_words(environ | {name: port})
    assert code == os.EX_UNAVAILABLE
    assert errors.splitlines()[-1].startswith("Error: ")
    assert f"port {port} cannot be opened (" in errors
    assert name in errors
    assert errors.count("\n") == 1


def listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port)).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_it_listens_on_the_address_that_it_is_told(environ: dict[str, str], address: str) -> None:
    """Both ports do, and on no other."""
    other = {"127.0.0.1": "::1", "::1": "127.0.0.1"}[address]
    for _ in range(3):  # another program may have a port at the other address that is free at this one
        async with running(environ | {"FULFILLMENT_BIND_ADDRESS": address}) as (_, line):
            ports = line["webhook_port"], line["management_port"]
            assert all(listens(address, port) for port in ports)
            if not any(listens(other, port) for port in ports):
                return
    raise AssertionError(f"what it opens at {address} is open at {other}, too")


async def test_it_does_not_start_on_an_address_that_is_not_its_own(environ: dict[str, str]) -> None:
    """The address is named."""
    code, _, errors = await last_words(environ | {"FULFILLMENT_BIND_ADDRESS": "192.0.2.1"})
    assert code == os.EX_UNAVAILABLE
    assert "cannot be opened on 192.0.2.1 (" in errors


async def test_what_stands_in_files_is_changed_without_a_restart(environ: dict[str, str], tmp_path: Path) -> None:
    """Events signed with a new secret are taken, and those of a new account count, by the same process."""
    volume = MountedVolume(tmp_path, {"webhook-secrets": OLD_SECRET, "accounts": "acct_1"})
    mounted = {name: value for name, value in environ.items() if name != "STRIPE_WEBHOOK_SECRETS"}
    mounted["STRIPE_WEBHOOK_SECRETS_FILE"] = str(tmp_path / "webhook-secrets")
    mounted["STRIPE_ACCOUNTS_FILE"] = str(tmp_path / "accounts")
    body = json.dumps(snapshot(account="acct_2"))
    async with running(mounted) as (process, started), connected(started["webhook_port"]) as kept:
        assert process.stderr is not None
        assert await kept.post(body, OLD_SECRET) == (200, False)
        assert json.loads(await process.stderr.readline())["event"] == "webhook.ignored"
        async with connected(started["webhook_port"]) as rejected:
            assert await rejected.post(body) == (400, True)
            assert await rejected.reader.read() == b""
        volume.change({"webhook-secrets": f"{OLD_SECRET} {SECRET}\n", "accounts": "acct_1 acct_2"})
        async with asyncio.timeout(60):
            while json.loads(await process.stderr.readline())["event"] != "settings.reloaded":
                pass
        assert await kept.post(body) == (200, False)  # over the same connection
        assert json.loads(await process.stderr.readline())["event"] == "webhook.recorded"


@pytest.mark.timeout(1200)
async def test_a_log_that_nobody_reads_keeps_no_event_waiting(environ: dict[str, str]) -> None:
    """The reader of its log stalls: far more lines wait than a pipe holds, and come when it goes on."""
    events, body = 1500, json.dumps(snapshot())
    async with running(environ) as (process, started), connected(started["webhook_port"]) as sender:
        assert process.stderr is not None
        async with asyncio.timeout(1100):
            assert [await sender.post(body) for _ in range(events)] == [(200, False)] * events
            lines = [json.loads(await process.stderr.readline()) for _ in range(events)]
    assert [line["event"] for line in lines] == ["webhook.recorded"] * events
    assert sum(len(json.dumps(line)) for line in lines) > 300_000


async def test_its_lines_tell_of_each_event_and_nothing_private(environ: dict[str, str]) -> None:
    """JSON lines with one dotted name; ids of the order on each that concerns one; no payload, secret or person."""
    events = [
        snapshot(session={"metadata": {"note": "sesame"}}),
        snapshot("checkout.session.expired", session={"id": "cs_test_another"}),
        snapshot("invoice.paid"),
        {"fake": "unsigned"},
    ]
    async with running(environ) as (process, started), aiohttp.ClientSession() as http:
        for event in events:
            body = json.dumps(event)
            signature = sign(body) if "type" in event else "t=1,v1=00"
            await http.post(
                f"http://localhost:{started['webhook_port']}/webhook",
                data=body,
                headers={"Stripe-Signature": signature},
            )
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert process.returncode == 0
    lines = [started, *map(json.loads, errors.decode().splitlines())]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("service.started", "info"),
        ("webhook.recorded", "info"),
        ("webhook.ignored", "info"),
        ("webhook.rejected", "warning"),
        ("service.stopping", "info"),
        ("service.stopped", "info"),
    ]
    recorded = lines[1]
    assert recorded.pop("timestamp")
    assert recorded.pop("milliseconds") > 0
    assert recorded == {
        "event": "webhook.recorded",
        "level": "info",
        "event_id": "evt_1MhUT6E0b6fckueS",
        "type": "checkout.session.completed",
        "session": SESSION["id"],
        "request": request_name(SESSION["id"]),
        "outcome": "created",
    }
    written = json.dumps(lines)
    assert not [word for word in ("whsec", "jenny", "Jenny", "sesame", "1555") if word in written]


async def test_stopping_loses_no_request(environ: dict[str, str], control_plane: ControlPlane) -> None:
    """On SIGTERM it answers that it is not ready, takes no new connection, finishes what came, and ends well."""
    bodies = [json.dumps(snapshot(session={"id": f"cs_test_{number}"})) for number in range(15)]
    async with running(environ) as (process, started), aiohttp.ClientSession() as http:
        public = f"http://localhost:{started['webhook_port']}/webhook"
        management = f"http://localhost:{started['management_port']}"

        async def send(body: str) -> tuple[int, str]:
            async with http.post(public, data=body, headers={"Stripe-Signature": sign(body)}) as response:
                return response.status, (await response.json())["result"]

        async def get(path: str) -> tuple[int, str]:
            async with http.get(f"{management}{path}") as response:
                return response.status, await response.text()

        assert await get("/readyz") == (200, "ok\n")
        assert await get("/healthz") == (200, "ok\n")
        with control_plane.hanging():
            sending = [asyncio.create_task(send(body)) for body in bodies]
            while f"fulfillment_webhook_in_flight {len(bodies)}.0" not in (await get("/metrics"))[1]:
                pass
            process.send_signal(signal.SIGTERM)
            while await get("/readyz") != (503, "it is stopping\n"):
                pass
        assert await asyncio.gather(*sending) == [(200, "created")] * len(bodies)
        assert await process.wait() == 0
        with pytest.raises(aiohttp.ClientConnectorError):
            await send(bodies[0])


async def test_a_rolling_update_loses_no_request(environ: dict[str, str]) -> None:
    """Until load balancers have taken note it serves on, and asks each sender to hang up; then it ends.

    It stays ready meanwhile: where every pod ends at once, nodes lead to those that are.
    """
    drain = 15.0  # by far the most of it is to spare for a slow machine
    bodies = (json.dumps(snapshot(session={"id": f"cs_test_{number}"})) for number in itertools.count())
    time = asyncio.get_running_loop().time
    answers: dict[str, list[tuple[int, bool]]] = {"kept": [], "anew": []}
    enough = asyncio.Event()

    async def keep_sending(kind: str, port: int) -> None:
        while not enough.is_set():
            async with connected(port) as sender:
                hang_up = False
                while not (hang_up or enough.is_set()):
                    answers[kind].append(await sender.post(next(bodies)))
                    hang_up = kind == "anew" or answers[kind][-1][1]

    async with AsyncExitStack() as stack:
        process, started = await stack.enter_async_context(
            running(environ | {"FULFILLMENT_WEBHOOK_DRAIN": f"{drain:.0f}s"})
        )
        port = started["webhook_port"]
        unreachable, unused = [await stack.enter_async_context(connected(port)) for _ in range(2)]
        assert await unreachable.post(next(bodies)) == (200, False)
        sending = [asyncio.create_task(keep_sending(kind, port)) for kind in answers]
        while not all(answers.values()):  # noqa: ASYNC110 - the senders do not tell
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        stopped = time()
        async with aiohttp.ClientSession(f"http://localhost:{started['management_port']}") as http:

            async def readiness() -> int:
                async with http.get("/readyz") as response:
                    return response.status

            while not answers["kept"][-1][1]:  # noqa: ASYNC110 - it tells only those who send
                await asyncio.sleep(0.01)
            before = {kind: len(each) + 1 for kind, each in answers.items()}  # one may be under way
            while any(len(answers[kind]) < before[kind] + 5 for kind in answers):
                assert await readiness() == 200
        enough.set()
        await asyncio.gather(*sending)
        assert await unreachable.post(next(bodies)) == (200, True)
        assert await unused.post(next(bodies)) == (200, True)
        assert time() - stopped < drain
        assert await process.wait() == 0
        assert drain < time() - stopped < drain + 30
    for kind, each in answers.items():
        assert {status for status, _ in each} == {200}
        assert not each[0][1]
        assert all(told_to_close for _, told_to_close in each[before[kind] :])
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("localhost", port)
