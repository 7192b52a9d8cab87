"""The order of a self-test: what its Session is called, how the order must end, and that it goes again."""

import asyncio
import os
import secrets
from dataclasses import dataclass

import click

from fulfillment_api.names import PLURAL
from fulfillment_api.self_test import RANDOM_BYTES, self_test_session
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_runtime.kubernetes.errors import NotFoundError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient

_POLL_INTERVAL = 0.2  # seconds; a watch would need the right to read every order


class SelfTestError(click.ClickException):
    """Something does not work. The message says what, and what to do next."""


class SenderNotAllowedError(SelfTestError):
    """Events are not taken from where this test runs; those of Stripe's may well be."""

    exit_code = os.EX_NOPERM


def unknown_session(*, livemode: bool) -> str:
    """Make an id that no Session at Stripe has, and that says what it is for."""
    return self_test_session(secrets.token_hex(RANDOM_BYTES), livemode=livemode)


@dataclass(frozen=True, slots=True)
class SelfTestOrder:
    """The order that the webhook makes of a self-test's event."""

    requests: FulfillmentRequestClient
    namespace: str
    """Where it must appear."""
    name: str

    async def await_end(self, deadline: float) -> None:
        """Wait until it has ended as that of an unknown Session does.

        Args:
            deadline: until when, by the event loop's clock.

        Raises:
            SelfTestError: it did not, or in another way.
        """
        status: Status | None = None
        try:
            async with asyncio.timeout_at(deadline):
                while not _has_ended(status):
                    await asyncio.sleep(_POLL_INTERVAL)
                    status = (await self.requests.get(self.name)).status
        except TimeoutError:
            pass  # how far it came is said below
        except NotFoundError as error:
            raise SelfTestError(
                f"the webhook took the event, but the namespace {self.namespace} has no {PLURAL} {self.name}: "
                "does the webhook work in another namespace (FULFILLMENT_NAMESPACE)?"
            ) from error
        _check_end(status, self.namespace)

    async def delete(self) -> None:
        """Delete it, if it is there."""
        try:
            await self.requests.delete(self.name)
        except NotFoundError:
            return  # the webhook did not take the event


def _has_ended(status: Status | None) -> bool:
    # Stripe refuses the key: the operator goes on trying, but a person must mend that.
    ended = {Phase.FULFILLED, Phase.FAILED}
    return status is not None and (status.phase in ended or status.reason == Reason.STRIPE_MISCONFIGURED)


def _check_end(status: Status | None, namespace: str) -> None:
    if status is None:
        raise SelfTestError(
            "the order appeared, but no operator has picked it up: does one run, and does it hold the Lease? "
            f"kubectl --namespace {namespace} get leases; "
            f"kubectl --namespace {namespace} logs --selector {pods_of('operator')}"
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


def pods_of(component: str) -> str:
    """Give the label selector of a workload's pods."""
    return f"app.kubernetes.io/name=checkout-fulfillment,app.kubernetes.io/component={component}"
