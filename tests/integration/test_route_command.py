"""`fulfillment route`, the real command, on a file and on a request in the cluster."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from fulfillment_api.names import request_name
from fulfillment_api.spec import Mode, Payment, PaymentStatus, Session, Spec
from fulfillment_api.status import Order as StoredOrder
from fulfillment_api.status import Phase, Status
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.model import Order
from fulfillment_local.fake_stripe.server import stripe_server
from fulfillment_local.fake_stripe.traffic import Fail
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from support.commands import fulfillment

ROUTES = """
- {name: donations, when: {paymentLink: plink_1}, backend: log}
- {name: gifts, when: {metadata: {channel: gift}}, backend: manual}
- {when: {price: price_1}, backend: http}
"""
SESSION: dict[str, Any] = {
    "id": "cs_test_1",
    "object": "checkout.session",
    "livemode": False,
    "mode": "payment",
    "payment_link": None,
    "metadata": {},
    "line_items": {"data": [{"id": "li_1", "price": {"id": "price_1"}}]},
}


async def run(*arguments: str, backend: str = "none", **environ: str) -> tuple[int | None, str, str]:
    """Run the command; return its exit code, and what it wrote to both."""
    process = await asyncio.create_subprocess_exec(
        fulfillment(),
        "route",
        *arguments,
        env={"PATH": os.environ["PATH"], "FULFILLMENT_ROUTES": ROUTES, "FULFILLMENT_BACKEND": backend, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"payment_link": "plink_1"}, "route 1 (donations): yes\nlog: route 1 (donations) takes it\n"),
        (
            {"payment_link": {"id": "plink_2"}, "metadata": {"channel": "gift"}},
            (
                "route 1 (donations): no: the payment link is plink_2, not plink_1\nroute 2 (gifts): yes\n"
                "manual: route 2 (gifts) takes it\n"
            ),
        ),
        (
            {},
            (
                "route 1 (donations): no: the payment link is none, not plink_1\n"
                "route 2 (gifts): no: metadata channel is not set, not gift\nroute 3: yes\nhttp: route 3 takes it\n"
            ),
        ),
    ],
)
async def test_a_session_in_a_file(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    """As Stripe's CLI writes it; no key and no cluster is needed."""
    file = tmp_path / "session.json"
    file.write_text(json.dumps(SESSION | changes))
    assert await run("--session", str(file)) == (0, expected, "")


async def test_an_order_that_no_route_takes(tmp_path: Path) -> None:
    """Exit code 1, unless there is a backend for the rest."""
    file = tmp_path / "session.json"
    file.write_text(json.dumps(SESSION | {"line_items": {"data": []}}))
    code, output, errors = await run("--session", str(file))
    assert (code, errors) == (1, "Error: no route takes it, and FULFILLMENT_BACKEND (backend.name) is none\n")
    assert output.endswith("route 3: no: no line item has the price price_1\n")
    code, output, _ = await run("--session", str(file), backend="manual")
    assert (code, output.splitlines()[-1]) == (
        0,
        "manual: no route takes it, so FULFILLMENT_BACKEND (backend.name) does",
    )


@pytest.mark.usefixtures("crd")
async def test_a_request_in_the_cluster(control_plane: ControlPlane, namespace: str) -> None:
    """By its name; one that is not there is one line."""
    name = request_name("cs_test_1")
    session = Session(id="cs_test_1", livemode=False, mode=Mode.PAYMENT, metadata={"channel": "gift"})
    seen = Status(
        phase=Phase.FULFILLING,
        reason="Paused",
        message="m",
        observed_generation=1,
        conditions=[],
        order=StoredOrder(line_items=[]),
    )
    async with control_plane.connect() as api:
        requests = FulfillmentRequestClient(LibraryRestClient(api), namespace, timeout=10)
        await requests.create(name, Spec(session=session, payment=Payment(status=PaymentStatus.PAID)))
        await requests.patch_status(name, seen)
    cluster = {"KUBECONFIG": str(control_plane.kubeconfigs[User.ADMIN]), "FULFILLMENT_NAMESPACE": namespace}
    code, output, _ = await run(name, **cluster)
    assert (code, output.splitlines()[-1]) == (0, "manual: route 2 (gifts) takes it")
    code, output, errors = await run(request_name("cs_test_2"), **cluster)
    assert (code, output) == (1, "")
    assert "not found" in errors


