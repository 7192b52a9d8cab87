"""Sends an order that Stripe does not know through a whole installation.

That the order ends as `SessionNotFound` shows all of it at work. `helm test` runs it in a pod of the image, so
nothing here may need what `local` holds.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
import click
import msgspec
from msgspec import Struct

from fulfillment_api.names import PLURAL, request_name
from fulfillment_cli.self_test_order import (
    SelfTestError,
    SelfTestOrder,
    SenderNotAllowedError,
    pods_of,
    unknown_session,
)
from fulfillment_cli.signing import webhook_headers
from fulfillment_operator.settings import OperatorSettings
from fulfillment_runtime.kubernetes.access import check_access
from fulfillment_runtime.kubernetes.connection import connect
from fulfillment_runtime.kubernetes.errors import KubernetesError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.kubernetes.rbac import Rule
from fulfillment_runtime.process import on_stop_signal
from fulfillment_service.settings import ServiceSettings

_TIMEOUT = 15.0  # seconds for one request; the webhook answers within 10
_RETRY_INTERVAL = 1.0  # seconds, when nobody listens yet
_RULES = (Rule("get", PLURAL), Rule("delete", PLURAL))


class _WebhookResponse(Struct):
    """The webhook's answer, as far as it is read."""

    error: str = ""
    detail: str = ""
    reason: str = ""


