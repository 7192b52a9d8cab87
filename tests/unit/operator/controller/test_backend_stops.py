"""What follows when the backend of an order that a person ended cannot be stopped."""

from datetime import timedelta
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from fulfillment_operator.backends.interface import InProgress, Outcome, PaidOrder, TryAgain
from fulfillment_operator.backends.routes import Routing
from fulfillment_operator.controller.decision_executor import DecisionExecutor
from fulfillment_operator.controller.dispatcher import Dispatcher
from fulfillment_operator.metrics import OperatorMetrics
from support.any_request import NOW, POLICY
from support.builders import make_request


class Stops:
    name = "shop"

    def __init__(self, answer: TryAgain | InProgress | None) -> None:
        self._answer = answer

    async def fulfill(self, order: PaidOrder) -> Outcome:
        raise NotImplementedError

    async def stop(self, _key: str, _uid: str) -> TryAgain | InProgress | None:
        return self._answer


@pytest.mark.parametrize(
    ("answer", "again", "counted"),
    [
        (None, False, 0),
        (InProgress("the Job is being stopped"), False, 0),
        (TryAgain("RBAC forbids it"), True, 1),
    ],
)
async def test_a_backend_that_cannot_be_stopped_is_counted(
    answer: TryAgain | InProgress | None, again: bool, counted: int
) -> None:
    """CheckoutBackendNotStopped fires by it, and it is tried again within a minute; one that is ending is no news."""
    registry, nobody = CollectorRegistry(), cast("Any", None)
    metrics = OperatorMetrics(registry, "shop")
    dispatcher = Dispatcher(
        backends={"shop": Stops(answer)},
        routing=Routing((), "shop"),
        deadline=POLICY.backend_deadline,
        clock=lambda: NOW,
        metrics=metrics,
    )
    executor = DecisionExecutor(
        dispatcher=dispatcher, mail=nobody, retry_policy=POLICY, clock=lambda: NOW, metrics=metrics
    )
    after = await executor.stop(make_request(), failures=0)
    assert (after is not None) is again
    assert after is None or after <= timedelta(minutes=1)
    labels = {"error": "backend-not-stopped"}
    assert registry.get_sample_value("fulfillment_reconcile_errors_total", labels) == counted
