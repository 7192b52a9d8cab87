"""An operator at work before a real API server, a stand-in for Stripe and a mail catcher."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec
from kubernetes.aio import client, watch
from prometheus_client.parser import text_string_to_metric_families

from fulfillment_api import names
from fulfillment_api.names import API_VERSION, GROUP, KIND, PLURAL, VERSION, request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Payment, PaymentStatus, Session, Spec
from fulfillment_api.status import Condition, ConditionType, Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.model import Order, Settlement
from fulfillment_local.fake_stripe.server import StripeServer, stripe_server
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_local.mailbox import Mailbox, mailbox
from fulfillment_operator.main import running_operator
from fulfillment_operator.settings import OperatorSettings, SmtpTls
from fulfillment_runtime.kubernetes.errors import ConflictError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient, SpecPatch
from fulfillment_runtime.kubernetes.leader_election import LeaderElectionConfig
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.settings import Secret

RULES = (
    client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["get", "list", "watch", "delete"]),
    client.V1PolicyRule(api_groups=[GROUP], resources=[f"{PLURAL}/status"], verbs=["patch"]),
    client.V1PolicyRule(api_groups=[""], resources=["events"], verbs=["create", "patch"]),
    client.V1PolicyRule(api_groups=["coordination.k8s.io"], resources=["leases"], verbs=["create"]),
    client.V1PolicyRule(
        api_groups=["coordination.k8s.io"],
        resources=["leases"],
        resource_names=["checkout-fulfillment-operator"],
        verbs=["get", "update"],
    ),
)
"""What the chart's Role allows the operator: no more is needed."""

ADDRESS: dict[str, Any] = {"group": GROUP, "version": VERSION, "plural": PLURAL}
BEFORE_THE_YEAR_1 = "0000-01-01T00:00:00Z"
"""Passes the schema, and does not decode."""
WITHIN = 60.0  # seconds; what takes longer never comes
LEASE_THAT_IS_KEPT = LeaderElectionConfig(lease_duration=timedelta(minutes=6), renew_deadline=timedelta(minutes=5))
"""However long the API server takes to be back."""


