"""Whatever order, duplication and loss befall one Session's events, the order ends the same, and never goes back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fulfillment_api.names import request_name
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.fake_stripe.model import Order, Outcome, Settlement
from support.running_business import Business, open_business

pytestmark = [pytest.mark.usefixtures("crd"), pytest.mark.xdist_group("busy")]

RECHECK = timedelta(milliseconds=500)
MAY_FOLLOW = {
    None: {Phase.AWAITING_PAYMENT, Phase.FULFILLED, Phase.FAILED},
    Phase.AWAITING_PAYMENT: {Phase.FULFILLED, Phase.FAILED},
    Phase.FAILED: {Phase.FULFILLED},
    Phase.FULFILLED: set(),
}


@dataclass(frozen=True)
class Story:
    """What happens to one Session at Stripe, and what the webhook hears of it."""

    order: Order
    settlement: Settlement | None
    before: tuple[int, ...]
    """Deliveries of the events that there are before the payment is settled, by their place."""
    after: tuple[int, ...]
    """Deliveries afterwards."""
    patient: bool
    """Whether the operator has the time to reconcile before the payment is settled."""
    thin: bool

    @property
    def ends(self) -> Phase:
        """How the order must end: as Stripe's own books say."""
        return Phase.FAILED if self.settlement is Settlement.FAILED else Phase.FULFILLED


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Draw a story in which at least one event arrives."""
    outcome = draw(st.sampled_from([Outcome.PAID, Outcome.FREE, Outcome.UNPAID]))
    settlement = None
    if outcome is Outcome.UNPAID:
        settlement = draw(st.sampled_from([Settlement.SUCCEEDED, Settlement.FAILED]))
    before = draw(st.lists(st.just(0), max_size=2))
    places = st.integers(0, 1 if settlement else 0)
    after = draw(st.lists(places, min_size=0 if before else 1, max_size=4))
    return Story(
        Order(outcome=outcome), settlement, tuple(before), tuple(after), draw(st.booleans()), draw(st.booleans())
    )


@pytest.fixture
async def business(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Business]:
    async with open_business(control_plane, namespace, recheck=RECHECK) as business:
        yield business


@settings(max_examples=45, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories())
async def test_the_end_is_the_one_that_stripe_knows(business: Business, story: Story) -> None:
    """Fulfilled once or failed with one mail, as Stripe's books say, by a path that never goes back."""
    world = business.shop.stripe.world
    session, completed = world.play(story.order)
    assert completed is not None
    name = request_name(session.id)
    for _ in story.before:
        await business.deliver(completed, thin=story.thin)
    if story.patient and story.before:
        await business.phases(name, Phase.AWAITING_PAYMENT if story.settlement else Phase.FULFILLED)
    settled = world.settle(session.id, story.settlement) if story.settlement else None
    events = [completed, settled or completed]
    following = asyncio.create_task(business.phases(name, story.ends))
    for place in story.after:
        await business.deliver(events[place], thin=story.thin)
    phases = await following
    assert all(after in MAY_FOLLOW[before] for before, after in zip([None, *phases], phases, strict=False))
    mails = business.shop.mailbox.to(session.buyer.email)
    sent = [mail for mail in mails if name in mail.message_id]
    assert len(sent) == (1 if story.ends is Phase.FAILED else 0)
    assert business.fulfilled[name] == (1 if story.ends is Phase.FULFILLED else 0)
