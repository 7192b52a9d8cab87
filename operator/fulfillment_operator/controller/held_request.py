"""A request as it is held while it waits: packed, since 20,000 may wait for days, and are worked on for a moment."""

import zlib
from dataclasses import dataclass

import msgspec

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_operator.checkout.session_list import Due
from fulfillment_operator.checkout.session_source import due_of
from fulfillment_operator.metrics import RequestLevel, request_level

_LEVEL = 1  # of compression: the quickest leaves a third, and the slowest hardly less


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """What is asked of it often stands open; all of it takes 20 microseconds to unpack."""

    due: Due
    """What it needs of Stripe."""
    uid: str
    version: int
    """The resource version; those of one resource can be compared (Kubernetes, "Resource versions")."""
    level: RequestLevel
    packed: bytes
    """All of it."""

    @property
    def name(self) -> str:
        """Its own."""
        return self.due.request

    @classmethod
    def pack(cls, request: FulfillmentRequest) -> "HeldRequest":
        """Pack a request.

        Raises:
            ValueError: its resource version is no number.
        """
        meta = request.metadata
        packed = zlib.compress(msgspec.json.encode(request), _LEVEL)
        return cls(due_of(request), meta.uid, int(meta.resource_version), request_level(request), packed)

    def unpack(self) -> FulfillmentRequest:
        """Return all of it."""
        return msgspec.json.decode(zlib.decompress(self.packed), type=FulfillmentRequest)
