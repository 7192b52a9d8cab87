"""A request as it is cached: packed, and the smaller the longer it waits, since 20,000 may wait for days."""

import zlib
from dataclasses import dataclass, replace

import msgspec

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_operator.checkout.session_list import Due
from fulfillment_operator.checkout.session_source import due_of
from fulfillment_operator.metrics import RequestLevel, request_level

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(FulfillmentRequest)
_LEVEL = 1  # of compression: the quickest leaves a third, and the slowest hardly less


@dataclass(frozen=True, slots=True)
class CachedRequest:
    """What is asked of it often stands open; all of it takes 10 microseconds to unpack, or 20 once it is compressed."""

    due: Due
    """What it needs of Stripe."""
    uid: str
    version: int
    """The resource version; those of one resource can be compared (Kubernetes, "Resource versions")."""
    level: RequestLevel
    is_deleted: bool
    """Whether it is about to go."""
    packed: bytes
    """All of it."""
    is_compressed: bool = False

    @property
    def name(self) -> str:
        """Its own."""
        return self.due.request

    @classmethod
    def pack(cls, request: FulfillmentRequest) -> "CachedRequest":
        """Pack a request.

        Raises:
            ValueError: its resource version is no number.
        """
        meta = request.metadata
        return cls(
            due=due_of(request),
            uid=meta.uid,
            version=int(meta.resource_version),
            level=request_level(request),
            is_deleted=meta.deletion_timestamp is not None,
            packed=_ENCODER.encode(request),
        )

    def compressed(self) -> "CachedRequest":
        """Return it as it is to wait: one that is due at once is not worth the time."""
        if self.is_compressed:
            return self
        return replace(self, packed=zlib.compress(self.packed, _LEVEL), is_compressed=True)

    def unpack(self) -> FulfillmentRequest:
        """Return all of it."""
        return _DECODER.decode(zlib.decompress(self.packed) if self.is_compressed else self.packed)
