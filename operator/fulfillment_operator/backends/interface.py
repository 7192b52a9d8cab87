"""The interface of a fulfillment backend.

A backend gets an order that is paid, and says what came of it. It is called again with the same `key` after a
passing fault, after a restart, or when two operators overlap for a moment: handing over one key twice must
fulfill once.

A backend is found by an entry point of the group `fulfillment.backends`: its name is what settings and routes say, and
its value is a `MakeBackend`, such as an async generator function under `contextlib.asynccontextmanager`. Its settings
are a struct that an entry point of the group `fulfillment.settings` names, under the same name.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from fulfillment_operator.backends.order import PaidOrder, ReversalNotice
from fulfillment_operator.backends.outcome import Done, InProgress, Outcome, Rejected, TryAgain
from fulfillment_runtime.findings import Finding

if TYPE_CHECKING:  # who checks a configuration loads the backends, and needs neither
    import aiohttp
    from kubernetes.aio import client

__all__ = [
    "Backend",
    "BackendContext",
    "Checkable",
    "Done",
    "InProgress",
    "MakeBackend",
    "Outcome",
    "PaidOrder",
    "Rejected",
    "ReversalListener",
    "ReversalNotice",
    "Stoppable",
    "TryAgain",
]


class Backend(Protocol):
    """Fulfills orders."""

    @property
    def name(self) -> str:
        """The name by which settings choose it, and status shows it."""

    async def fulfill(self, order: PaidOrder) -> Outcome:
        """Fulfill an order, or say why not. It raises nothing for the faults it can foresee."""


@runtime_checkable
class ReversalListener(Protocol):
    """What a backend may do beside fulfilling: hear what became of an order that it has, or had."""

    async def handle_reversal(self, order: PaidOrder, notice: ReversalNotice) -> Outcome:
        """Take in that an order was refunded or disputed, or how that went on; `Rejected` is for good.

        It comes again after `TryAgain` and after a restart: with the same `notice.key` it must have one effect.
        """


@runtime_checkable
class Stoppable(Protocol):
    """What a backend may do beside fulfilling: leave off an order that a person ended, or that may be nobody's."""

    async def stop(self, key: str, uid: str) -> TryAgain | InProgress | None:
        """Begin to stop what is at work on an order. What is not at work is let be.

        It comes again after `TryAgain` and after a restart.

        Args:
            key: the order's idempotency key.
            uid: the request's uid in the cluster.

        Returns:
            Why it cannot be stopped now, or `InProgress` while what is about to end is still at work; None: nothing is
            at work.
        """


@runtime_checkable
class Checkable(Protocol):
    """What a backend may do beside fulfilling: see whether it could, for `check-config --online` and `doctor`."""

    async def check(self) -> Finding:
        """Reach what the backend needs, hand over nothing, and say what was found. It raises nothing."""


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a backend is made with. All of it outlives the backend."""

    environ: Mapping[str, str]
    """The environment, for the backend's settings: `load_settings(MySettings, context.environ)`."""
    namespace: str
    """The namespace of the orders."""
    deadline: timedelta
    """How long an order is tried, from the first time that it is handed over."""
    http: "aiohttp.ClientSession"
    """Sends requests."""
    kubernetes: "client.ApiClient"
    """The Kubernetes API, as the operator's service account."""
    clock: Callable[[], datetime]
    """Tells the time, with its zone, in whole seconds."""


MakeBackend: TypeAlias = Callable[[BackendContext], AbstractAsyncContextManager[Backend]]
"""Makes a backend, which is used while the context lasts. It raises `SettingsError` when it cannot be made so."""
