"""The commands that request a manual action: retry, pause, resume, complete, fail, acknowledge."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from fulfillment_api.bounds import LONGEST_REFERENCE
from fulfillment_api.resource import FulfillmentRequest, ObjectMeta
from fulfillment_api.status import Phase, Reason
from fulfillment_cli.action_client import ActionClient, PreconditionFailedError
from fulfillment_cli.actions import (
    LONGEST_TEXT,
    PAST_PARTICIPLES,
    Action,
    Actor,
    Verb,
    failed_precondition,
    needs_events,
    warning,
)
from fulfillment_cli.bulk import ERRORS_OF_ONE_ACTION, print_error, print_outcomes, request_each
from fulfillment_cli.cluster import TIMEOUT, Cluster, ConfigFlags, cluster_at_hand, for_each, resolve_name
from fulfillment_cli.completions import reasons, request_names
from fulfillment_cli.confirmation import confirm
from fulfillment_cli.options import cluster_options, examples, run
from fulfillment_cli.output import undecodable_line
from fulfillment_cli.state import state_of
from fulfillment_cli.user import user_name
from fulfillment_runtime.clock import utc_now


@dataclass(frozen=True, slots=True)
class _Selection:
    """Which requests the command is about."""

    names: Sequence[str] = ()
    """As `Cluster.find` takes them."""
    account: str | None = None
    all_allowed: bool = False
    """All that allow the action."""
    reason: str | None = None
    """Of all, only those for this reason."""
    field_selector: str | None = None
    """Of all, only those, as the API server selects."""

    @property
    def is_narrowed(self) -> bool:
        """Whether it says which of all."""
        return self.reason is not None or self.field_selector is not None

    def is_for(self, reason: Reason) -> bool:
        """Tell whether it names just this reason: to leave another one out is not to name it."""
        terms = (self.field_selector or "").split(",")
        return self.reason == reason or not {f"status.reason={reason}", f"status.reason=={reason}"}.isdisjoint(terms)


@dataclass(frozen=True, slots=True)
class _Interaction:
    """How the person and the command go on."""

    assume_yes: bool
    """Without a question back."""
    wait: float
    """Seconds until the operator should have handled it; 0 does not wait."""
    dry_run: bool
    """Say what would be requested, and request nothing."""


def _one_line(longest: int) -> Callable[[click.Context, click.Parameter, str | None], str]:
    """Make one line of an option's text, and check that it is not too long."""

    def check(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str:
        line = " ".join((text or "").split())
        if text is not None and not line:
            raise click.BadParameter("say something")
        if len(line) > longest:
            raise click.BadParameter(f"{len(line)} characters are too many: at most {longest}")
        return line

    return check


def _not_blank(_context: click.Context, _parameter: click.Parameter, which: str | None) -> str | None:
    """Refuse what narrows nothing down, such as a variable of a shell that is not set."""
    if which is not None and not which.replace(",", "").strip():
        raise click.BadParameter("it is empty: leave it out, or say which")
    return which


def _action_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--account", help="The connected account (acct_…) of a Session that is named by its id."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation."),
        click.option("--dry-run", is_flag=True, help="Say which orders it would be, and write nothing."),
        click.option(
            "--wait",
            type=click.FloatRange(0, 3600),
            default=10.0,
            metavar="SECONDS",
            show_default=True,
            help="How long to wait for the operator; 0 does not wait.",
        ),
    ):
        function = option(function)
    return cluster_options(function)


def _names_or_selected(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.argument("name", nargs=-1, shell_complete=request_names),
        click.option("--all", "all_allowed", is_flag=True, help="All that it applies to."),
        click.option(
            "--field-selector",
            callback=_not_blank,
            metavar="SELECTOR",
            help="With --all: only those, such as status.reason=Restored,spec.payment.status=paid.",
        ),
    ):
        function = option(function)
    return _action_options(function)


def _names_or_all(function: Callable[..., None]) -> Callable[..., None]:
    by_reason = click.option(
        "--reason",
        "of_reason",
        callback=_not_blank,
        shell_complete=reasons,
        help="With --all: only those for this reason, such as FulfillmentFailed.",
    )
    return _names_or_selected(by_reason(function))


