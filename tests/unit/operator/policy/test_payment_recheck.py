"""When orders that await their payment are asked about again: within each interval, many with one request."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_operator.checkout.session_list import Due, SessionList
from fulfillment_operator.policy.next_step import next_payment_recheck
from support.builders import make_request
from support.session_lists import Account, settle

NOON = datetime(2026, 9, 21, 12, tzinfo=UTC)
SIX_HOURS = timedelta(hours=6)


def created_at(time: datetime) -> FulfillmentRequest:
    """Make a request whose Session was created at a time."""
    request = make_request(PaymentStatus.UNPAID)
    session = msgspec.structs.replace(request.spec.session, created_at=time)
    return msgspec.structs.replace(request, spec=msgspec.structs.replace(request.spec, session=session))


@given(
    created=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - it has one
    waited=st.timedeltas(timedelta(0), timedelta(days=60)),
    interval=st.timedeltas(timedelta(seconds=1), timedelta(days=2)),
)
def test_each_is_asked_about_once_in_each_interval(created: datetime, waited: timedelta, interval: timedelta) -> None:
    """So a payment whose event was lost is seen within it, whenever it was settled."""
    request, now = created_at(created), created + waited
    first = next_payment_recheck(request, now, interval)
    assert now < first <= now + interval
    assert next_payment_recheck(request, first, interval) == first + interval


@pytest.mark.parametrize(("of_all", "most"), [(1, 400), (10, 4000)])
def test_many_that_wait_take_few_requests(of_all: int, most: int) -> None:
    """20,000 of the last five days, an interval long: in a list of their own, and as a tenth of what is sold."""
    seconds = 5 * 24 * 3600
    sold = [
        (f"cs_{place}", int(NOON.timestamp()) - seconds + place * seconds // (20_000 * of_all))
        for place in range(20_000 * of_all)
    ]
    due = defaultdict[datetime, list[Due]](list)
    for session, second in sold[::of_all]:
        request = created_at(datetime.fromtimestamp(second, UTC))
        due[next_payment_recheck(request, NOON, SIX_HOURS)].append(Due(session, second))
    stripe, listing = Account(sold), SessionList()
    for _, group in sorted(due.items()):
        settle(stripe, group, listing)
    assert stripe.lists + len(stripe.by_id) <= most


def test_the_groups_are_spread_over_the_interval() -> None:
    """Those of neighbouring times of creation least of all come together."""
    hours = [next_payment_recheck(created_at(NOON - timedelta(hours=age)), NOON, SIX_HOURS) for age in range(120)]
    assert max(sum(begin <= each < begin + timedelta(minutes=18) for each in hours) for begin in hours) <= 8
    assert all(abs(one - other) > timedelta(hours=1) for one, other in pairwise(hours))
