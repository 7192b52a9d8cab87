"""The stand-in's own surface, `/_world/…`: other processes play orders, settle payments, cause trouble.

`WorldClient` speaks it. A refusal is `{"message": …}` with 400 (not understood), or 409 (it cannot happen).
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from fulfillment_local.fake_stripe.model import (
    AfterPayment,
    DeliveryState,
    Event,
    EventType,
    Order,
    Outcome,
    Settlement,
)
from fulfillment_local.fake_stripe.objects import snapshot_event_object, thin_event_object
from fulfillment_local.fake_stripe.traffic import Fault, Faults, Traffic
from fulfillment_local.fake_stripe.world import StripeWorld, TransitionError

T = TypeVar("T")


class SentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the world keeps it, with both bodies that a webhook may get of it."""

    id: str
    type: EventType
    session: str
    """The Session's id."""
    delivery: DeliveryState
    snapshot: msgspec.Raw
    """The JSON of the `event` object."""
    thin: msgspec.Raw
    """The JSON of the `v2.core.event` object."""


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """A Session, and the event that tells of it; an open Session has none."""

    session: str
    event: SentEvent | None


class PlayOrders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_world/orders`."""

    order: Order
    count: Annotated[int, Meta(ge=1, le=100_000)] = 1


class SettlePayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_world/sessions/{id}/payment`."""

    settlement: Settlement


class PlayAfterPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_world/sessions/{id}/after`: a paid order is refunded or disputed, or that goes on."""

    after: AfterPayment


class LeavePage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_world/sessions/{id}/outcome`: the buyer of an open Session goes on."""

    outcome: Outcome


def sent_event(event: Event) -> SentEvent:
    """Render an event for other processes."""
    return SentEvent(
        id=event.id,
        type=event.type,
        session=event.session.id,
        delivery=event.delivery,
        snapshot=msgspec.Raw(msgspec.json.encode(snapshot_event_object(event))),
        thin=msgspec.Raw(msgspec.json.encode(thin_event_object(event))),
    )


def _played(session_id: str, event: Event | None) -> Played:
    return Played(session=session_id, event=None if event is None else sent_event(event))


class ControlSurface:
    """The routes below `/_world/`."""

    def __init__(self, world: StripeWorld, faults: Faults, traffic: Traffic) -> None:
        self._world = world
        self._faults = faults
        self._traffic = traffic

    def routes(self) -> list[web.RouteDef]:
        """Return what there is."""
        return [
            web.post("/_world/orders", _answering(self._play)),
            web.post("/_world/sessions/{id}/payment", _answering(self._settle)),
            web.post("/_world/sessions/{id}/outcome", _answering(self._leave_page)),
            web.post("/_world/sessions/{id}/after", _answering(self._come_after)),
            web.get("/_world/events", _answering(self._events)),
            web.post("/_world/deliveries", _answering(self._mark)),
            web.put("/_world/faults", _answering(self._set_faults)),
            web.get("/_world/requests", _answering(self._requests)),
            web.delete("/_world/requests", _answering(self._clear_requests)),
        ]

    async def _play(self, request: web.Request) -> list[Played]:
        asked = await _decoded(request, PlayOrders)
        played = (self._world.play(asked.order) for _ in range(asked.count))
        return [_played(session.id, event) for session, event in played]

    async def _settle(self, request: web.Request) -> Played:
        asked, session_id = await _decoded(request, SettlePayment), request.match_info["id"]
        return _played(session_id, self._world.settle(session_id, asked.settlement))

    async def _come_after(self, request: web.Request) -> SentEvent:
        asked, session_id = await _decoded(request, PlayAfterPayment), request.match_info["id"]
        return sent_event(self._world.play_after_payment(session_id, asked.after))

    async def _leave_page(self, request: web.Request) -> SentEvent:
        asked, session_id = await _decoded(request, LeavePage), request.match_info["id"]
        return sent_event(self._world.leave_page(session_id, asked.outcome))

    async def _events(self, request: web.Request) -> list[SentEvent]:
        session = request.query.get("session")
        return [
            sent_event(event) for event in self._world.events.values() if session is None or event.session.id == session
        ]

    async def _mark(self, request: web.Request) -> None:
        for event_id, delivery in (await _decoded(request, dict[str, DeliveryState])).items():
            self._world.mark(event_id, delivery)

    async def _set_faults(self, request: web.Request) -> None:
        self._faults.set(await _decoded(request, list[Fault]))

    async def _requests(self, _request: web.Request) -> Traffic:
        return self._traffic

    async def _clear_requests(self, _request: web.Request) -> None:
        self._traffic.clear()


async def _decoded(request: web.Request, kind: type[T]) -> T:
    return msgspec.json.decode(await request.read(), type=kind)


def _answering(
    handle: Callable[[web.Request], Awaitable[Any]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        try:
            status, body = HTTPStatus.OK, await handle(request)
        except msgspec.DecodeError as error:
            status, body = HTTPStatus.BAD_REQUEST, {"message": str(error)}
        except TransitionError as error:
            status, body = HTTPStatus.CONFLICT, {"message": str(error)}
        return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")

    return answer
