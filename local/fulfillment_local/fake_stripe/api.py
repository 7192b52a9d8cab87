"""Stripe's endpoints as functions of the world: who asks for what, and what the answer is."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from fulfillment_local.fake_stripe import errors
from fulfillment_local.fake_stripe.charges import charge_object, dispute_object, invoice_object, invoice_payment_object
from fulfillment_local.fake_stripe.model import Order, PaymentIntent, Session, SessionStatus
from fulfillment_local.fake_stripe.objects import (
    Json,
    line_item_object,
    payment_intent_object,
    session_object,
    snapshot_event_object,
)
from fulfillment_local.fake_stripe.query import Page, Parameters, list_object
from fulfillment_local.fake_stripe.webhook_endpoints import webhook_endpoint_object
from fulfillment_local.fake_stripe.world import StripeWorld

TEST_KEY = "sk_test_standin"
LIVE_KEY = "sk_live_standin"
POWERLESS_KEY = "rk_test_standin"
OWN_ACCOUNT = "acct_1StandinOwn00000"
"""The account of the keys: a request may name it as it names a connected one."""


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The API keys that were given out. A key's own text tells its mode, as Stripe's do."""

    full: frozenset[str] = frozenset({TEST_KEY, LIVE_KEY})
    powerless: frozenset[str] = frozenset({POWERLESS_KEY})
    """Restricted keys without any right."""

    def livemode_of(self, authorization: str | None) -> bool:
        """Check an `Authorization` header, Bearer or Basic, and tell the mode of its key.

        Raises:
            ApiError: 401 for no key or an unknown one, 403 for one without the right.
        """
        key = _key(authorization)
        if key is not None and key in self.powerless:
            raise errors.forbidden(key)
        if key is None or key not in self.full:
            raise errors.unauthenticated(key)
        return "_live_" in key


