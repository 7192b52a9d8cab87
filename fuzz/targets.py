"""What is fuzzed: each target takes any bytes, and raises when a promise is not kept.

Those of Hypothesis draw what they need from the bytes; the others take them as they are.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fulfillment_api.names import request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Spec
from fulfillment_api.status import LastHandled, Status
from fulfillment_operator.policy.annotations import annotation_errors
from fulfillment_operator.policy.manual_actions import (
    Complete,
    MarkFailed,
    handled_by_ending,
    handled_by_reconcile,
    has_unhandled_input,
    manual_action,
)
from fulfillment_operator.policy.next_step import RequeueState, Settled, Wait
from fulfillment_service.events.envelope import decode_envelope
from fulfillment_service.events.event import parse_event
from fulfillment_service.events.filters import Filters
from fulfillment_service.events.rejections import EventRejectedError
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.stored_fields import StoredFields
from fulfillment_service.events.translate import DesiredRequest, ExpiryHint, PaymentHint, ReversalHint, translate
from fulfillment_service.http.signature import verify
from support.any_request import NOW, OUTSIDES, RECHECK, Outside, requests, steps

SECRET = "whsec_fuzz"  # noqa: S105 - signs nothing but what is made up here
SIGNED_AT = 1_793_600_000
SIGNED_NOW = datetime.fromtimestamp(SIGNED_AT, UTC)
TOLERANCE = timedelta(minutes=5)
_PLACEHOLDER = b"SIGNATURE"
"""In a header of the corpus: the right signature of the body, which no fuzzer finds by itself."""
_STORED = StoredFields(metadata_keys=frozenset({"colour"}), client_reference_id=True)
_RULES = (
    EventRules(stored=_STORED),
    EventRules(filters=Filters(livemode=False, accounts=("acct_1",), retention=timedelta(days=45)), stored=_STORED),
)

T = TypeVar("T")


class BrokenPromiseError(Exception):
    """Something that always holds does not."""


def _promise(held: bool, what: str) -> None:  # noqa: FBT001 - what is promised
    if not held:
        raise BrokenPromiseError(what)


def signature(data: bytes) -> None:
    """Verify a header, the first line, of a body, the rest: it is accepted if and only if the scheme says so."""
    line, _, body = data.partition(b"\n")
    right = hmac.new(SECRET.encode(), b"%d." % SIGNED_AT + body, hashlib.sha256).hexdigest()
    header = line.replace(_PLACEHOLDER, right.encode()).decode("latin-1")
    try:
        verify(body, header, ("whsec_other", SECRET), now=SIGNED_NOW, tolerance=TOLERANCE)
    except EventRejectedError:
        return
    parts = [part.split("=")[:2] for part in header.split(",") if "=" in part]  # the library reads no more of a part
    time = int(next(value for key, value in parts if key == "t"))  # as the library reads it, however it is written
    expected = hmac.new(SECRET.encode(), b"%d." % time + body, hashlib.sha256).hexdigest()
    _promise(["v1", expected] in parts, "what is accepted was signed, with its time")
    _promise(abs(time - SIGNED_AT) <= TOLERANCE.total_seconds(), "what is accepted was signed lately")


def event(data: bytes) -> None:
    """Decode, parse and translate a body: it is rejected by name, or makes what the schema allows."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    for rules in _RULES:
        with contextlib.suppress(EventRejectedError):
            change = translate(parse_event(decode_envelope(text)), rules, observed_at=SIGNED_NOW)
            match change:
                case DesiredRequest(name, spec):
                    _promise(_as_stored(spec, Spec) == spec, "the API server takes the spec")
                    _promise(name == request_name(spec.session.id, spec.session.account), "one name for one Session")
                    _promise(set(spec.session.metadata) <= _STORED.metadata_keys, "no other metadata is stored")
                case ExpiryHint(expiry=said) | PaymentHint(payment=said) | ReversalHint(reversal=said):
                    _promise(_as_stored(said, type(said)) == said, "the API server takes the hint")


def _as_stored(value: T, kind: type[T]) -> T:
    """Send a value through JSON, by which its bounds are checked as the API server checks them."""
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)


_ANY = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@_ANY
@given(requests())
def _handle_annotations(request: FulfillmentRequest) -> None:
    action, errors = manual_action(request), annotation_errors(request)
    _promise(all(error == error.strip() and "\n" not in error for error in errors), "each mistake is one line")
    match action:
        case Complete() | MarkFailed():
            handled: LastHandled | None = handled_by_ending(request, action)
        case _:
            handled = handled_by_reconcile(request)
    if request.status is None:
        return
    seen = request.metadata.generation
    after = replace(request, status=replace(request.status, last_handled=handled, observed_generation=seen))
    if isinstance(action, Complete | MarkFailed):
        _promise(manual_action(after) != action, "what a person asked for is done once")
    else:
        _promise(not after.is_retry_requested, "a retry is handled once")
        _promise(action is not None or not has_unhandled_input(after), "nothing is left once it was handled")
    _promise(_as_stored(after.status, Status) == after.status, "the API server takes what is kept of it")


@_ANY
@given(requests(), OUTSIDES, st.integers(0, 4))
def _reconcile(request: FulfillmentRequest, outside: Outside, failures: int) -> None:
    taken = asyncio.run(steps(request, RequeueState(NOW - RECHECK, failures=failures), outside))
    last = taken[-1]
    _promise(isinstance(last, Settled) or (isinstance(last, Wait) and last.until > NOW), "time has to pass at the end")
    _promise(all(one != other for one, other in itertools.pairwise(taken)), "no step asks for itself again")


def annotations(data: bytes) -> None:
    """Handle a person's annotations of any request: each is handled once, and what is wrong is one line."""
    _handle_annotations.hypothesis.fuzz_one_input(data)  # type: ignore[attr-defined] # a test of Hypothesis has it


def operator(data: bytes) -> None:
    """Reconcile any request that the schema allows, whatever the outside says, until nothing is due."""
    _reconcile.hypothesis.fuzz_one_input(data)  # type: ignore[attr-defined] # likewise


TARGETS: dict[str, Callable[[bytes], None]] = {
    "signature": signature,
    "event": event,
    "annotations": annotations,
    "operator": operator,
}
