"""The FulfillmentRequest as a whole."""

from datetime import datetime

from msgspec import Struct

from fulfillment_api.spec import Spec
from fulfillment_api.status import Status


class ObjectMeta(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The part of metav1.ObjectMeta that this product reads."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    creation_timestamp: datetime
    deletion_timestamp: datetime | None = None


class FulfillmentRequest(Struct, frozen=True, kw_only=True):
    """One order: the copy of it, its place in the queue, and the record that it was seen."""

    metadata: ObjectMeta
    spec: Spec
    status: Status | None = None