@click.command(
    epilog=examples(
        "retry cs-xyfzaqmyr5zyy2doeborgrsp4q",
        "retry --all --reason FulfillmentFailed --dry-run",
        "retry --all --field-selector spec.session.id=cs_test_a1QUnr9y5xaxRy8mxvq7OJyjJ",
    )
)
@_names_or_all
def retry(**options: Any) -> None:  # noqa: ANN401 - click's options
    """Retry a failed order, or one that waits or is restored.

    An order that waits is reconciled now, one that a backup brought back without its status is to be done. --all takes
    those that failed, and with --reason or --field-selector others, too; none whose failure is acknowledged, and those
    that a person failed only where --reason, or the selector status.reason=…, names ManuallyFailed.

    The backend gets the same idempotency key, and its deadline begins anew. The annotation of `fail`, and an
    acknowledgement of the failure before, are removed.
    """
    _run(Action(Verb.RETRY), **options)


@click.command(epilog=examples("resume cs-62gpjcrwbey5qwag35mml6um5u", "resume --all"))
@_names_or_all
def resume(**options: Any) -> None:  # noqa: ANN401 - click's options
    """Resume a paused order."""
    _run(Action(Verb.RESUME), **options)


@click.command(
    epilog=examples(
        'acknowledge cs-xyfzaqmyr5zyy2doeborgrsp4q --note "called the customer"',
        "acknowledge --all --reason PaymentFailed",
    )
)
@_names_or_all
@click.option("--note", default=None, callback=_one_line(LONGEST_TEXT), help="What was done about it.")
def acknowledge(note: str, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Acknowledge a failure that is dealt with.

    Its alert stops, and the record stays. Of an order that was fulfilled it may also be a dispute, a refund that
    failed, or both at once; --all takes the orders that failed.
    """
    _run(Action(Verb.ACKNOWLEDGE, note), **options)


@click.command(epilog=examples('pause cs-62gpjcrwbey5qwag35mml6um5u --reason "the address is odd"'))
@_action_options
@click.option("--reason", default=None, callback=_one_line(LONGEST_TEXT), help="Why.")
@click.argument("name", nargs=-1, required=True, shell_complete=request_names)
def pause(reason: str, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Pause an order.

    Nothing is dispatched, nobody is mailed.
    """
    _run(Action(Verb.PAUSE, reason), **options)


@click.command(
    epilog=examples(
        'complete cs-xyfzaqmyr5zyy2doeborgrsp4q --reference "parcel 7"',
        'complete --all --reason FulfillmentFailed --reference "by phone" --dry-run',
    )
)
@_names_or_all
@click.option(
    "--reference",
    default=None,
    callback=_one_line(LONGEST_REFERENCE),
    help="What it was fulfilled by, such as a parcel's number.",
)
def complete(reference: str, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Complete an order: it is fulfilled. Nothing changes it afterwards.

    --all goes with --reason or --field-selector, and takes none whose failure is acknowledged.
    """
    _run(Action(Verb.COMPLETE, reference), **options)


@click.command(
    epilog=examples(
        'fail cs-xyfzaqmyr5zyy2doeborgrsp4q --reason "sold out"',
        'fail --all --field-selector status.reason=FulfillmentFailed --reason "sold out" --dry-run',
    )
)
@_names_or_selected
@click.option("--reason", required=True, callback=_one_line(LONGEST_TEXT), help="Why.")
def fail(reason: str, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Fail an order: it is not to be fulfilled, whatever Stripe says of it.

    Money is not given back: refund it at Stripe. --all goes with --field-selector, and takes none whose failure is
    acknowledged.
    """
    _run(Action(Verb.FAIL, reason), **options)


def _run(  # noqa: PLR0913 - click's options
    action: Action,
    *,
    flags: ConfigFlags,
    name: tuple[str, ...],
    account: str | None,
    yes: bool,
    wait: float,
    dry_run: bool,
    all_allowed: bool = False,
    of_reason: str | None = None,
    field_selector: str | None = None,
) -> None:
    if bool(name) is all_allowed:
        raise click.UsageError("Name the requests, or give --all.")
    selection = _Selection((), account, all_allowed, of_reason, field_selector)
    if selection.is_narrowed and not all_allowed:
        raise click.UsageError("--reason and --field-selector go with --all.")
    if all_allowed and action.verb in {Verb.COMPLETE, Verb.FAIL} and not selection.is_narrowed:
        raise click.UsageError(f"Say which of all to {action.verb}, such as --field-selector status.reason=Restored.")
    # Each order once, however often, and however, it is named.
    arguments = {resolve_name(each, account): each for each in name}
    selection = replace(selection, names=[*arguments.values()])
    context = click.get_current_context()
    try:
        if not run(_act(flags, action, selection, _Interaction(yes, wait, dry_run))):
            context.exit(1)
    except KeyboardInterrupt:  # what was requested by then is printed
        context.exit(130)


async def _act(flags: ConfigFlags, action: Action, selection: _Selection, interaction: _Interaction) -> bool:
    """Request the action, and print what came of it; return whether all of it was handled."""
    async with cluster_at_hand(flags) as cluster:
        select = _select_allowed if selection.all_allowed else _select_named
        requests, are_all = await select(cluster, action.verb, selection)
        if interaction.dry_run:
            _print_preview(action.verb, requests)
            return are_all
        await _confirm(action.verb, requests, cluster.namespace, selection, interaction)
        actor = Actor(utc_now(), await user_name(cluster.api, timeout=TIMEOUT) if requests else None)
        events = cluster.events if needs_events(action.verb, len(requests)) else None
        actions = ActionClient(cluster.requests, events, actor)
        requested = await request_each(actions, action, requests)
        handled = await print_outcomes(actions, requested, cluster.namespace, interaction.wait)
        return are_all and handled == len(requests)


async def _select_named(cluster: Cluster, verb: Verb, selection: _Selection) -> tuple[list[FulfillmentRequest], bool]:
    """Read what is named; return what allows the action, and whether that is all of it."""
    found = await for_each(selection.names, lambda name: cluster.find(name, selection.account), *ERRORS_OF_ONE_ACTION)
    allowed = []
    for name, each in zip(selection.names, found, strict=True):
        if isinstance(each, FulfillmentRequest):
            why = failed_precondition(verb, each)
            if why is None:
                allowed.append(each)
            else:
                print_error(name, PreconditionFailedError(f"{each.metadata.name} {why}"))
        else:
            print_error(name, each)
    return allowed, len(allowed) == len(selection.names)


async def _select_allowed(cluster: Cluster, verb: Verb, selection: _Selection) -> tuple[list[FulfillmentRequest], bool]:
    """List what allows the action; return it, and whether all that is listed could be judged."""
    phase = None if verb is Verb.RESUME or selection.is_narrowed else Phase.FAILED
    unfinished = verb is not Verb.RESUME  # one that was paused too late is resumed as well
    found, undecodable = list[FulfillmentRequest](), list[ObjectMeta]()
    async for each in cluster.list(phase, unfinished=unfinished, field_selector=selection.field_selector):
        if each.request is None:
            undecodable.append(each.metadata)
        elif _is_selected(verb, each.request, selection):
            found.append(each.request)
    if undecodable:
        click.echo(undecodable_line(undecodable), err=True)
    if not found:
        click.echo(f"nothing to {verb} in the namespace {cluster.namespace}", err=True)
    return found, not undecodable


def _is_selected(verb: Verb, request: FulfillmentRequest, selection: _Selection) -> bool:
    return (
        failed_precondition(verb, request) is None
        and selection.reason in {None, request.status and request.status.reason}
        and not _is_dealt_with(verb, request, selection)
    )


def _is_dealt_with(verb: Verb, request: FulfillmentRequest, selection: _Selection) -> bool:
    """Tell whether a person has dealt with a failure already: it may have been fulfilled in another way."""
    match verb:
        case Verb.RESUME:
            return False
        case Verb.RETRY if request.status is not None and request.status.reason == Reason.MANUALLY_FAILED:
            return request.is_acknowledged or not selection.is_for(Reason.MANUALLY_FAILED)
        case _:
            return request.is_acknowledged


async def _confirm(
    verb: Verb, requests: Sequence[FulfillmentRequest], namespace: str, selection: _Selection, interaction: _Interaction
) -> None:
    if interaction.assume_yes or not requests:
        return
    if selection.all_allowed:
        reasons = Counter(each.status.reason if each.status else "not reconciled" for each in requests)
        shown = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
        warnings = Counter(why for each in requests if (why := warning(verb, each)))
        shown += "".join(f"; {count} {why}" for why, count in warnings.most_common())
        await confirm(f"{verb} {len(requests)} in the namespace {namespace} ({shown})?")
        return
    for each in requests:
        why = warning(verb, each)
        if why is not None:
            await confirm(f"{each.metadata.name} {why}: {verb} it all the same?")


def _print_preview(verb: Verb, requests: Sequence[FulfillmentRequest]) -> None:
    """Print what would be requested."""
    for each in requests:
        why = warning(verb, each)
        would_be = f"{each.metadata.name} would be {PAST_PARTICIPLES[verb]}: {state_of(each)}"
        click.echo(would_be + (f"; it {why}" if why else ""))