@dataclass(frozen=True)
class Shop:
    """The cluster, Stripe and the mail of one test."""

    control_plane: ControlPlane
    namespace: str
    stripe: StripeServer
    mailbox: Mailbox
    api: client.ApiClient
    """As someone who may do everything."""
    requests: FulfillmentRequestClient
    http: aiohttp.ClientSession

    def settings(self, **changes: Any) -> OperatorSettings:
        settings: dict[str, Any] = {
            "stripe_api_key": Secret(TEST_KEY),
            "stripe_api_base": self.stripe.url,
            "stripe_requests_per_second": 1000.0,
            "stripe_endpoint_requests_per_second": 1000.0,
            "stripe_timeout": timedelta(seconds=10),
            "kubeconfig": str(self.control_plane.kubeconfigs[User.OPERATOR]),
            "namespace": self.namespace,
            "management_port": 0,
            "smtp_host": self.mailbox.host,
            "smtp_port": self.mailbox.port,
            "smtp_tls": SmtpTls.NONE,
            "mail_from": "Harbour Goods <orders@shop.example>",
            "shop_name": "Harbour Goods",
        }
        return OperatorSettings(**(settings | changes))

    async def sell(self, order: Order, hint: PaymentStatus = PaymentStatus.PAID) -> str:
        """Let a buyer complete Checkout, make the request as the webhook service does, and return its name."""
        session, _ = self.stripe.world.play(order)
        return await self.make(session.id, hint)

    async def sell_in_vain(self, order: Order) -> str:
        """Let the delayed payment of an order fail, make the request as the webhook service does, return its name."""
        session, _ = self.stripe.world.play(order)
        self.stripe.world.settle(session.id, Settlement.FAILED)
        return await self.make(session.id, PaymentStatus.FAILED)

    async def make(self, session_id: str, hint: PaymentStatus = PaymentStatus.PAID, **reference: Any) -> str:
        """Make a request for any Session id."""
        name = reference.pop("name", request_name(session_id))
        facts: dict[str, Any] = {"id": session_id, "livemode": False, **reference}
        await self.requests.create(name, Spec(session=Session(**facts), payment=Payment(status=hint)))
        return str(name)

    async def make_undecodable(self, session_id: str) -> str:
        """Make a request whose time before the year 1 passes the API server's schema, and does not decode."""
        name = request_name(session_id)
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name},
            "spec": {
                "session": {"id": session_id, "livemode": False},
                "payment": {"status": "paid", "observedAt": BEFORE_THE_YEAR_1},
            },
        }
        await client.CustomObjectsApi(self.api).create_namespaced_custom_object(
            **ADDRESS, namespace=self.namespace, body=body
        )
        return name

    async def observed_at(self, name: str, at: str | None) -> None:
        """Write when its payment was observed: a time before the year 1 lets a request decode no more, None again."""
        await client.CustomObjectsApi(self.api).patch_namespaced_custom_object(
            **ADDRESS,
            namespace=self.namespace,
            name=name,
            body={"spec": {"payment": {"observedAt": at}}},
            _content_type="application/merge-patch+json",
        )

    async def hint(self, name: str, payment: PaymentStatus) -> None:
        """Tell newer news of the payment, as the webhook service does."""
        await self.patch_spec(name, Payment(status=payment))

    async def patch_spec(self, name: str, patch: SpecPatch) -> None:
        """Replace a field of the spec, whoever else writes the object meanwhile, as the webhook service does."""
        while True:
            try:
                await self.requests.patch_spec(await self.requests.get(name), patch)
            except ConflictError:
                continue  # the operator was quicker: read it again
            return

    async def becomes(self, name: str, phase: Phase, reason: str | None = None) -> FulfillmentRequest:
        """Wait until a request is in a phase, for a reason."""
        last: FulfillmentRequest | None = None
        async with asyncio.timeout(WITHIN), self.watching(name) as changes:
            async for request in changes:
                status = request.status
                if status and status.phase is phase and reason in {None, status.reason}:
                    return request
                last = request
        raise AssertionError(f"the watch of {name} ended; it was {last}")

    async def says(self, name: str, kind: ConditionType, message: str) -> tuple[str, str]:
        """Wait until a condition has this message, and return its status and its reason."""
        last: Condition | None = None
        async with asyncio.timeout(WITHIN), self.watching(name) as changes:
            async for request in changes:
                last = request.status.condition(kind) if request.status else None
                if last and last.message == message:
                    return last.status, last.reason
        raise AssertionError(f"the watch of {name} ended; {kind} was {last}")

    async def forbidden(self, **attributes: Any) -> None:
        """Wait until the API server goes by it that the operator may not do something any more."""
        review = client.V1SubjectAccessReview(
            spec=client.V1SubjectAccessReviewSpec(
                user=User.OPERATOR,
                resource_attributes=client.V1ResourceAttributes(namespace=self.namespace, **attributes),
            )
        )
        async with asyncio.timeout(WITHIN):
            while True:
                answer = await client.AuthorizationV1Api(self.api).create_subject_access_review(review)
                if answer.status is not None and not answer.status.allowed:
                    return

    async def annotate(self, name: str, **annotations: str | None) -> None:
        """Write annotations of ours, as `kubectl annotate` does; None takes one away."""
        body = {"metadata": {"annotations": {f"{names.GROUP}/{key}": value for key, value in annotations.items()}}}
        await client.CustomObjectsApi(self.api).patch_namespaced_custom_object(
            **ADDRESS, namespace=self.namespace, name=name, body=body, _content_type="application/merge-patch+json"
        )

    @asynccontextmanager
    async def watching(self, name: str | None) -> AsyncIterator[AsyncIterator[FulfillmentRequest]]:
        """Watch one request, or all of them, from as they are now."""
        stream = watch.Watch()  # type: ignore[no-untyped-call] # the library's

        async def changes() -> AsyncIterator[FulfillmentRequest]:
            objects = client.CustomObjectsApi(self.api)
            while True:
                try:
                    async for event in stream.stream(  # type: ignore[no-untyped-call] # likewise
                        objects.list_namespaced_custom_object,
                        **ADDRESS,
                        namespace=self.namespace,
                        **({"field_selector": f"metadata.name={name}"} if name else {}),
                    ):
                        yield msgspec.convert(event["object"], FulfillmentRequest)
                except client.ApiException as error:
                    if error.status != HTTPStatus.TOO_MANY_REQUESTS:
                        raise
                    await asyncio.sleep(1)  # as its Retry-After says: it has just begun, and not yet with this kind
                else:
                    return

        found = changes()
        try:
            yield found
        finally:
            await found.aclose()  # type: ignore[attr-defined] # an async generator has it
            await stream.close()  # type: ignore[no-untyped-call] # likewise

    async def events(self, name: str) -> list[tuple[str, str]]:
        """List the Events about a request in their order, as (type, reason)."""
        found = await client.CoreV1Api(self.api).list_namespaced_event(
            self.namespace, field_selector=f"involvedObject.name={name}"
        )
        events = sorted(found.items, key=lambda event: int(event.metadata.resource_version or 0))
        return [(event.type or "", event.reason or "") for event in events]

    async def api_server_patches(self) -> int:
        """Count the PATCHes of FulfillmentRequests that the API server ever took."""
        return (await self.api_server_requests())["PATCH", PLURAL]

    async def api_server_requests(self) -> Counter[tuple[str, str]]:
        """Count the requests that the API server ever took, by its own metrics, as (verb, resource)."""
        return await self._api_server_count("apiserver_request_total")

    async def watched(self, watches: int) -> None:
        """Wait until so many watches of FulfillmentRequests have begun, by the API server's own metrics."""
        async with asyncio.timeout(WITHIN):
            while (await self._api_server_count("apiserver_longrunning_requests"))["WATCH", PLURAL] < watches:  # noqa: ASYNC110 - a metric is no event
                await asyncio.sleep(0.05)

    async def _api_server_count(self, name: str) -> Counter[tuple[str, str]]:
        headers = {"Authorization": str(await self.api.configuration.get_api_key_with_prefix("BearerToken"))}
        answer = await self.api.call_api("GET", f"{self.control_plane.server}/metrics", headers)
        text = (await answer.read()).decode()  # type: ignore[no-untyped-call] # the library's
        text = "\n".join(line for line in text.splitlines() if name in line)  # it tells of ten thousand others
        counts = Counter[tuple[str, str]]()
        for sample in (sample for family in text_string_to_metric_families(text) for sample in family.samples):
            counts[sample.labels["verb"], sample.labels["resource"]] += int(sample.value)
        return counts


