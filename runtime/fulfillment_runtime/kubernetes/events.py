"""Events (core/v1) as they are written, and as they are read. No I/O: `event_sink` and `fulfillment_requests` do it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique

from msgspec import Struct


@unique
class EventType(StrEnum):
    """The type of an Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An Event about a FulfillmentRequest, as `kubectl describe` and `kubectl events` show it."""

    name: str
    """Its own."""
    request: str
    """The name of the FulfillmentRequest."""
    uid: str
    """Likewise."""
    resource_version: str
    """Likewise."""
    type: EventType
    reason: str
    """Why, in one word for programs: `RetryRequested`."""
    action: str
    """What was done, in one word for programs: `Reconcile`."""
    message: str
    """For a person; what exceeds the API server's bound is cut off."""
    first_timestamp: datetime
    last_timestamp: datetime
    count: int = 1
    """How often it happened."""


@dataclass(frozen=True, slots=True)
class PostedEvent:
    """An Event that the API server has."""

    at: datetime
    """When it happened last."""
    reason: str
    message: str


class _EventMetadata(Struct, rename="camel"):
    creation_timestamp: datetime | None = None


class _Involved(Struct):
    uid: str = ""


class ListedEvent(Struct, rename="camel"):
    """core/v1 Event, as far as it is read."""

    involved_object: _Involved
    metadata: _EventMetadata
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    reason: str | None = None
    message: str | None = None

    @property
    def posted(self) -> PostedEvent | None:
        """The same, typed; None when it does not say when it happened."""
        at = self.last_timestamp or self.event_time or self.metadata.creation_timestamp
        return None if at is None else PostedEvent(at, self.reason or "", self.message or "")
