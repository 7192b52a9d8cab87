"""The commands that ask for something: retry, pause, resume, complete, fail, acknowledge."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_cli.asking import Asked, Asking, RefusedError, whom_to_look_for
from fulfillment_cli.candidates import reasons, request_names
from fulfillment_cli.cluster import AT_ONCE, OF_ONE, PATIENCE, Cluster, Where, cluster_at_hand, named, of_each
from fulfillment_cli.options import cluster_options, now, run
from fulfillment_cli.wishes import LONGEST_REFERENCE, LONGEST_WORD, PAST, Asker, Verb, Wish, doubt, refusal
from fulfillment_runtime.kubernetes_user import user_name

_OF_ONE = (*OF_ONE, RefusedError)
"""What goes wrong with one order, and stops none of the others."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Which requests a person means."""

    names: Sequence[str] = ()
    """As `Cluster.find` takes them."""
    account: str | None = None
    every: bool = False
    """All that it can be asked of."""
    reason: str | None = None
    """Of all, only those for this reason."""


@dataclass(frozen=True, slots=True)
class _Manner:
    """How it is asked."""

    sure: bool
    """Without a question back."""
    wait: float
    """Seconds until the operator should have obeyed; 0 does not wait."""


def _word(most: int) -> Callable[[click.Context, click.Parameter, str | None], str]:
    """Check what a person says: one line, which is not too long."""

    def check(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str:
        said = " ".join((text or "").split())
        if text is not None and not said:
            raise click.BadParameter("say something")
        if len(said) > most:
            raise click.BadParameter(f"{len(said)} characters are too many: at most {most}")
        return said

    return check


def _asking_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--account", help="The connected account (acct_…) of a Session that is named by its id."),
        click.option("-y", "--yes", is_flag=True, help="Ask nothing back."),
        click.option(
            "--wait",
            type=click.FloatRange(0, 3600),
            default=10.0,
            metavar="SECONDS",
            show_default=True,
            help="How long the operator may take to obey; 0 does not wait.",
        ),
    ):
        function = option(function)
    return cluster_options(function)


def _each_or_all(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.argument("name", nargs=-1, shell_complete=request_names),
        click.option("--all", "every", is_flag=True, help="All that it can be asked of."),
        click.option(
            "--reason",
            shell_complete=reasons,
            help="With --all: only those for this reason, such as FulfillmentFailed.",
        ),
    ):
        function = option(function)
    return _asking_options(function)


@click.command()
@_each_or_all
def retry(**options: Any) -> None:  # noqa: ANN401 - click's options
    """Try a failed order again, or one that waits.

    An order that waits is looked at now.

    The backend gets the same idempotency key, and its deadline begins anew. The word of `fail`, and an acknowledgement
    of the failure before, are taken away.
    """
    _run(Wish(Verb.RETRY), **options)


@click.command()
@_each_or_all
def resume(**options: Any) -> None:  # noqa: ANN401 - click's options
    """Let a paused order go on."""
    _run(Wish(Verb.RESUME), **options)


