"""The order that a backend gets. Pure."""

from dataclasses import dataclass
from datetime import datetime

from fulfillment_api.spec import Callback, ReversalKind, Session
from fulfillment_operator.checkout.session import CheckoutSession


@dataclass(frozen=True, slots=True)
class PaidOrder:
    """An order to fulfill."""

    key: str
    """The idempotency key: the same for every try at this order, and for no other order."""
    namespace: str
    reference: Session
    """The Session as the request's spec names it: its id, mode, and connected account."""
    session: CheckoutSession
    """The Session as Stripe has it: all of the order, metadata and client reference among it."""
    in_progress: bool = False
    """Whether the answer to this key was `InProgress` before."""
    callback: Callback | None = None
    """What the backend's callback said since, if one came."""
    uid: str = ""
    """The request's uid in the cluster, for what shall be deleted with it."""
    retry: str = ""
    """The value of a person's newest request for another try; empty when nobody asked."""
    started_at: datetime | None = None
    """When this try began, from which its deadline counts; None: it begins now."""
    paid_at: datetime | None = None
    """When an event said that it is paid, or needs no payment; None: none did."""
    earlier_try_at: datetime | None = None
    """When the try before this one began; None: there was none, or this one is not just beginning."""


@dataclass(frozen=True, slots=True)
class ReversalNotice:
    """What the backend that has, or had, an order is to know of its payment."""

    kind: ReversalKind
    key: str
    """The idempotency key: the same for every try at this notice. A second refund of the same order has another one."""
    observed_at: datetime | None = None
    """When an event said so; None: none did, or one has told of something else since."""

    @property
    def stops(self) -> bool:
        """Whether nothing more is to be done for the order, were it not fulfilled yet."""
        return self.kind in {ReversalKind.REFUNDED, ReversalKind.DISPUTED, ReversalKind.DISPUTE_LOST}
