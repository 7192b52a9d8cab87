"""Orders: events that Stripe's stand-in tells of, and objects made after one that the product itself has made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from benchmarks.api_server import ApiServer, requests_path
from benchmarks.sender import Shot
from fulfillment_api.names import request_name
from fulfillment_local.fake_stripe.client import WorldClient
from fulfillment_local.fake_stripe.control import Played
from fulfillment_local.fake_stripe.model import Order

_AT_ONCE = 500  # orders in one request to the stand-in: an answer of a few megabytes


@dataclass(frozen=True, slots=True)
class Ids:
    """What one order is told from another by."""

    session: str
    payment_intent: str
    event: str
    created_at: str = ""
    """When the Session was created, as the request has it; empty: nobody asks."""

    @property
    def name(self) -> str:
        """The request's name."""
        return request_name(self.session)


class _Session(msgspec.Struct, frozen=True):
    id: str
    created: int
    payment_intent: str = ""


class _Data(msgspec.Struct, frozen=True):
    object: _Session


class _Event(msgspec.Struct, frozen=True):
    id: str
    data: _Data


@dataclass(frozen=True, slots=True)
class PlayedOrder:
    """An order that the stand-in knows, and the body of the event that tells of it."""

    ids: Ids
    event: str


async def play(stripe: WorldClient, order: Order, count: int) -> list[PlayedOrder]:
    """Let buyers place orders at the stand-in, each with an event."""
    played: list[Played] = []
    while len(played) < count:
        played += await stripe.play(order, count=min(_AT_ONCE, count - len(played)))
    return [_played_order(each) for each in played]


def _played_order(played: Played) -> PlayedOrder:
    assert played.event is not None, "an open Session has no event"
    snapshot = bytes(played.event.snapshot)
    event = msgspec.json.decode(snapshot, type=_Event)
    session = event.data.object
    created_at = f"{datetime.fromtimestamp(session.created, UTC):%Y-%m-%dT%H:%M:%SZ}"
    ids = Ids(session.id, session.payment_intent, event.id, created_at)
    return PlayedOrder(ids, msgspec.json.format(snapshot, indent=2).decode())  # as Stripe sends it


def made_up(number: int) -> Ids:
    """Return ids of the usual length that the stand-in does not know."""
    return Ids(f"cs_test_a1{number:0>56}", f"pi_3{number:0>23}", f"evt_1{number:0>23}")


@dataclass(frozen=True, slots=True)
class Template:
    """A request as the product left it, after which others are made that differ by their ids alone."""

    ids: Ids
    stored: Mapping[str, Any]
    """As the API server has it."""

    @property
    def phase(self) -> str | None:
        """Where it stands; None: nobody has looked at it."""
        phase: str | None = self.stored.get("status", {}).get("phase")
        return phase

    def create(self, api: ApiServer, namespace: str, ids: Ids) -> Shot:
        """Make the request that creates another one."""
        metadata = {key: self.stored["metadata"][key] for key in _KEPT if key in self.stored["metadata"]}
        content = {key: self.stored[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": metadata}
        return api.shot("POST", f"{requests_path(namespace)}?{self._manager('')}", self._of(content, ids))

    def patch_status(self, api: ApiServer, namespace: str, ids: Ids) -> Shot:
        """Make the request that gives that one its status."""
        path = f"{requests_path(namespace)}/{ids.name}/status?{self._manager('status')}"
        return api.shot("PATCH", path, self._of({"status": self.stored["status"]}, ids))

    def _of(self, content: Mapping[str, Any], ids: Ids) -> str:
        text = msgspec.json.encode(content).decode()
        for mine, other in (
            (self.ids.name, ids.name),
            (self.ids.session, ids.session),
            (self.ids.payment_intent, ids.payment_intent),
            (self.ids.event, ids.event),
            (f'"createdAt":"{self.ids.created_at}"', f'"createdAt":"{ids.created_at or self.ids.created_at}"'),
        ):
            if mine:
                text = text.replace(mine, other)
        return text

    def _manager(self, subresource: str) -> str:
        """Write as who wrote the template, so that the API server keeps as much about it."""
        managers = [
            entry["manager"]
            for entry in self.stored["metadata"].get("managedFields", ())
            if entry.get("subresource", "") == subresource
        ]
        return f"fieldManager={managers[0]}" if managers else ""


_KEPT = ("name", "labels", "annotations")
