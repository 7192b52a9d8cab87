"""The FulfillmentRequest as a whole."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from fulfillment_api import names
from fulfillment_api.bounds import LONGEST_MESSAGE
from fulfillment_api.spec import Spec
from fulfillment_api.status import ConditionType, Phase, Reason, Status

ACKNOWLEDGED_WHEN_FULFILLED = frozenset({Reason.DISPUTED, Reason.REFUND_FAILED})
"""What asks something of a person although the order is fulfilled."""


def as_kept(text: str) -> str:
    """Give what a person, or another controller, requests as status keeps it, to tell one value from another."""
    return text.strip()[:LONGEST_MESSAGE]


class Annotations(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The annotations that this product reads. People write them, and no part of it does but `fulfillment restore`."""

    paused: str = field(default="", name=names.PAUSED)
    """Why the order is held."""
    retry: str = field(default="", name=names.RETRY)
    """What tells this request for a retry from the one before, such as the time."""
    complete: str = field(default="", name=names.COMPLETE)
    """What the order was fulfilled by: a reference."""
    fail: str = field(default="", name=names.FAIL)
    """Why the order is not fulfilled."""

    acknowledged: str = field(default="", name=names.ACKNOWLEDGED)
    """What is dealt with: its reason, or several with commas between; after a colon, what was done.

    Such as `PaymentFailed: called them`, or `Disputed,RefundFailed: called them`.
    """
    restoring: str = field(default="", name=names.RESTORING)
    """What is about to write the status that the order had."""

    @classmethod
    def of(cls, annotations: Mapping[str, str]) -> "Annotations":
        """Read them; of what is requested as much as status keeps."""
        found = msgspec.convert(annotations, cls)
        return replace(
            found,
            paused=as_kept(found.paused),
            retry=as_kept(found.retry),
            complete=as_kept(found.complete),
            fail=as_kept(found.fail),
        )


class ObjectMeta(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The part of metav1.ObjectMeta that this product reads."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    creation_timestamp: datetime
    deletion_timestamp: datetime | None = None
    annotations: dict[str, str] = {}
    """All of them; `FulfillmentRequest.annotations` are those that this product reads."""


class FulfillmentRequest(Struct, frozen=True, kw_only=True):
    """One order: the copy of it, its place in the queue, and the record that it was seen."""

    metadata: ObjectMeta
    spec: Spec
    status: Status | None = None

    @property
    def annotations(self) -> Annotations:
        """What people wrote onto it for this product to read."""
        return Annotations.of(self.metadata.annotations)

    @property
    def payment_intent(self) -> str | None:
        """The PaymentIntent that pays the order, pi_…: as an event named it, or else Stripe when it was asked."""
        return self.spec.session.payment_intent or (self.status.payment_intent if self.status else None)

    @property
    def has_unobserved_spec(self) -> bool:
        """Whether the status is of an older spec than this one, or there is none yet."""
        return self.status is None or self.status.observed_generation != self.metadata.generation

    @property
    def is_retry_requested(self) -> bool:
        """Whether a person asks for a retry that was not handled: the status tells of the try before it."""
        asked = self.annotations.retry
        handled = self.status.last_handled if self.status else None
        return bool(asked) and asked != (handled.retry if handled else None)

    @property
    def is_acknowledged(self) -> bool:
        """Whether a person has dealt with the failure that the request is in, or the reversals after it was fulfilled.

        An acknowledgement is of the reasons that it names: should the request fail for another later, such as a failed
        payment that is paid after all and then rejected by the backend, nobody has dealt with that.
        """
        if self.status is None or self.status.phase not in {Phase.FAILED, Phase.FULFILLED}:
            return False
        named = self.acknowledged_reasons
        if self.status.phase is Phase.FAILED:
            return self.status.reason in named
        return bool(named & ACKNOWLEDGED_WHEN_FULFILLED) and named.issuperset(self.reasons_to_acknowledge)

    @property
    def acknowledged_reasons(self) -> frozenset[str]:
        """The reasons that a person says they have dealt with; none when nobody does."""
        reasons, _, _ = self.annotations.acknowledged.partition(":")
        return frozenset(reason for each in reasons.split(",") if (reason := each.strip()))

    @property
    def reasons_to_acknowledge(self) -> tuple[str, ...]:
        """What asks something of a person: the failure; of a fulfilled order its dispute, its refund that failed."""
        status = self.status
        if status is not None and status.phase is Phase.FAILED:
            return (status.reason,)
        if status is None or status.phase is not Phase.FULFILLED:
            return ()
        found = (status.condition(each) for each in (ConditionType.DISPUTED, ConditionType.REFUNDED))
        return tuple(each.reason for each in found if each and each.reason in ACKNOWLEDGED_WHEN_FULFILLED)

    @property
    def last_changed_at(self) -> datetime:
        """When something was last said of the order, as far as it tells: of one that is finished, when it ended."""
        said = [self.metadata.creation_timestamp, self.spec.payment.observed_at]
        if self.spec.callback is not None:
            said.append(self.spec.callback.observed_at)
        if self.spec.reversal is not None:
            said.append(self.spec.reversal.observed_at)
        if self.spec.expiry is not None:
            said.append(self.spec.expiry.observed_at)
        if self.status is not None:
            said += [condition.last_transition_time for condition in self.status.conditions]
            if self.status.fulfillment is not None:
                said += [self.status.fulfillment.started_at, self.status.fulfillment.completed_at]
        return max(time for time in said if time is not None)