@pytest.mark.usefixtures("crd")
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (None, "a thin event made this request, which tells nothing of the order"),
        (Mode.PAYMENT, "the operator has not reconciled this order yet, so its prices are not known"),
    ],
)
async def test_what_the_cluster_does_not_know_is_not_guessed(
    control_plane: ControlPlane, namespace: str, mode: Mode | None, expected: str
) -> None:
    """The operator asks Stripe, and may choose otherwise: so the command says what it lacks."""
    name = request_name("cs_test_1")
    session = Session(id="cs_test_1", livemode=False, mode=mode)
    async with control_plane.connect() as api:
        requests = FulfillmentRequestClient(LibraryRestClient(api), namespace, timeout=10)
        await requests.create(name, Spec(session=session, payment=Payment(status=PaymentStatus.PAID)))
    cluster = {"KUBECONFIG": str(control_plane.kubeconfigs[User.ADMIN]), "FULFILLMENT_NAMESPACE": namespace}
    assert await run(name, **cluster) == (
        1,
        "",
        f"Error: {expected}: give its Session, as Stripe has it, by --session, or set STRIPE_API_KEY to ask Stripe\n",
    )


@pytest.mark.usefixtures("crd")
async def test_stripe_is_asked_for_what_the_cluster_does_not_know(control_plane: ControlPlane, namespace: str) -> None:
    """As the operator does: by default the cluster holds no metadata."""
    async with stripe_server(new_world(seed=3)) as stripe, control_plane.connect() as api:
        sold, _ = stripe.world.play(Order(metadata={"channel": "gift"}))
        requests = FulfillmentRequestClient(LibraryRestClient(api), namespace, timeout=10)
        for session_id in (sold.id, "cs_test_unknown"):
            spec = Spec(
                session=Session(id=session_id, livemode=False, mode=Mode.PAYMENT),
                payment=Payment(status=PaymentStatus.PAID),
            )
            await requests.create(request_name(session_id), spec)
        environ = {
            "KUBECONFIG": str(control_plane.kubeconfigs[User.ADMIN]),
            "FULFILLMENT_NAMESPACE": namespace,
            "STRIPE_API_KEY": TEST_KEY,
            "STRIPE_API_BASE": stripe.url,
        }
        code, output, _ = await run(request_name(sold.id), **environ)
        assert (code, output.splitlines()[-1]) == (0, "manual: route 2 (gifts) takes it")
        unknown = "Error: Stripe knows no such Session under this API key\n"
        assert await run(request_name("cs_test_unknown"), **environ) == (1, "", unknown)
        stripe.faults.set([Fail(status=500, times=1)])
        code, _, errors = await run(request_name(sold.id), **environ)
        assert (code, errors.startswith("Error: Stripe's API answered 500")) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "error"),
    [
        ((), {}, 2, "Error: give the NAME of a request, or a file by --session\n"),
        (("--session", "{file}"), {}, 1, "Error: the file is no Checkout Session ("),
        (("cs-1",), {"FULFILLMENT_ROUTES": "- {backend: erp}"}, 78, "Error: there is no backend 'erp'"),
        (
            ("cs-1",),
            {"FULFILLMENT_ROUTES": "- {}"},
            78,
            "Error: FULFILLMENT_ROUTES (backend.routes): Object missing required field",
        ),
    ],
)
async def test_mistakes_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], code: int, error: str
) -> None:
    """With what to do."""
    file = tmp_path / "session.json"
    file.write_text("[]")
    found, _, errors = await run(*(each.format(file=file) for each in arguments), **environ)
    assert found == code
    assert errors.splitlines()[-1].startswith(error.rstrip("\n"))
