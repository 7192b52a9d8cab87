"""Any request that the schema allows, whatever else is true of it, and what a reconciler makes of it step by step."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest, ObjectMeta
from fulfillment_api.spec import Spec
from fulfillment_api.status import Condition, ConditionType, Reason, Status
from fulfillment_operator.backends.order import PaidOrder, ReversalNotice
from fulfillment_operator.backends.outcome import Done, InProgress, Outcome, Rejected, TryAgain
from fulfillment_operator.backends.routes import Routing
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.controller.decision_executor import DecisionExecutor
from fulfillment_operator.controller.dispatcher import Dispatcher
from fulfillment_operator.controller.reconciler import Reconciler, Standing
from fulfillment_operator.controller.retry_policy import RetryPolicy
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.metrics import OperatorMetrics
from fulfillment_operator.policy.next_step import RequeueState, Settled, Step, Wait, next_step
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError
from fulfillment_runtime.stripe.client import StripeMisconfiguredError, StripeUnavailableError
from support.builders import CREATED
from support.schema_strategies import TIMES, instances

NOW = CREATED + timedelta(days=3)
RECHECK = timedelta(hours=6)
RETRY_MAX = timedelta(minutes=15)
RETRIES = Backoff(timedelta(seconds=1), timedelta(minutes=1), lambda: 0.0)
POLICY = RetryPolicy(
    recheck=RECHECK,
    backend=RETRIES,
    backend_deadline=timedelta(hours=72),
    errors=RETRIES,
    misconfigured=Backoff(timedelta(seconds=2), timedelta(minutes=5), lambda: 0.0),
    mail=RETRIES,
)
MOST_STEPS = 6
"""One request may ask for some steps one after the other, such as a new one whose annotations are invalid."""

TEXTS = st.text("ab ", max_size=3)
OURS = st.dictionaries(
    st.sampled_from([names.PAUSED, names.RETRY, names.COMPLETE, names.FAIL, names.ACKNOWLEDGED, f"{names.GROUP}/stop"]),
    TEXTS,
)
REASONS = st.sampled_from([str(each) for each in Reason])
CONDITIONS = st.lists(
    instances(Condition, type=st.sampled_from([str(each) for each in ConditionType]), reason=REASONS),
    max_size=4,
    unique_by=lambda condition: condition.type,
)
BACKENDS = st.sampled_from(["shop", "manual", "gone"])
SPECS: st.SearchStrategy[Spec] = instances(Spec, mode=st.none(), metadata=st.just({}), id=st.just("cs_test_1"))
STATUSES: st.SearchStrategy[Status] = instances(
    Status,
    reason=REASONS,
    conditions=CONDITIONS,
    backend=BACKENDS,
    observed_generation=st.integers(1, 2),
    line_items=st.just([]),
)


@st.composite
def requests(draw: st.DrawFn) -> FulfillmentRequest:
    """Draw a request: mostly of its Session's name, as the webhook service makes it."""
    spec = draw(SPECS)
    name = names.request_name(spec.session.id, spec.session.account)
    meta = ObjectMeta(
        name=draw(st.sampled_from([name, name, name, "cs-" + "a" * 26])),
        namespace="shop",
        uid="1",
        resource_version="7",
        generation=draw(st.integers(1, 2)),
        creation_timestamp=draw(TIMES),
        deletion_timestamp=draw(st.sampled_from([None, None, None, NOW])),
        annotations=draw(OURS),
    )
    return FulfillmentRequest(metadata=meta, spec=spec, status=draw(st.none() | STATUSES))


DELAYS = st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=9))
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Done, TEXTS),
    st.builds(InProgress, TEXTS, TEXTS, DELAYS),
    st.builds(TryAgain, TEXTS, DELAYS),
    st.builds(Rejected, TEXTS),
)
SESSIONS: st.SearchStrategy[CheckoutSession] = instances(
    CheckoutSession,
    line_items=st.just(()),
    customer=st.none(),
    shipping=st.none(),
    amount=st.none(),
    metadata=st.just({}),
)
MAILS = st.builds(
    MailOutcome,
    st.sampled_from([Reason.MAIL_SENT, Reason.MAIL_UNAVAILABLE, Reason.MAIL_REJECTED, Reason.NO_EMAIL_ADDRESS]),
    TEXTS,
)