@asynccontextmanager
async def open_shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    """Open a shop in a namespace; the operator is started by `at_work`."""
    await control_plane.grant(User.OPERATOR, namespace, RULES)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(control_plane.connect())
        yield Shop(
            control_plane=control_plane,
            namespace=namespace,
            stripe=await stack.enter_async_context(stripe_server(new_world(seed=7))),
            mailbox=await stack.enter_async_context(mailbox()),
            api=api,
            requests=FulfillmentRequestClient(LibraryRestClient(api), namespace, timeout=10),
            http=await stack.enter_async_context(aiohttp.ClientSession()),
        )


@dataclass(frozen=True)
class AtWork:
    """An operator that runs."""

    http: aiohttp.ClientSession
    url: str

    async def metric(self, name: str, **labels: str) -> float | None:
        """Scrape one sample; None when there is no such series."""
        async with self.http.get(f"{self.url}/metrics") as response:
            text = await response.text()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return next((sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)), None)

    async def reaches(self, value: float, name: str, /, **labels: str) -> None:
        """Wait until a sample has a value: whoever watches may see a write before the operator has its answer."""
        last: float | None = None
        try:
            async with asyncio.timeout(WITHIN):
                while (last := await self.metric(name, **labels)) != value:  # noqa: ASYNC110 - a metric is no event
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{name} {labels} became {last}, and not {value}") from None


@asynccontextmanager
async def at_work(
    shop: Shop,
    election: LeaderElectionConfig = LeaderElectionConfig(),  # noqa: B008 - frozen
    monotonic: Callable[[], float] = time.monotonic,
    /,
    **changes: Any,
) -> AsyncIterator[AtWork]:
    """Run an operator in this process.

    Args:
        shop: where.
        election: how long its Lease holds.
        monotonic: tells the seconds by which the rate of Events is bounded.
        changes: settings of the operator's by their fields, and those of its backends by their variables.
    """
    backends = {name: value for name, value in changes.items() if name.isupper()}
    settings = shop.settings(**{name: value for name, value in changes.items() if not name.isupper()})
    async with running_operator(settings, {**os.environ, **backends}, election, monotonic) as operator:
        yield AtWork(shop.http, f"http://localhost:{operator.management_port}")