async def run_self_test(
    service: ServiceSettings, operator: OperatorSettings, *, webhook_url: str, timeout: float
) -> None:
    """Test the installation at hand, and print each step that worked.

    Args:
        service: the service's settings, for the signing secrets and the filters.
        operator: the operator's settings, for the namespace and the mode.
        webhook_url: the webhook.
        timeout: seconds that all of it may take.

    Raises:
        ClickException: something does not work.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs is in a task
    on_stop_signal(task.cancel)
    async with connect(operator.kubeconfig, connections=1) as api, aiohttp.ClientSession() as http:
        await check_access(api, operator.namespace, _RULES, timeout=_TIMEOUT)
        await SelfTest(
            sender=sender_of(service, http, webhook_url=webhook_url, livemode=operator.key_is_live),
            namespace=operator.namespace,
            requests=FulfillmentRequestClient(LibraryRestClient(api), operator.namespace, timeout=_TIMEOUT),
            timeout=timeout,
            report=lambda line: click.echo(f"ok  {line}"),
        ).run()


async def send_event(service: ServiceSettings, session: str, *, webhook_url: str, timeout: float) -> None:
    """Send the event alone, once with each signing secret: `doctor` has a webhook's pod do it.

    Args:
        service: the service's settings.
        session: the id of the Session, which says whether it is a live one.
        webhook_url: the webhook.
        timeout: seconds that all of it may take.

    Raises:
        SelfTestError: the webhook does not take it.
    """
    async with aiohttp.ClientSession() as http:
        sender = sender_of(service, http, webhook_url=webhook_url, livemode=session.startswith("cs_live_"))
        await sender.send(session, asyncio.get_running_loop().time() + timeout)


def sender_of(
    service: ServiceSettings, http: aiohttp.ClientSession, *, webhook_url: str, livemode: bool
) -> "EventSender":
    """Make what sends events that pass the service's filters, signed with its secrets.

    Args:
        service: its settings.
        http: sends the requests.
        webhook_url: the webhook.
        livemode: whether the operator's API key is a live one.
    """
    return EventSender(
        webhook_url=webhook_url,
        secrets=service.webhook_secrets,
        payment_link=next(iter(service.payment_links or ()), None),
        metadata=dict(service.filters.metadata or {}),
        livemode=livemode,
        namespace=service.namespace,
        http=http,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """One order's way through an installation."""

    sender: "EventSender"
    namespace: str
    """Where the order must appear."""
    requests: FulfillmentRequestClient
    timeout: float
    """Seconds that all of it may take."""
    report: Callable[[str], None]
    """Is given each step that worked, in words for a person."""
    session: str = field(default="")
    """An id that Stripe does not know; made up when none is given."""

    async def run(self) -> None:
        """Send the event, wait for the order's end, and delete the order, however it ended.

        Raises:
            SelfTestError: something does not work.
        """
        session = self.session or unknown_session(livemode=self.sender.livemode)
        name = request_name(session)
        order = SelfTestOrder(self.requests, self.namespace, name)
        deadline = asyncio.get_running_loop().time() + self.timeout
        try:
            try:
                await self.sender.send(session, deadline)
                secrets = len(self.sender.secrets)
                self.report(f"the webhook took the event, signed with each signing secret ({secrets})")
                await order.await_end(deadline)
                self.report(f"{PLURAL}/{name} appeared, the operator asked Stripe, and Stripe does not know {session}")
            finally:
                await order.delete()
        except KubernetesError as error:
            raise SelfTestError(f"{error} (kubectl --namespace {self.namespace} get {PLURAL} {name})") from error
        self.report(f"{PLURAL}/{name} is deleted")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSender:
    """Sends the event of a completed Session as Stripe does."""

    webhook_url: str
    secrets: tuple[str, ...]
    """The signing secrets, each of which the webhook must accept."""
    livemode: bool
    """Whether the operator's API key is a live one."""
    namespace: str
    """Where the webhook's pods are, for what to do next."""
    http: aiohttp.ClientSession
    payment_link: str | None = None
    """One that the webhook's filter lets pass, if it has one."""
    metadata: dict[str, str] = field(default_factory=dict)
    """What the webhook's filter asks for."""
    clock: Callable[[], float] = time.time
    """Tells when the event is signed, in seconds since the epoch."""

    async def send(self, session: str, deadline: float) -> None:
        """Send the event of a Session, once with each signing secret.

        Args:
            session: its id.
            deadline: until when nobody need listen, by the event loop's clock.

        Raises:
            SelfTestError: the webhook does not take it.
        """
        body = self._event(session)
        for number, secret in enumerate(self.secrets, start=1):
            await self._deliver(body, secret, f"signing secret {number} of {len(self.secrets)}", deadline)

    def _event(self, session: str) -> bytes:
        now = int(self.clock())
        about = {
            "id": session,
            "object": "checkout.session",
            "created": now,
            "livemode": self.livemode,
            "metadata": self.metadata,
            "mode": "payment",
            "payment_link": self.payment_link,
            "payment_status": "unpaid",  # should it be left behind, it asks for nothing
        }
        event = {
            "id": f"evt_{session.rpartition('_')[2]}",
            "object": "event",
            "created": now,
            "data": {"object": about},
            "livemode": self.livemode,
            "type": "checkout.session.completed",
        }
        return msgspec.json.encode(event)

    async def _deliver(self, body: bytes, secret: str, which: str, deadline: float) -> None:
        """Post the event as Stripe does; again, while nobody listens."""
        headers = webhook_headers(body, (secret,), now=self.clock())
        while True:
            left = max(deadline - asyncio.get_running_loop().time(), _RETRY_INTERVAL)
            post = asyncio.create_task(self._post(body, headers, within=min(left, _TIMEOUT)))
            try:
                await asyncio.wait({post})
            except asyncio.CancelledError:  # what is on its way would make the order again, once it is deleted
                with suppress(aiohttp.ClientError, TimeoutError):
                    await post
                raise
            try:
                status, answer = post.result()
            except (aiohttp.ClientError, TimeoutError) as error:
                if asyncio.get_running_loop().time() >= deadline:
                    raise SelfTestError(
                        f"the webhook cannot be reached at {self.webhook_url} ({str(error) or 'it does not answer'}): "
                        "are its pods ready, and does a NetworkPolicy let this one in? "
                        f"kubectl --namespace {self.namespace} get pods --selector {pods_of('webhook')}"
                    ) from error
                await asyncio.sleep(_RETRY_INTERVAL)
            else:
                return _check_answer(status, answer, which, livemode=self.livemode)

    async def _post(self, body: bytes, headers: dict[str, str], *, within: float) -> tuple[int, _WebhookResponse]:
        timeout = aiohttp.ClientTimeout(total=within)
        async with self.http.post(
            self.webhook_url, data=body, headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            return response.status, _decode(await response.read())


def _decode(body: bytes) -> _WebhookResponse:
    try:
        return msgspec.json.decode(body, type=_WebhookResponse)
    except msgspec.DecodeError:  # it is not our webhook that answers
        return _WebhookResponse()


def _check_answer(status: int, answer: _WebhookResponse, which: str, *, livemode: bool) -> None:
    match status:
        case HTTPStatus.OK if not answer.reason:
            return
        case HTTPStatus.OK if answer.reason == "livemode":
            mode = "live" if livemode else "test"
            raise SelfTestError(
                f"the webhook ignores {mode} events, but the API key is a {mode} key: "
                f"set stripe.livemode (STRIPE_LIVEMODE) to {str(livemode).lower()}, or take the other key"
            )
        case HTTPStatus.OK:
            raise SelfTestError(f"the webhook ignored the event ({answer.reason}): mend its filters")
        case HTTPStatus.BAD_REQUEST if answer.error == "wrong-signature":
            raise SelfTestError(
                f"the webhook rejects an event that is signed with {which}: it has other secrets than this test. "
                "If the Secret has just changed, it takes the kubelet a minute to bring it: try again"
            )
        case HTTPStatus.BAD_REQUEST if answer.error:
            raise SelfTestError(f"the webhook rejects the event ({answer.error}): {answer.detail}")
        case HTTPStatus.FORBIDDEN if answer.error == "not-allowed":
            raise SenderNotAllowedError(
                "the webhook takes events from Stripe's addresses only: while you test, add to "
                "stripe.allowedSources.addresses (STRIPE_ALLOWED_SOURCES) those of the pods, and for doctor, which "
                "sends from the webhook's own, 127.0.0.1 and ::1"
            )
        case HTTPStatus.SERVICE_UNAVAILABLE:
            raise SelfTestError(
                "the webhook cannot record the event (503), and its log says why: "
                f"kubectl logs --selector {pods_of('webhook')}"
            )
        case _:
            raise SelfTestError(f"the webhook URL answers {status}: is it the webhook's, with /webhook at its end?")
