"""Whatever Stripe's published schema lets it answer about a Session, the order ends in a phase that can be written."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, assert_never
from urllib.parse import urlsplit

import msgspec
import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_operator.backends.document import order_document
from fulfillment_operator.backends.outcome import Done
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.checkout.session_answer import SessionUnreadableError
from fulfillment_operator.checkout.stripe_api import StripeApi
from fulfillment_operator.controller.paid_order import paid_order
from fulfillment_operator.policy import transition
from fulfillment_operator.policy.decide import AwaitPayment, EndEmpty, Fail, FailPayment, Fulfill, Reverse, decide
from fulfillment_operator.policy.next_step import RequeueState, next_step
from fulfillment_operator.policy.transition import Retries
from fulfillment_runtime.stripe.reader import StripeReader
from fulfillment_runtime.stripe.throttle import Limits, Throttle
from support.builders import CREATED, SESSION_ID, make_request
from support.stripe_schema import components, instances

NOW = CREATED + timedelta(hours=2)
RETRIES = Retries(delay=timedelta(seconds=10), deadline=timedelta(hours=72))
READ = frozenset(
    {
        *("amount", "amount_received", "amount_remaining", "amount_total", "cancellation_reason", "capture_before"),
        *("card", "charge", "collected_information", "currency", "customer_details", "description", "invoice"),
        *("last_payment_error", "latest_charge", "line_items", "metadata", "next_action", "payment_intent"),
        *("display_bank_transfer_instructions", "payment_link", "payment_method_details", "price", "product"),
        *("quantity", "shipping_details", "status", "email", "name", "phone", "address"),
    }
)
"""What the operator reads: drawn more often than what it leaves alone."""
SESSIONS = instances("checkout.session", often=READ)
LINE_ITEMS = st.lists(instances("item", often=READ), max_size=3).flatmap(
    lambda items: st.booleans().map(lambda more: {"object": "list", "data": items, "has_more": more})
)
INVOICE_PAYMENTS = st.lists(instances("invoice_payment", often=READ), max_size=1).map(
    lambda found: {"object": "list", "data": found, "has_more": False}
)
DISPUTES = st.lists(instances("dispute", often=READ), max_size=2).map(
    lambda found: {"object": "list", "data": found, "has_more": False}
)
EMPTY = {"object": "list", "data": [], "has_more": False}


class Answers(stripe.HTTPClient):
    """Answers each path with the same JSON, whatever is asked."""

    name = "answers"

    def __init__(self, session: Any, line_items: Any, invoice_payments: Any, disputes: Any) -> None:
        super().__init__()
        self._answers = {
            SESSION_ID: session,
            "line_items": line_items,
            "invoice_payments": invoice_payments,
            "disputes": disputes,
        }
        self.count = 0

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        del method, headers, post_data
        self.count += 1
        answer = self._answers[urlsplit(url).path.rpartition("/")[2]]
        return json.dumps(answer).encode(), 200, {}


def retrieve(answers: Answers) -> CheckoutSession:
    client = stripe.StripeClient("sk_test_1", http_client=answers, max_network_retries=0)
    reader = StripeReader(client, Throttle(Limits(per_second=1000, per_endpoint=1000, concurrency=1)))

    async def ask() -> CheckoutSession | None:
        return await StripeApi(reader).retrieve(SESSION_ID, None)

    session = asyncio.run(ask())
    assert session is not None
    return session


def status_of(hint: PaymentStatus, session: CheckoutSession) -> Status:
    """Return the status that follows, as the reconciler makes it with a backend that is done at once."""
    request = make_request(hint)
    match decide(request, session, NOW):
        case AwaitPayment(found, state, overdue):
            return transition.awaiting_payment(request, found, state, NOW, overdue=overdue)
        case FailPayment(found):
            return transition.payment_failed(request, found, None, NOW)
        case Fail() as fail:
            return transition.failed(request, fail, NOW)
        case EndEmpty(found):
            return transition.ended_empty(request, found, NOW)
        case Reverse(fail):
            return transition.failed(request, fail, NOW)
        case Fulfill(found):
            assert json.dumps(order_document(paid_order(request, found, None)))
            return transition.dispatched(request, transition.Attempt(found, Done(), "log"), RETRIES, NOW)
        case never:
            assert_never(never)


def judge(
    hint: PaymentStatus, session: Any, line_items: Any = EMPTY, invoice_payments: Any = EMPTY, disputes: Any = EMPTY
) -> Phase:
    answers = Answers(session, line_items, invoice_payments, disputes)
    try:
        status = status_of(hint, retrieve(answers))
    except SessionUnreadableError as error:
        status = transition.failed(make_request(hint), Fail(Reason.SESSION_UNREADABLE, str(error)), NOW)
    assert answers.count <= 5
    assert msgspec.convert(msgspec.to_builtins(status), Status) == status
    step = next_step(
        make_request(hint, status=status),
        NOW,
        RequeueState(NOW),
        livemode=False,
        recheck=timedelta(hours=6),
        retry_max=timedelta(minutes=15),
    )
    assert step is not None
    return status.phase


@given(
    hint=st.sampled_from(PaymentStatus),
    session=SESSIONS,
    line_items=LINE_ITEMS,
    invoice_payments=INVOICE_PAYMENTS,
    disputes=DISPUTES,
)
def test_any_answer_that_the_schema_allows_ends_in_a_phase(
    hint: PaymentStatus, session: Any, line_items: Any, invoice_payments: Any, disputes: Any
) -> None:
    """Never in an exception that nobody foresaw, nor in a passing fault, and after a few requests."""
    assert judge(hint, session, line_items, invoice_payments, disputes) in Phase


@given(
    hint=st.sampled_from(PaymentStatus),
    session=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            sorted(READ | {"mode", "payment_status", "payment_method_types"}),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.sampled_from(["", "paid", "complete", "x", "pi_1"]),
                lambda inner: (
                    st.lists(inner, max_size=2)
                    | st.dictionaries(st.sampled_from(["id", "data", "has_more", "status", "price"]), inner, max_size=3)
                ),
                max_leaves=6,
            ),
        ),
    ),
    line_items=LINE_ITEMS,
    disputes=DISPUTES,
)
def test_any_answer_at_all_ends_in_a_phase(hint: PaymentStatus, session: Any, line_items: Any, disputes: Any) -> None:
    """Of fields that are null, absent or of any type likewise."""
    assert judge(hint, session, line_items, disputes=disputes) in Phase


@pytest.mark.parametrize("answer", [[], [1], "text", 7, None, {"object": 5}, {"id": None}])
def test_an_answer_that_is_no_session_is_unreadable(answer: Any) -> None:
    """It is JSON, so Stripe was reached, and no passing fault."""
    assert judge(PaymentStatus.PAID, answer) is Phase.FAILED


def test_a_part_that_nobody_reads_may_be_of_any_form() -> None:
    """Stripe's library would refuse the whole answer for it."""
    odd = {"object": "checkout.session", "payment_status": "paid", "currency_conversion": {"fx_rate": "much"}}
    assert judge(PaymentStatus.PAID, odd) is Phase.FULFILLED


def test_what_is_read_is_in_the_schema() -> None:
    """So that what Stripe renames is noticed."""
    named = {name for schema in components().values() for name in schema.get("properties", {})}
    assert named >= READ
