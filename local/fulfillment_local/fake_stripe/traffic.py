"""What came in at the stand-in's API, and how it is told to fail."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0)]


class Request(msgspec.Struct, kw_only=True):
    """A request to the API."""

    method: str
    path: str
    query: str
    """Decoded."""
    received: float
    """Seconds since the epoch."""
    account: str | None = None
    idempotency_key: str | None = None
    api_version: str | None = None
    status: int | None = None
    """None while there is no answer, and for ever when the connection was dropped."""


class Traffic(msgspec.Struct, kw_only=True):
    """The requests since the start or the last `clear`, in the order they came."""

    requests: list[Request] = msgspec.field(default_factory=list)
    in_flight: int = 0
    greatest_in_flight: int = 0

    def at(self, path: str) -> list[Request]:
        """Return the requests for one path, such as `/v1/events`."""
        return [request for request in self.requests if request.path == path]

    @contextmanager
    def recording(self, request: Request) -> Iterator[None]:
        """Note a request, and that it is in flight."""
        self.requests.append(request)
        self.in_flight += 1
        self.greatest_in_flight = max(self.greatest_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def clear(self) -> None:
        """Forget the requests; those in flight still count as such."""
        self.requests.clear()
        self.greatest_in_flight = self.in_flight


class _Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    path: str = ""
    """Only requests whose path holds this."""
    account: str | None = None
    """Only requests that are made for this connected account."""
    times: Annotated[int, Meta(ge=1)] | None = None
    """How many requests; None: until told otherwise."""


class Fail(_Fault, frozen=True, tag="refuse"):
    """Answer with a status."""

    status: Annotated[int, Meta(ge=400, le=599)]
    code: str | None = None
    """Of Stripe's error."""
    retry_after: str | None = None
    """The `Retry-After` header: seconds, or an HTTP date."""
    should_retry: bool | None = None
    """The `Stripe-Should-Retry` header."""


class Hang(_Fault, frozen=True, tag="hang"):
    """Say nothing for some seconds, then drop the connection."""

    seconds: Seconds


class Drop(_Fault, frozen=True, tag="drop"):
    """Drop the connection."""


class Slow(_Fault, frozen=True, tag="slow"):
    """Give the right answer, some seconds late."""

    seconds: Seconds


class Cut(_Fault, frozen=True, tag="cut"):
    """Send the head and half of the body, say nothing for some seconds, then drop the connection."""

    seconds: Seconds = 0


class Alter(_Fault, frozen=True, tag="alter"):
    """Give an answer of another form: an older one, or one that Stripe's schema allows and nobody expects."""

    fields: dict[str, Any]
    """What the answer's object has instead, by its names."""
    without: tuple[str, ...] = ()
    """The names that it lacks."""


Fault = Fail | Hang | Drop | Slow | Cut | Alter


class Faults:
    """The faults that are in force: each request meets the first that fits it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def set(self, faults: Sequence[Fault]) -> None:
        """Replace all faults; none at all ends the trouble."""
        self._faults = list(faults)

    def meet(self, path: str, account: str | None = None) -> Fault | None:
        """Return the fault that a request for this path, and this connected account, meets, and count it."""
        for place, fault in enumerate(self._faults):
            if fault.path in path and fault.account in {None, account}:
                if fault.times is not None:
                    left = fault.times - 1
                    self._faults[place : place + 1] = [msgspec.structs.replace(fault, times=left)] if left else []
                return fault
        return None
