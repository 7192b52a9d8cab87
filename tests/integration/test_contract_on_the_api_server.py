"""The API server guards the contract: each illegal write is refused, with a message that a person understands."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from kubernetes.aio import client

from fulfillment_api.names import API_VERSION, KIND, request_name
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_operator.backends.outcome import Done
from fulfillment_operator.policy.transition import Attempt, Retries, dispatched
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from support.builders import CREATED, make_session
from support.kubectl import kubectl
from support.running_operator import ADDRESS

pytestmark = pytest.mark.usefixtures("crd")

SESSION_ID = "cs_test_a1B2c3"
NAME = request_name(SESSION_ID)
SPEC: dict[str, Any] = {
    "session": {"id": SESSION_ID, "livemode": False, "mode": "payment", "metadata": {"cart": "c-17"}},
    "payment": {"status": "unpaid"},
    "amount": {"total": 1099, "currency": "usd", "display": "10.99 USD"},
}


class Cluster:
    """One namespace, as someone who may do everything."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.requests = FulfillmentRequestClient(LibraryRestClient(api), namespace, timeout=10)
        self._objects = client.CustomObjectsApi(api)
        self._address = {**ADDRESS, "namespace": namespace}

    async def create(self, spec: Any, name: str = NAME) -> None:
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}
        await self._objects.create_namespaced_custom_object(**self._address, body=body)

    async def patch(self, changes: Any, name: str = NAME) -> None:
        await self._objects.patch_namespaced_custom_object(
            **self._address, name=name, body=changes, _content_type="application/merge-patch+json"
        )

    async def patch_status(self, status: Any) -> None:
        await self._objects.patch_namespaced_custom_object_status(
            **self._address, name=NAME, body={"status": status}, _content_type="application/merge-patch+json"
        )

    async def select(self, field_selector: str) -> list[str]:
        found: Any = await self._objects.list_namespaced_custom_object(**self._address, field_selector=field_selector)
        return [each["metadata"]["name"] for each in found["items"]]


@pytest.fixture
async def cluster(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Cluster]:
    async with control_plane.connect() as api:
        yield Cluster(api, namespace)


def message(error: pytest.ExceptionInfo[client.ApiException]) -> str:
    assert error.value.body is not None
    return str(msgspec.json.decode(error.value.body)["message"])


def changed(*path: str, to: Any) -> dict[str, Any]:
    """Return the spec with one value changed; None takes it away."""
    spec: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(SPEC))
    place = spec
    for name in path[:-1]:
        place = place[name]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return spec


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (changed("session", to=None), "spec.session: Required value"),
        (changed("payment", to=None), "spec.payment: Required value"),
        (changed("session", "id", to=None), "spec.session.id: Required value"),
        (changed("session", "livemode", to=None), "spec.session.livemode: Required value"),
        (changed("session", "id", to="../v1/refunds"), "spec.session.id in body should match '^cs_[A-Za-z0-9_]+$'"),
        (changed("session", "id", to="cs_" + "x" * 300), "spec.session.id: Too long: may not be "),
        (changed("session", "mode", to="setup"), 'spec.session.mode: Unsupported value: "setup"'),
        (changed("session", "metadata", to={"note": "x" * 501}), "spec.session.metadata.note: Too long"),
        (changed("session", "metadata", to={f"k{n}": "" for n in range(51)}), "spec.session.metadata: Too many: 51"),
        (changed("session", "metadata", to={"n": 7}), "spec.session.metadata.n in body must be of type string"),
        (changed("payment", "status", to="refunded"), 'spec.payment.status: Unsupported value: "refunded"'),
        (changed("payment", "observedAt", to="yesterday"), "spec.payment.observedAt in body must be of type date-time"),
        (changed("amount", "total", to=10.99), "spec.amount.total in body must be of type int"),
        (changed("amount", "currency", to="US$"), "spec.amount.currency in body should match '^[a-z]{3}$'"),
    ],
)
async def test_an_illegal_spec_is_refused(cluster: Cluster, spec: dict[str, Any], expected: str) -> None:
    """The message names the field and what it may be."""
    with pytest.raises(client.ApiException) as caught:
        await cluster.create(spec)
    assert caught.value.status == 422
    assert expected in message(caught)


