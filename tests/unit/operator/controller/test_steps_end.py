"""Whatever stands in the cluster, and whatever the outside says: a step never asks for itself again at once."""

import asyncio
import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_operator.policy.next_step import RequeueState, Settled, Wait
from support.any_request import NOW, OUTSIDES, RECHECK, Outside, requests, steps


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request=requests(), outside=OUTSIDES, failures=st.integers(0, 4))
def test_no_step_asks_for_itself_again_at_once(request: FulfillmentRequest, outside: Outside, failures: int) -> None:
    """After each step another one is due, or time has to pass: nothing spins, whatever failed."""
    taken = asyncio.run(steps(request, RequeueState(NOW - RECHECK, failures=failures), outside))
    last = taken[-1]
    assert isinstance(last, Settled) or (isinstance(last, Wait) and last.until > NOW), taken
    assert all(one != other for one, other in itertools.pairwise(taken)), taken