@click.command()
@_each_or_all
@click.option("--note", default=None, callback=_word(LONGEST_WORD), help="What was done about it.")
def acknowledge(note: str, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Say that a failure is dealt with.

    Its alert stops, and the record stays. It may also be a dispute about an order that was fulfilled; --all takes
    those that failed.
    """
    _run(Wish(Verb.ACKNOWLEDGE, note), **options)


@click.command()
@_asking_options
@click.option("--reason", default=None, callback=_word(LONGEST_WORD), help="Why.")
@click.argument("name", nargs=-1, required=True, shell_complete=request_names)
def pause(reason: str, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Hold an order.

    Nothing is handed over, nobody is mailed.
    """
    _run(Wish(Verb.PAUSE, reason), **options)


@click.command()
@_asking_options
@click.option(
    "--reference",
    default=None,
    callback=_word(LONGEST_REFERENCE),
    help="What it was fulfilled by, such as a parcel's number.",
)
@click.argument("name", nargs=-1, required=True, shell_complete=request_names)
def complete(reference: str, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Say that an order is fulfilled. Nothing changes it afterwards."""
    _run(Wish(Verb.COMPLETE, reference), **options)


@click.command()
@_asking_options
@click.option("--reason", required=True, callback=_word(LONGEST_WORD), help="Why.")
@click.argument("name", nargs=-1, required=True, shell_complete=request_names)
def fail(reason: str, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Say that an order is not to be fulfilled.

    Whatever Stripe says of it. Money is not given back: refund it at Stripe.
    """
    _run(Wish(Verb.FAIL, reason), **options)


def _run(  # noqa: PLR0913 - click's options
    wish: Wish,
    *,
    where: Where,
    name: tuple[str, ...],
    account: str | None,
    yes: bool,
    wait: float,
    every: bool = False,
    reason: str | None = None,
) -> None:
    if bool(name) is every:
        raise click.UsageError("Name the requests, or give --all.")
    if reason is not None and not every:
        raise click.UsageError("--reason goes with --all.")
    said = {named(each, account): each for each in name}  # each order once, however often, and however, it is named
    chosen = _Chosen([*said.values()], account, every, reason)
    if not run(_carry_out(where, wish, chosen, _Manner(yes, wait))):
        click.get_current_context().exit(1)


async def _carry_out(where: Where, wish: Wish, chosen: _Chosen, manner: _Manner) -> bool:
    """Ask, and tell what came of it; False when something of it was not to be had."""
    async with cluster_at_hand(where) as cluster:
        requests = await (_all(cluster, wish.verb, chosen) if chosen.every else _named(cluster, wish.verb, chosen))
        _make_sure(wish.verb, requests, cluster.namespace, chosen, manner)
        asker = Asker(now(), await user_name(cluster.api, patience=PATIENCE) if requests else None)
        asking = Asking(cluster.api, cluster.requests, asker)
        outcomes = await of_each(requests, lambda each: asking.ask(wish, each), *_OF_ONE)
        asked = [each for each in outcomes if isinstance(each, Asked)]
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, Exception):
                _complain(request.metadata.name, outcome)
        untold = next((each.untold for each in asked if each.untold), None)
        if untold:
            click.echo(f"without an Event about it: {untold}", err=True)
        answered = await _wait(asking, asked, cluster.namespace, manner.wait)
        wanted = len(requests) if chosen.every else len(chosen.names)
        return answered == wanted


async def _named(cluster: Cluster, verb: Verb, chosen: _Chosen) -> list[FulfillmentRequest]:
    found = await of_each(chosen.names, lambda said: cluster.find(said, chosen.account), *_OF_ONE)
    able = []
    for said, each in zip(chosen.names, found, strict=True):
        if isinstance(each, FulfillmentRequest):
            why = refusal(verb, each)
            if why is None:
                able.append(each)
            else:
                _complain(said, RefusedError(f"{each.metadata.name} {why}"))
        else:
            _complain(said, each)
    return able


async def _all(cluster: Cluster, verb: Verb, chosen: _Chosen) -> list[FulfillmentRequest]:
    phase = None if verb is Verb.RESUME else Phase.FAILED
    found = [
        each
        async for each, _ in cluster.listed(phase)
        if refusal(verb, each) is None
        and chosen.reason in {None, each.status and each.status.reason}
        and not (verb is Verb.ACKNOWLEDGE and each.is_acknowledged)
    ]
    if not found:
        click.echo(f"nothing to {verb} in the namespace {cluster.namespace}", err=True)
    return found


def _make_sure(
    verb: Verb, requests: Sequence[FulfillmentRequest], namespace: str, chosen: _Chosen, manner: _Manner
) -> None:
    if manner.sure or not requests:
        return
    if chosen.every:
        reasons = Counter(each.status.reason if each.status else "not looked at" for each in requests)
        shown = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
        click.confirm(f"{verb} {len(requests)} in the namespace {namespace} ({shown})?", abort=True, err=True)
    for each in requests:
        why = doubt(verb, each)
        if why is not None:
            click.confirm(f"{each.metadata.name} {why}: {verb} it all the same?", abort=True, err=True)


async def _wait(asking: Asking, asked: Sequence[Asked], namespace: str, seconds: float) -> int:
    """Tell what came of each; return of how many something came, or was not to be waited for."""
    if not seconds:
        for each in asked:
            click.echo(f"{each.request.metadata.name} asked to {each.verb}")
        return len(asked)
    answered, left, waits = 0, 0, seconds
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        deadline = asyncio.get_running_loop().time() + waits
        outcomes = await of_each(some, partial(asking.obeyed, deadline=deadline), *_OF_ONE)
        for each, outcome in zip(some, outcomes, strict=True):
            _tell(each, outcome)
        obeyed = sum(isinstance(each, FulfillmentRequest) for each in outcomes)
        answered, left = answered + obeyed, left + outcomes.count(None)
        waits = seconds if obeyed else 0  # where nobody obeys, the next are only looked at
    if left:
        what = f"{left} were not obeyed" if answered else "nobody obeyed"
        click.echo(f"{what} within {seconds:g} s: {whom_to_look_for(namespace)}", err=True)
    return answered


def _tell(asked: Asked, outcome: FulfillmentRequest | Exception | None) -> None:
    name = asked.request.metadata.name
    match outcome:
        case FulfillmentRequest(status=status):
            state = f": {status.phase} ({status.reason}): {status.message}" if status else ""
            click.echo(f"{name} {PAST[asked.verb]}{state}")
        case None:
            click.echo(f"{name} asked to {asked.verb}, and not obeyed yet")
        case _:
            _complain(name, outcome)


def _complain(name: str, error: Exception) -> None:
    text = str(error)
    click.echo(text if isinstance(error, RefusedError) or name in text else f"{name}: {text}", err=True)
