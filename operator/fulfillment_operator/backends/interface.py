"""The interface of a fulfillment backend.

A backend gets an order that is paid, and says what came of it. It is called again with the same `key` after a
passing fault, after a restart, or when two operators overlap for a moment: handing over one key twice must
fulfill once.

A backend is found by an entry point of the group `fulfillment.backends`: its name is what settings and routes say, and
its value is a `MakeBackend`, such as an async generator function under `contextlib.asynccontextmanager`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias, runtime_checkable

import aiohttp
from kubernetes.aio import client

from fulfillment_api.spec import Callback, SaleKind, Session
from fulfillment_operator.checkout import CheckoutSession
from fulfillment_operator.settings import OperatorSettings


@dataclass(frozen=True, slots=True)
class PaidOrder:
    """An order to fulfill."""

    key: str
    """The idempotency key: the same for every try at this order, and for no other order."""
    namespace: str
    reference: Session
    """The Session as the request's spec names it: metadata, client reference, payment link, ….."""
    session: CheckoutSession
    """The Session as Stripe has it: line items, amount, customer, shipping."""
    in_progress: bool = False
    """Whether the answer to this key was `InProgress` before."""
    callback: Callback | None = None
    """What the backend's callback said since, if one came."""
    uid: str = ""
    """The request's uid in the cluster, for what shall be deleted with it."""
    retry: str = ""
    """What a person's newest wish for another try says; empty when nobody asked."""


@dataclass(frozen=True, slots=True)
class Done:
    """The order is fulfilled."""

    reference: str | None = None
    """What the backend calls it, at most 255 characters."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """The backend has the order, and is not done: it is asked again, by `fulfill` with the same key."""

    message: str
    """What it waits for, in words that may stand in status: no secret, no personal data."""
    reference: str | None = None
    """What the backend calls the order, at most 255 characters."""
    check_after: timedelta | None = None
    """When to ask again; None when only news of the request, such as a callback, or the deadline calls for it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """A passing fault: the order is handed over again."""

    error: str
    """What went wrong, in words that may stand in status: no secret, no personal data."""
    after: timedelta | None = None
    """How long the backend asks to wait."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The backend will not fulfill this order: a person is needed."""

    error: str
    """Why, in words that may stand in status: no secret, no personal data."""


Outcome = Done | InProgress | TryAgain | Refused


class Backend(Protocol):
    """Fulfills orders."""

    @property
    def name(self) -> str:
        """The name by which settings choose it, and status shows it."""

    async def fulfill(self, order: PaidOrder) -> Outcome:
        """Fulfill an order, or say why not. It raises nothing for the faults it can foresee."""


@runtime_checkable
class HearsAfterSale(Protocol):
    """What a backend may do beside fulfilling: hear what became of an order that it has, or had."""

    async def after_sale(self, order: PaidOrder, kind: SaleKind) -> Outcome:
        """Take in that an order was refunded or disputed; `Refused` is for good.

        It comes again after `TryAgain` and after a restart: with the same key and kind it must have one effect.
        """


@runtime_checkable
class Stoppable(Protocol):
    """What a backend may do beside fulfilling: leave off an order, since a person ended it by hand."""

    async def stop(self, key: str, uid: str) -> TryAgain | None:
        """Begin to stop what is at work on an order. What is not at work is let be.

        It comes again after `TryAgain` and after a restart.

        Args:
            key: the order's idempotency key.
            uid: the request's uid in the cluster.

        Returns:
            Why it cannot be stopped now; None: nothing is at work, or it is about to end.
        """


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a backend is made with. All of it outlives the backend."""

    settings: OperatorSettings
    """The operator's own settings."""
    environ: Mapping[str, str]
    """The environment, for settings of the backend's own: `load_settings(MySettings, context.environ)`."""
    http: aiohttp.ClientSession
    """Sends requests."""
    kubernetes: client.ApiClient
    """The Kubernetes API, as the operator's service account; `settings.namespace` is the namespace."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone, in whole seconds."""


MakeBackend: TypeAlias = Callable[[BackendContext], AbstractAsyncContextManager[Backend]]
"""Makes a backend, which is used while the context lasts. It raises `SettingsError` when it cannot be made so."""
