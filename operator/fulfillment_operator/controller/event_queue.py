"""Events that wait to be written: Warnings first, and the last to be dropped."""

from fulfillment_operator.controller.event_correlator import RecordedEvent
from fulfillment_runtime.kubernetes.events import EventType


class EventQueue:
    """A bounded queue. Events of one request keep their order."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._events: list[RecordedEvent] = []

    def __len__(self) -> int:
        """Count the Events that wait."""
        return len(self._events)

    def put(self, event: RecordedEvent) -> RecordedEvent | None:
        """Take an Event in; return the one that is dropped for want of room: a Warning only if there is no other."""
        self._events.append(event)
        if len(self._events) <= self._capacity:
            return None
        places = range(len(self._events) - 1, -1, -1)
        return self._events.pop(next((at for at in places if self._events[at].type is EventType.NORMAL), -1))

    def pop(self) -> RecordedEvent:
        """Take the next one out; IndexError when there is none.

        What happened to a request before a Warning goes before it, too.
        """
        warned = next((each.uid for each in self._events if each.type is EventType.WARNING), None)
        return self._events.pop(next((at for at, each in enumerate(self._events) if warned in {None, each.uid}), 0))
