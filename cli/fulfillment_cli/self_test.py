"""Sends an order that Stripe does not know through a whole installation.

That the order ends as `SessionNotFound` shows all of it at work. `helm test` runs it in a pod of the image, so
nothing here may need what `local` holds.
"""

import asyncio
import secrets
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
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_cli.signing import webhook_headers
from fulfillment_operator.settings import OperatorSettings
from fulfillment_runtime.kubernetes.access import check_access
from fulfillment_runtime.kubernetes.connection import connect
from fulfillment_runtime.kubernetes.errors import KubernetesError, NotFoundError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.kubernetes.rbac import Rule
from fulfillment_runtime.process import on_stop_signal
from fulfillment_service.settings import ServiceSettings

_TIMEOUT = 15.0  # seconds for one request; the webhook answers within 10
_RETRY_INTERVAL = 1.0  # seconds, when nobody listens yet
_POLL_INTERVAL = 0.2  # seconds; a watch would need the right to read every order
_RULES = (Rule("get", PLURAL), Rule("delete", PLURAL))


class SelfTestError(click.ClickException):
    """Something does not work. The message says what, and what to do next."""


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
            webhook_url=webhook_url,
            secrets=service.webhook_secrets,
            payment_link=next(iter(service.payment_links or ()), None),
            metadata=dict(service.filters.metadata or {}),
            livemode=operator.livemode,
            namespace=operator.namespace,
            requests=FulfillmentRequestClient(LibraryRestClient(api), operator.namespace, timeout=_TIMEOUT),
            http=http,
            timeout=timeout,
            report=lambda line: click.echo(f"ok  {line}"),
        ).run()


def unknown_session(*, livemode: bool) -> str:
    """Make an id that no Session at Stripe has, and that says what it is for."""
    return f"cs_{'live' if livemode else 'test'}_selftest{secrets.token_hex(12)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """One order's way through an installation."""

    webhook_url: str
    secrets: tuple[str, ...]
    """The signing secrets, each of which the webhook must accept."""
    livemode: bool
    """Whether the operator's API key is a live one."""
    namespace: str
    """Where the order must appear."""
    requests: FulfillmentRequestClient
    http: aiohttp.ClientSession
    timeout: float
    """Seconds that all of it may take."""
    report: Callable[[str], None]
    """Is given each step that worked, in words for a person."""
    payment_link: str | None = None
    """One that the webhook's filter lets pass, if it has one."""
    metadata: dict[str, str] = field(default_factory=dict)
    """What the webhook's filter asks for."""
    session: str = field(default="")
    """An id that Stripe does not know; made up when none is given."""
    clock: Callable[[], float] = time.time
    """Tells when the event is signed, in seconds since the epoch."""

    async def run(self) -> None:
        """Send the event, wait for the order's end, and delete the order, however it ended.

        Raises:
            SelfTestError: something does not work.
        """
        session = self.session or unknown_session(livemode=self.livemode)
        name = request_name(session)
        body = self._event(session)
        deadline = asyncio.get_running_loop().time() + self.timeout
        try:
            try:
                for number, secret in enumerate(self.secrets, start=1):
                    await self._deliver(body, secret, f"signing secret {number} of {len(self.secrets)}", deadline)
                self.report(f"the webhook took the event, signed with each signing secret ({len(self.secrets)})")
                await self._await_end(name, deadline)
                self.report(f"{PLURAL}/{name} appeared, the operator asked Stripe, and Stripe does not know {session}")
            finally:
                await self._delete(name)
        except KubernetesError as error:
            raise SelfTestError(f"{error} (kubectl --namespace {self.namespace} get {PLURAL} {name})") from error
        self.report(f"{PLURAL}/{name} is deleted")

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
            post = asyncio.create_task(self._post(body, headers))
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
                        f"kubectl --namespace {self.namespace} get pods --selector {_pods('webhook')}"
                    ) from error
                await asyncio.sleep(_RETRY_INTERVAL)
            else:
                return _check_answer(status, answer, which, livemode=self.livemode)

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, _WebhookResponse]:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        async with self.http.post(
            self.webhook_url, data=body, headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            return response.status, _decode(await response.read())

    async def _await_end(self, name: str, deadline: float) -> None:
        status: Status | None = None
        try:
            async with asyncio.timeout_at(deadline):
                while not _has_ended(status):
                    await asyncio.sleep(_POLL_INTERVAL)
                    status = (await self.requests.get(name)).status
        except TimeoutError:
            pass  # how far it came is said below
        except NotFoundError as error:
            raise SelfTestError(
                f"the webhook took the event, but the namespace {self.namespace} has no {PLURAL} {name}: "
                "does the webhook work in another namespace (FULFILLMENT_NAMESPACE)?"
            ) from error
        _check_end(status, self.namespace)

    async def _delete(self, name: str) -> None:
        try:
            await self.requests.delete(name)
        except NotFoundError:
            return  # the webhook did not take the event


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
            raise SelfTestError(
                "the webhook takes events from Stripe's addresses only: add those of the pods to "
                "stripe.allowedSources.addresses (STRIPE_ALLOWED_SOURCES) while you test"
            )
        case HTTPStatus.SERVICE_UNAVAILABLE:
            raise SelfTestError(
                "the webhook cannot record the event (503), and its log says why: "
                f"kubectl logs --selector {_pods('webhook')}"
            )
        case _:
            raise SelfTestError(f"the webhook URL answers {status}: is it the webhook's, with /webhook at its end?")


def _has_ended(status: Status | None) -> bool:
    # Stripe refuses the key: the operator goes on trying, but a person must mend that.
    ended = {Phase.FULFILLED, Phase.FAILED}
    return status is not None and (status.phase in ended or status.reason == Reason.STRIPE_MISCONFIGURED)


def _check_end(status: Status | None, namespace: str) -> None:
    if status is None:
        raise SelfTestError(
            "the order appeared, but no operator has picked it up: does one run, and does it hold the Lease? "
            f"kubectl --namespace {namespace} get leases; "
            f"kubectl --namespace {namespace} logs --selector {_pods('operator')}"
        )
    match status.reason:
        case Reason.SESSION_NOT_FOUND:
            return
        case Reason.STRIPE_MISCONFIGURED:
            raise SelfTestError(
                f"{status.message}: put a key of the right account and mode into the Secret; nothing needs a restart"
            )
        case Reason.STRIPE_UNAVAILABLE:
            raise SelfTestError(
                f"{status.message}: may the operator's pods reach it (NetworkPolicy, proxy, stripe.apiBase)?"
            )
        case Reason.LIVEMODE_MISMATCH:
            raise SelfTestError(
                "the operator's API key is of the other mode than this test's. "
                "If the Secret has just changed, it takes the kubelet a minute to bring it: try again"
            )
        case _:
            raise SelfTestError(
                f"the order became {status.phase} ({status.reason}: {status.message}), though its Session does not "
                "exist: does stripe.apiBase (STRIPE_API_BASE) name something else than Stripe?"
            )


def _pods(component: str) -> str:
    return f"app.kubernetes.io/name=checkout-fulfillment,app.kubernetes.io/component={component}"