async def test_a_name_that_is_not_made_from_a_session_is_refused(cluster: Cluster) -> None:
    """A request made by hand would escape the deduplication by name."""
    with pytest.raises(client.ApiException) as caught:
        await cluster.create(SPEC, name="order-17")
    assert "metadata.name is made from the Session" in message(caught)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "cs_test_another"},
        {"livemode": True},
        {"account": "acct_1"},
        {"mode": None},
        {"metadata": {"cart": "c-18"}},
        {"paymentIntent": "pi_1"},
    ],
)
async def test_the_session_of_a_request_never_changes(cluster: Cluster, change: dict[str, Any]) -> None:
    """Neither a value, nor a field that is added or taken away."""
    await cluster.create(SPEC)
    with pytest.raises(client.ApiException) as caught:
        await cluster.patch({"spec": {"session": change}})
    assert "spec.session is immutable" in message(caught)


@pytest.mark.parametrize("new", list(PaymentStatus))
@pytest.mark.parametrize("old", list(PaymentStatus))
async def test_a_payment_never_goes_back(cluster: Cluster, old: PaymentStatus, new: PaymentStatus) -> None:
    """The API server and the service go by the same rule, for every pair of statuses."""
    await cluster.create(changed("payment", "status", to=old))
    if old is new or old.may_become(new):
        await cluster.patch({"spec": {"payment": {"status": new}}})
        return
    with pytest.raises(client.ApiException) as caught:
        await cluster.patch({"spec": {"payment": {"status": new}}})
    assert f"a payment never goes back: it is {old} and cannot become {new}" in message(caught)


async def test_the_status_is_written_only_as_such(cluster: Cluster) -> None:
    """A writer of spec cannot touch status, nor a writer of status spec: it is a subresource."""
    await cluster.create({**SPEC})
    await cluster.patch({"status": {"phase": "fulfilled"}})
    request = await cluster.requests.get(NAME)
    assert request.status is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "done"}, 'status.phase: Unsupported value: "done"'),
        ({"reason": "no words here"}, "status.reason: Invalid value"),
        (
            {"conditions": [{"type": "Paid", "status": "Maybe"}]},
            'status.conditions[0].status: Unsupported value: "Maybe"',
        ),
        ({"fulfillment": {"attempts": -1}}, "status.fulfillment.attempts: Invalid value"),
    ],
)
async def test_an_illegal_status_is_refused(cluster: Cluster, status: dict[str, Any], expected: str) -> None:
    """The operator, and whoever writes in its stead, keeps to the contract."""
    await cluster.create(SPEC)
    with pytest.raises(client.ApiException) as caught:
        await cluster.patch_status(status)
    assert expected in message(caught)


async def test_what_the_operator_writes_reads_back_the_same(cluster: Cluster) -> None:
    """Nothing of the typed model is pruned, and nothing reads otherwise than it was written."""
    await cluster.create(SPEC)
    request = await cluster.requests.get(NAME)
    retries = Retries(delay=CREATED - CREATED, deadline=CREATED - CREATED)
    status = dispatched(request, Attempt(make_session(), Done("order-7"), "http"), retries, CREATED)
    written = await cluster.requests.patch_status(NAME, status)
    assert written.status == status
    assert msgspec.to_builtins(written.spec) == SPEC


@pytest.mark.parametrize("other", [phase for phase in Phase if phase is not Phase.FULFILLED])
async def test_what_is_fulfilled_stays_so(cluster: Cluster, other: Phase) -> None:
    """A second operator that writes late, after the one that took over, cannot begin the order anew."""
    await cluster.create(SPEC)
    facts = {"reason": "Fulfilled", "message": "m", "observedGeneration": 1, "conditions": []}
    await cluster.patch_status({"phase": Phase.FULFILLED, **facts})
    with pytest.raises(client.ApiException) as caught:
        await cluster.patch_status({"phase": other})
    assert "an order that is fulfilled stays so, whoever writes late" in message(caught)
    await cluster.patch_status({"message": "a dispute has come since"})