@dataclass
class Outside:
    """Stripe, a backend, the mail server and the API server, each of which says what was drawn."""

    session: CheckoutSession | Exception | None
    outcome: Outcome
    mail: MailOutcome
    stopped: TryAgain | InProgress | None
    api_server: bool
    name: str = "shop"
    written: int = 7

    async def stands(self) -> Standing:
        if not self.api_server:
            raise ApiUnavailableError("away")
        return Standing.STANDS

    async def retrieve_for(self, _request: FulfillmentRequest) -> CheckoutSession | None:
        if isinstance(self.session, Exception):
            raise self.session
        return self.session

    async def fulfill(self, _order: PaidOrder) -> Outcome:
        return self.outcome

    async def handle_reversal(self, _order: PaidOrder, _notice: ReversalNotice) -> Outcome:
        return self.outcome

    async def stop(self, _key: str, _uid: str) -> TryAgain | InProgress | None:
        return self.stopped

    async def send_payment_failed(
        self, _key: str, _session: CheckoutSession, _noted: AsyncExitStack | None = None
    ) -> MailOutcome:
        return self.mail

    async def send_receipt(
        self, _key: str, _session: CheckoutSession, _noted: AsyncExitStack | None = None
    ) -> MailOutcome | None:
        return self.mail

    async def write(self, request: FulfillmentRequest, status: Status) -> FulfillmentRequest | None:
        self.written += 1
        # Else `kubectl wait` would not end on a condition that is true: it compares the condition's own generation.
        assert {each.observed_generation for each in status.conditions} <= {status.observed_generation}
        metadata = replace(request.metadata, resource_version=str(self.written))
        return replace(request, metadata=metadata, status=status)

    def executor(self, metrics: OperatorMetrics) -> DecisionExecutor:
        own: Any = self
        dispatcher = Dispatcher(
            backends={"shop": own, "manual": own},
            routing=Routing((), "shop"),
            deadline=POLICY.backend_deadline,
            clock=lambda: NOW,
            metrics=metrics,
        )
        return DecisionExecutor(
            dispatcher=dispatcher, mail=own, retry_policy=POLICY, clock=lambda: NOW, metrics=metrics
        )

    def reconciler(self) -> Reconciler:
        own: Any = self
        metrics = OperatorMetrics(CollectorRegistry(), "shop", "manual")
        return Reconciler(
            stripe=own,
            executor=self.executor(metrics),
            writer=own,
            retry_policy=POLICY,
            clock=lambda: NOW,
            metrics=metrics,
        )


OUTSIDES = st.builds(
    Outside,
    st.none()
    | SESSIONS
    | st.builds(StripeUnavailableError, TEXTS, DELAYS)
    | st.builds(StripeMisconfiguredError, TEXTS),
    OUTCOMES,
    MAILS,
    st.none() | st.builds(TryAgain, TEXTS, DELAYS),
    st.booleans(),
)


async def steps(request: FulfillmentRequest, state: RequeueState, outside: Outside) -> list[Step]:
    """Take one step after the other, at one and the same moment, until nothing is due any more."""
    reconciler, taken = outside.reconciler(), list[Step]()
    while len(taken) <= MOST_STEPS:
        step = next_step(request, NOW, state, livemode=False, recheck=RECHECK, retry_max=RETRY_MAX)
        taken.append(step)
        if isinstance(step, Wait | Settled):
            break
        result = await reconciler.reconcile(request, step, state, outside.stands)
        assert result.request is not None
        request, state = result.request, result.requeue_state(state, NOW)
    return taken
