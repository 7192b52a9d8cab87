"""What the API server answers when objects are listed or watched, typed as far as it is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

import msgspec
from msgspec import Raw, Struct, field

from fulfillment_api.resource import FulfillmentRequest, ObjectMeta


@dataclass(frozen=True, slots=True)
class ListedRequest:
    """A FulfillmentRequest as it was listed."""

    raw: Raw
    """All that the API server has of it, as JSON."""
    request: FulfillmentRequest | None
    """The same, typed; None when it makes no sense: it was made by hand, or by a newer version."""

    @property
    def metadata(self) -> ObjectMeta:
        """What the API server has made of it, so that it makes sense also where the rest does not."""
        return self.request.metadata if self.request else msgspec.json.decode(self.raw, type=_AnyObject).metadata

    @classmethod
    def decode(cls, raw: Raw) -> "ListedRequest":
        """Decode it, as far as it makes sense."""
        try:
            return cls(raw, msgspec.json.decode(raw, type=FulfillmentRequest))
        except msgspec.ValidationError:
            return cls(raw, None)


class _AnyObject(Struct):
    metadata: ObjectMeta


class PartialMetadata(Struct, rename="camel"):
    """metav1.ObjectMeta, as far as it is read."""

    resource_version: str
    name: str = ""  # a bookmark has neither
    uid: str = ""


class PartialObjectMetadata(Struct):
    """metav1.PartialObjectMetadata: an object without its spec and its status."""

    metadata: PartialMetadata


@dataclass(frozen=True, slots=True)
class ListedVersions:
    """Which requests there are; resource versions of one resource can be compared."""

    of_uid: Mapping[str, int]
    """The resource version of each, by its uid."""
    resource_version: int
    """Of the state that was listed."""


class ListMeta(Struct):
    """metav1.ListMeta."""

    resource_version: str = field(default="", name="resourceVersion")
    """Of the state that is listed."""
    further: str = field(default="", name="continue")
    """What asks for the next page; empty on the last one."""


class ListPage(Struct):
    """One page of a list."""

    items: list[Raw] | None = None  # null is how an empty list of metadata comes
    metadata: ListMeta = field(default_factory=ListMeta)

    @classmethod
    def resumption(cls, body: bytes) -> "ListPage | None":
        """Read what an API server that no longer has the listed state offers to go on with; None if it offers nothing.

        Args:
            body: the metav1.Status of its answer 410.
        """
        try:
            page = msgspec.json.decode(body, type=cls)
        except msgspec.DecodeError:
            return None
        return page if page.metadata.further else None


@unique
class WatchEventType(StrEnum):
    """The type of a metav1.WatchEvent."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


class WatchEvent(Struct):
    """metav1.WatchEvent."""

    type: WatchEventType
    object: Raw


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch of all requests tells: that one changed, or how far it has come (a bookmark)."""

    type: WatchEventType
    metadata: PartialMetadata
    """Of a bookmark the resource version alone says something."""
    raw: Raw
    """The whole object, undecoded: few of a watch's changes concern whoever watches."""
