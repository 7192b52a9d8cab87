"""Requests an action for each of several orders, waits for the operator, and prints what came of each."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeAlias, TypeGuard

import click

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_cli.action_client import ActionClient, PreconditionFailedError, RequestedAction, operator_hint
from fulfillment_cli.actions import PAST_PARTICIPLES, Action
from fulfillment_cli.cluster import CONCURRENCY, ERRORS_OF_ONE, TIMEOUT, for_each
from fulfillment_cli.output import counted
from fulfillment_runtime.kubernetes.errors import KubernetesError
from fulfillment_runtime.kubernetes.fulfillment_requests import PAGE_SIZE
from fulfillment_runtime.progress import progress

ERRORS_OF_ONE_ACTION = (*ERRORS_OF_ONE, PreconditionFailedError)
"""What goes wrong with one order, and stops none of the others."""

_Outcomes: TypeAlias = Mapping[str, RequestedAction | Exception | None]
"""What came of those that were begun, by their names; None: nobody knows yet."""


async def request_each(
    actions: ActionClient, action: Action, requests: Sequence[FulfillmentRequest]
) -> list[RequestedAction]:
    """Request an action for each, print what went wrong, and return what was requested.

    Where no other can be tried, since the API server is away or forbids it, or a person presses Ctrl-C, it says by then
    what was requested.

    Args:
        actions: what requests it.
        action: it.
        requests: for which.

    Raises:
        KubernetesError: as `ActionClient.request_action` does, unless it is about one order alone.
    """
    outcomes = dict[str, RequestedAction | Exception | None]()

    async def request_action(each: FulfillmentRequest) -> None:
        name = each.metadata.name
        outcomes[name] = None
        try:
            outcomes[name] = await actions.request_action(action, each)
        except (KubernetesError, PreconditionFailedError) as error:
            outcomes[name] = error
            raise
        finally:
            advance(1)

    try:
        with progress(action.verb, len(requests)) as advance:
            await for_each(requests, request_action, *ERRORS_OF_ONE_ACTION)
    except (KubernetesError, asyncio.CancelledError):
        if len(requests) > 1 or None in outcomes.values():
            _print_unfinished(outcomes, len(requests) - len(outcomes))
        raise
    _print_errors(outcomes)
    return _requested(outcomes)


def _requested(outcomes: _Outcomes) -> list[RequestedAction]:
    return [each for each in outcomes.values() if isinstance(each, RequestedAction)]


def _print_unfinished(outcomes: _Outcomes, not_tried: int) -> None:
    """Print what was requested when no other is tried any more."""
    requested = _requested(outcomes)
    for each in requested:
        _print_requested(each)
    _print_errors(outcomes)
    for name in (name for name, outcome in outcomes.items() if outcome is None):
        click.echo(f"{name} may be requested: kubectl fulfillment show {name}", err=True)
    click.echo(f"{len(requested)} requested, {not_tried} not tried", err=True)


def _print_errors(outcomes: _Outcomes) -> None:
    for name, outcome in outcomes.items():
        if isinstance(outcome, Exception):
            print_error(name, outcome)
    event_error = next((each.event_error for each in _requested(outcomes) if each.event_error), None)
    if event_error:
        click.echo(f"without an Event about it: {event_error}", err=True)


async def print_outcomes(
    actions: ActionClient,
    requested: Sequence[RequestedAction],
    namespace: str,
    seconds: float,
    *,
    many: int = PAGE_SIZE,
) -> int:
    """Print what came of each; return how many were handled, or not waited for.

    Those that it cannot tell of, since the API server is away or a person presses Ctrl-C, it says to be requested.

    Args:
        actions: what waits.
        requested: the actions.
        namespace: where, for the hint of what to check.
        seconds: until when the operator should have handled one; 0 does not wait.
        many: from how many on all that are not fulfilled are listed, and the others alone asked for by their names.

    Raises:
        KubernetesError: as `FulfillmentRequestClient`'s methods do, unless it is about one order alone.
    """
    told = 0
    try:
        if not seconds:
            return len(requested)
        handled, unhandled, timeout = 0, 0, seconds
        are_many = len(requested) >= many
        known = await actions.read_unfulfilled(timeout=TIMEOUT) if are_many else {}

        async def one(each: RequestedAction, deadline: float) -> FulfillmentRequest | None:
            request = known.get(each.request.metadata.name)
            if request is not None and each.is_handled(request):
                return request
            if request is not None and not timeout:
                return None
            return await actions.wait_until_handled(each, deadline)

        for start in range(0, len(requested), CONCURRENCY):
            batch = requested[start : start + CONCURRENCY]
            deadline = asyncio.get_running_loop().time() + timeout
            outcomes = await for_each(batch, partial(one, deadline=deadline), KubernetesError, PreconditionFailedError)
            for each, outcome in zip(batch, outcomes, strict=True):
                _print_result(each, outcome)
            told += len(batch)
            _raise_what_is_of_all(outcomes)
            handled += sum(isinstance(each, FulfillmentRequest) for each in outcomes)
            unhandled += outcomes.count(None)
            is_anybody_there = any(isinstance(each, FulfillmentRequest | PreconditionFailedError) for each in outcomes)
            waited, timeout = timeout, seconds if is_anybody_there else 0  # else the next are only read
            if are_many and waited and not timeout:
                known = await actions.read_unfulfilled(timeout=TIMEOUT)
    finally:  # those that were not waited for, whyever
        for each in requested[told:]:
            _print_requested(each)
    if unhandled:
        what = counted(unhandled, "was not handled", "were not handled") if handled else "nobody handled it"
        click.echo(f"{what} within {seconds:g} s: {operator_hint(requested[0].verb, namespace)}", err=True)
    return handled


def _is_of_all(outcome: FulfillmentRequest | Exception | None) -> TypeGuard[Exception]:
    """Tell whether this is a failure that the others have as well."""
    return isinstance(outcome, Exception) and not isinstance(outcome, ERRORS_OF_ONE_ACTION)


def _raise_what_is_of_all(outcomes: Sequence[FulfillmentRequest | Exception | None]) -> None:
    for each in outcomes:
        if _is_of_all(each):
            raise each


def _print_requested(requested: RequestedAction) -> None:
    click.echo(f"{requested.request.metadata.name} {requested.verb} requested")


def _print_result(requested: RequestedAction, outcome: FulfillmentRequest | Exception | None) -> None:
    name = requested.request.metadata.name
    match outcome:
        case FulfillmentRequest(status=status):
            state = f": {status.phase} ({status.reason}): {status.message}" if status else ""
            click.echo(f"{name} {PAST_PARTICIPLES[requested.verb]}{state}")
        case None:
            click.echo(f"{name} {requested.verb} requested, and not handled yet")
        case _ if _is_of_all(outcome):
            _print_requested(requested)
        case _:
            print_error(name, outcome)


def print_error(name: str, error: Exception) -> None:
    """Print what went wrong with an order."""
    text = str(error)
    click.echo(text if isinstance(error, PreconditionFailedError) or name in text else f"{name}: {text}", err=True)