def _key(authorization: str | None) -> str | None:
    scheme, _, value = (authorization or "").strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip() or None
        case "basic":
            try:
                user, _, _ = base64.b64decode(value, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None
            return user or None
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose objects a request may see."""

    livemode: bool
    account: str | None = None
    """The connected account that the request is made for."""

    def sees(self, order: Order) -> bool:
        """Tell whether an object of this order is the caller's."""
        return (order.livemode, order.account) == (self.livemode, self.account)


class _Owned(Protocol):
    @property
    def order(self) -> Order: ...


O = TypeVar("O", bound=_Owned)  # noqa: E741 - a type variable: an owned object


_EXPANDABLE = ("line_items", "payment_intent", "payment_intent.latest_charge")
"""What the stand-in expands of a Session."""


class StripeApi:
    """The endpoints that the stand-in has.

    Each takes the caller, the id in the path where there is one, and the query parameters; it returns the
    JSON object of the answer, or raises an `ApiError`.
    """

    def __init__(self, world: StripeWorld) -> None:
        self._world = world

    def retrieve_session(self, caller: Caller, session_id: str, parameters: Parameters) -> Json:
        """`GET /v1/checkout/sessions/{id}`."""
        expand = parameters.expand(_EXPANDABLE)
        parameters.finish()
        return self._expanded(self._session(caller, session_id), expand)

    def list_sessions(self, caller: Caller, parameters: Parameters) -> Json:
        """`GET /v1/checkout/sessions`, newest first."""
        found = parameters.expand(tuple(f"data.{each}" for each in _EXPANDABLE))
        expand = frozenset(each.removeprefix("data.") for each in found)
        page, created, status = parameters.page(), parameters.created(), parameters.text("status")
        parameters.finish()
        if status not in {None, *SessionStatus}:
            raise errors.invalid("status", "Invalid status: must be one of complete, expired, or open")
        return list_object(
            "/v1/checkout/sessions",
            [session for session in reversed([*self._world.sessions.values()]) if caller.sees(session.order)],
            page,
            kind="checkout.session",
            id_of=lambda session: session.id,
            render=lambda session: self._expanded(session, expand),
            wanted=lambda session: created.holds(session.created) and status in {None, session.status},
        )

    def _expanded(self, session: Session, expand: frozenset[str]) -> Json:
        answer = session_object(session)
        if "line_items" in expand:
            answer["line_items"] = _line_items(session, Page())
        if expand - {"line_items"} and session.payment_intent is not None:
            intent = self._world.payment_intents[session.payment_intent]
            answer["payment_intent"] = self._intent(intent, with_charge="payment_intent.latest_charge" in expand)
        return answer

    @staticmethod
    def _intent(intent: PaymentIntent, *, with_charge: bool) -> Json:
        return payment_intent_object(intent) | ({"latest_charge": charge_object(intent)} if with_charge else {})

    def list_line_items(self, caller: Caller, session_id: str, parameters: Parameters) -> Json:
        """`GET /v1/checkout/sessions/{id}/line_items`."""
        page = parameters.page()
        parameters.finish()
        return _line_items(self._session(caller, session_id), page)

    def retrieve_payment_intent(self, caller: Caller, intent_id: str, parameters: Parameters) -> Json:
        """`GET /v1/payment_intents/{id}`."""
        parameters.finish()
        intent = _find(self._world.payment_intents, intent_id, caller, kind="payment_intent", param="intent")
        return payment_intent_object(intent)

    def list_invoice_payments(self, caller: Caller, parameters: Parameters) -> Json:
        """`GET /v1/invoice_payments`, of one invoice."""
        intent_of = ("data.payment.payment_intent", "data.payment.payment_intent.latest_charge")
        expand, page = parameters.expand((*intent_of, "data.invoice")), parameters.page()
        invoice = parameters.text("invoice") or ""
        parameters.finish()
        intent = self._world.payment_of(invoice)

        def render(intent: PaymentIntent) -> Json:
            answer = invoice_payment_object(intent, invoice)
            if "data.invoice" in expand:
                answer["invoice"] = invoice_object(intent, invoice)
            if expand & {*intent_of}:
                answer["payment"]["payment_intent"] = self._intent(intent, with_charge=intent_of[1] in expand)
            return answer

        return list_object(
            "/v1/invoice_payments",
            [intent] if intent is not None and caller.sees(intent.order) else [],
            page,
            kind="invoice_payment",
            id_of=lambda each: each.invoice_payment or "",
            render=render,
        )

    def list_disputes(self, caller: Caller, parameters: Parameters) -> Json:
        """`GET /v1/disputes`, newest first, of all payments or of one."""
        page = parameters.page()
        payment_intent, charge = parameters.text("payment_intent"), parameters.text("charge")
        parameters.finish()
        if payment_intent is not None:
            _find(self._world.payment_intents, payment_intent, caller, kind="payment_intent", param="payment_intent")
        found = [
            (intent, dispute)
            for intent in reversed([*self._world.payment_intents.values()])
            if caller.sees(intent.order) and payment_intent in {None, intent.id} and charge in {None, intent.charge}
            for dispute in reversed(intent.disputes)
        ]
        return list_object(
            "/v1/disputes",
            found,
            page,
            kind="dispute",
            id_of=lambda each: each[1].id,
            render=lambda each: dispute_object(*each),
        )

    def retrieve_event(self, caller: Caller, event_id: str, parameters: Parameters) -> Json:
        """`GET /v1/events/{id}`."""
        parameters.finish()
        return snapshot_event_object(_find(self._world.events, event_id, caller, kind="event", param="id"))

    def list_events(self, caller: Caller, parameters: Parameters) -> Json:
        """`GET /v1/events`, newest first."""
        page, wanted = parameters.page(), parameters.event_filter()
        parameters.finish()
        return list_object(
            "/v1/events",
            [event for event in reversed([*self._world.events.values()]) if caller.sees(event.order)],
            page,
            kind="event",
            id_of=lambda event: event.id,
            render=snapshot_event_object,
            wanted=wanted,
        )

    def list_webhook_endpoints(self, caller: Caller, parameters: Parameters) -> Json:
        """`GET /v1/webhook_endpoints`."""
        page = parameters.page()
        parameters.finish()
        return list_object(
            "/v1/webhook_endpoints",
            [each for each in self._world.webhook_endpoints if each.livemode is caller.livemode],
            page,
            kind="webhook_endpoint",
            id_of=lambda endpoint: endpoint.id,
            render=webhook_endpoint_object,
        )

    def _session(self, caller: Caller, session_id: str) -> Session:
        return _find(self._world.sessions, session_id, caller, kind="checkout.session", param="session")


def _line_items(session: Session, page: Page) -> Json:
    return list_object(
        f"/v1/checkout/sessions/{session.id}/line_items",
        session.line_items,
        page,
        kind="line_item",
        id_of=lambda item: item.id,
        render=lambda item: line_item_object(item, session.order),
    )


def _find(objects: Mapping[str, O], object_id: str, caller: Caller, *, kind: str, param: str) -> O:
    found = objects.get(object_id)
    if found is not None and caller.sees(found.order):
        return found
    other_mode = Caller(livemode=not caller.livemode, account=caller.account)
    raise errors.missing(
        kind,
        object_id,
        param,
        livemode_of_key=caller.livemode,
        in_other_mode=found is not None and other_mode.sees(found.order),
    )