async def test_kubectl_shows_what_an_order_costs(cluster: Cluster, control_plane: ControlPlane, namespace: str) -> None:
    """As the event told it, or else as Stripe did when it was asked; whatever the shop's own metadata is called."""
    told = changed("session", "metadata", to={"amount": "12", "display": "no"})
    await cluster.create(told)
    other = {**SPEC, "session": {**SPEC["session"], "id": "cs_test_thin"}}
    thin = request_name("cs_test_thin")
    await cluster.create({key: value for key, value in other.items() if key != "amount"}, thin)
    request = await cluster.requests.get(thin)
    assert await asyncio.to_thread(column, control_plane, namespace, "AMOUNT") == {NAME: "10.99", thin: ""}
    retries = Retries(delay=timedelta(0), deadline=timedelta(0))
    await cluster.requests.patch_status(
        thin, dispatched(request, Attempt(make_session(), Done("order-7"), "http"), retries, CREATED)
    )
    assert await asyncio.to_thread(column, control_plane, namespace, "AMOUNT") == {NAME: "10.99", thin: "10.99"}


async def test_kubectl_shows_what_was_captured(cluster: Cluster, control_plane: ControlPlane, namespace: str) -> None:
    """Each time: where both are there, what Stripe answered goes before what the event told."""
    await cluster.create(SPEC)
    captured = {"total": 500, "currency": "usd", "display": "5.00 USD"}
    facts = {"reason": "Dispatching", "message": "m", "observedGeneration": 1, "conditions": []}
    await cluster.patch_status({"phase": Phase.FULFILLING, **facts, "order": {"amount": captured, "lineItems": []}})
    shown = [await asyncio.to_thread(column, control_plane, namespace, "AMOUNT") for _ in range(6)]
    assert shown == [{NAME: "5.00"}] * 6


def column(control_plane: ControlPlane, namespace: str, title: str) -> dict[str, str]:
    """Read a column of `kubectl get fr`, its first word, by the requests' names."""
    head, *lines = kubectl(control_plane, "get", "fr", f"--namespace={namespace}").splitlines()
    place = head.index(title)
    return {line.split()[0]: line[place:].split(" ")[0] for line in lines}


async def test_requests_are_selected_by_phase_and_payment(cluster: Cluster) -> None:
    """`kubectl get fr --field-selector status.phase=failed` asks the API server, not the client."""
    await cluster.create(SPEC)
    other = request_name("cs_test_other")
    await cluster.create({"session": {"id": "cs_test_other", "livemode": False}, "payment": {"status": "paid"}}, other)
    assert await cluster.select("spec.payment.status=paid") == [other]
    assert await cluster.select("status.phase=failed") == []
    assert await cluster.select("status.phase!=fulfilled") == sorted([NAME, other])


async def test_requests_are_selected_by_payment_intent_and_by_what_came_after_the_sale(cluster: Cluster) -> None:
    """So a refund finds its order among thousands, and the operator what is news of orders that it has done with."""
    await cluster.create(changed("session", "paymentIntent", to="pi_1"))
    await cluster.patch({"spec": {"reversal": {"kind": "refunded", "event": "evt_1"}}})
    other = request_name("cs_test_other")
    await cluster.create({"session": {"id": "cs_test_other", "livemode": False}, "payment": {"status": "paid"}}, other)
    assert await cluster.select("spec.session.paymentIntent=pi_1") == [NAME]
    assert await cluster.select("spec.reversal.kind=refunded") == [NAME]
    assert await cluster.select("spec.reversal.kind=disputed") == []
    with pytest.raises(client.ApiException) as caught:
        await cluster.patch({"spec": {"reversal": {"kind": "returned"}}})
    assert 'spec.reversal.kind: Unsupported value: "returned"' in message(caught)
