"""`fulfillment trigger`: what `stripe trigger` is to Stripe, on one machine."""

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import aiohttp
import click

from fulfillment_local.fake_stripe.client import WorldClient, WorldRejectedError
from fulfillment_local.fake_stripe.model import AfterPayment, EventType, Mode, Order, Outcome, PaymentStatus, Settlement
from fulfillment_local.fake_stripe.page import CheckoutPage, CustomField, Presentment
from fulfillment_local.flaws import Flaw
from fulfillment_local.webhook_sender import Answer, Plan, Webhook, carry_out, delivery_of, send

SUMMARY_ABOVE = 20
"""Requests; more than so many get a summary."""
IGNORED = 3
"""The exit code when an event that a person wrote changes nothing."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens at Checkout."""

    outcome: Outcome
    settlement: Settlement | None = None
    mode: Mode = Mode.PAYMENT
    after: tuple[AfterPayment, ...] = ()


SCENARIOS = {
    "paid": Scenario(Outcome.PAID),
    "unpaid": Scenario(Outcome.UNPAID),
    "free": Scenario(Outcome.FREE),
    "async-succeeded": Scenario(Outcome.UNPAID, Settlement.SUCCEEDED),
    "async-failed": Scenario(Outcome.UNPAID, Settlement.FAILED),
    "async-retried": Scenario(Outcome.UNPAID, Settlement.RETRIED),
    "authorized": Scenario(Outcome.AUTHORIZED),
    "captured": Scenario(Outcome.AUTHORIZED, Settlement.CAPTURED),
    "partly-captured": Scenario(Outcome.AUTHORIZED, Settlement.PARTLY_CAPTURED),
    "released": Scenario(Outcome.AUTHORIZED, Settlement.CANCELED),
    "lapsed": Scenario(Outcome.AUTHORIZED, Settlement.LAPSED),
    "bank-transfer": Scenario(Outcome.BANK_TRANSFER),
    "partly-funded": Scenario(Outcome.BANK_TRANSFER, Settlement.PARTLY_FUNDED),
    "expired": Scenario(Outcome.EXPIRED),
    "refunded": Scenario(Outcome.PAID, after=(AfterPayment.REFUNDED,)),
    "partially-refunded": Scenario(Outcome.PAID, after=(AfterPayment.PARTLY_REFUNDED,)),
    "refund-failed": Scenario(Outcome.PAID, after=(AfterPayment.REFUNDED, AfterPayment.REFUND_FAILED)),
    "disputed": Scenario(Outcome.PAID, after=(AfterPayment.DISPUTED,)),
    "dispute-won": Scenario(Outcome.PAID, after=(AfterPayment.DISPUTED, AfterPayment.DISPUTE_WON)),
    "dispute-lost": Scenario(Outcome.PAID, after=(AfterPayment.DISPUTED, AfterPayment.DISPUTE_LOST)),
    "inquiry": Scenario(Outcome.PAID, after=(AfterPayment.INQUIRY,)),
    "inquiry-closed": Scenario(Outcome.PAID, after=(AfterPayment.INQUIRY, AfterPayment.INQUIRY_CLOSED)),
    "inquiry-disputed": Scenario(Outcome.PAID, after=(AfterPayment.INQUIRY, AfterPayment.DISPUTED)),
    "fraud-warning": Scenario(Outcome.PAID, after=(AfterPayment.FRAUD_WARNING,)),
    "subscription": Scenario(Outcome.PAID, mode=Mode.SUBSCRIPTION),
    "trial": Scenario(Outcome.TRIAL, mode=Mode.SUBSCRIPTION),
    "setup": Scenario(Outcome.PAID, mode=Mode.SETUP),
}

_OF_STATUS = {
    PaymentStatus.PAID: "paid",
    PaymentStatus.UNPAID: "unpaid",
    PaymentStatus.NO_PAYMENT_REQUIRED: "free",
}
_OF_EVENT = {
    EventType.ASYNC_PAYMENT_SUCCEEDED: "async-succeeded",
    EventType.ASYNC_PAYMENT_FAILED: "async-failed",
    EventType.EXPIRED: "expired",
    EventType.CAPTURED: "captured",
    EventType.AUTHORIZATION_EXPIRED: "lapsed",
    EventType.PAYMENT_CANCELED: "released",
    EventType.PARTIALLY_FUNDED: "partly-funded",
    EventType.REFUNDED: "refunded",
    EventType.REFUND_FAILED: "refund-failed",
    EventType.DISPUTED: "disputed",
    EventType.DISPUTE_FUNDS_WITHDRAWN: "inquiry-disputed",
    EventType.DISPUTE_CLOSED: "dispute-won",
    EventType.FRAUD_WARNING: "fraud-warning",
}


@click.command(context_settings={"show_default": True})
@click.argument(
    "scenario",
    required=False,
    type=click.Choice([*SCENARIOS, EventType.COMPLETED.value, *(each.value for each in _OF_EVENT)]),
    metavar="[SCENARIO]",
)
@click.option(
    "--payment-status",
    type=click.Choice([each.value for each in PaymentStatus]),
    help="With checkout.session.completed: paid unless told otherwise.",
)
@click.option("--file", "event_file", type=click.File("rb"), help="Send this event instead, signed; - reads stdin.")
@click.option(
    "--session", "session_id", help="With async-…, captured, …: let the waiting payment of this Session go on."
)
@click.option("--last-only", is_flag=True, help="Send only the last of two events, as if the first was lost.")
@click.option("--thin", is_flag=True, help="Send thin events.")
@click.option("--count", type=click.IntRange(1, 100_000), default=1, help="How many Sessions.")
@click.option("--duplicates", type=click.IntRange(0), default=0, help="Send each event so many times more.")
@click.option("--shuffle", is_flag=True, help="Send everything in random order.")
@click.option("--seed", type=int, help="With --shuffle: the same order each time.")
@click.option("--concurrency", type=click.IntRange(1), default=1, help="Requests at once.")
@click.option("--bad-signature", "flaw", flag_value=Flaw.BAD_SIGNATURE, help="Sign with another secret.")
@click.option("--old", "flaw", flag_value=Flaw.OLD, help="Sign with a timestamp older than the tolerance.")
@click.option("--future", "flaw", flag_value=Flaw.FUTURE, help="Sign with a timestamp that is not yet.")
@click.option("--line-items", type=click.IntRange(1, 1000), default=1, help="How many line items.")
@click.option("--amount", type=click.IntRange(1), help="The total in the currency's smallest unit.")
@click.option("--currency", default="usd", help="The currency.")
@click.option("--email", help="The buyer's e-mail address; '' for a buyer who left none.")
@click.option("--payment-link", help="The Payment Link that the Session came from, plink_….")
@click.option("--client-reference-id", help="The seller's own reference.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="What the seller noted; may be repeated.")
@click.option(
    "--presentment",
    type=(click.IntRange(1), str),
    metavar="AMOUNT CURRENCY",
    help="What Adaptive Pricing shows the buyer, in that currency's smallest unit: 1634 jpy.",
)
@click.option("--locale", help="In which Checkout is shown, such as de or en-GB.")
@click.option(
    "--custom-field", multiple=True, metavar="KEY=VALUE", help="A question and the buyer's answer; may be repeated."
)
@click.option("--live", is_flag=True, help="Make live Sessions, not test ones.")
@click.option("--account", help="The connected account of the Sessions, acct_….")
@click.option(
    "--webhook-url",
    default="http://localhost:4242/webhook",
    help="Where events go.",
)
@click.option(
    "--secret",
    envvar="STRIPE_WEBHOOK_SECRETS",
    show_envvar=True,
    help="The webhook's signing secret; the first of several signs.",
)
@click.option(
    "--stripe",
    envvar="STRIPE_API_BASE",
    show_envvar=True,
    default="http://localhost:4243",
    help="Where the stand-in for Stripe is.",
)
@click.option("--quiet", is_flag=True, help="Show only unexpected answers, and the summary.")
@click.pass_context
def command(  # noqa: PLR0913 - the command line's options
    context: click.Context,
    *,
    scenario: str | None,
    payment_status: str | None,
    event_file: BinaryIO | None,
    session_id: str | None,
    last_only: bool,
    thin: bool,
    count: int,
    duplicates: int,
    shuffle: bool,
    seed: int | None,
    concurrency: int,
    flaw: Flaw | None,
    line_items: int,
    amount: int | None,
    currency: str,
    email: str | None,
    payment_link: str | None,
    client_reference_id: str | None,
    metadata: tuple[str, ...],
    presentment: tuple[int, str] | None,
    locale: str | None,
    custom_field: tuple[str, ...],
    live: bool,
    account: str | None,
    webhook_url: str,
    secret: str | None,
    stripe: str,
    quiet: bool,
) -> None:
    """Make Checkout Sessions in the stand-in for Stripe, and send their signed events to the webhook.

    SCENARIO is one of: paid, unpaid, free, async-succeeded, async-failed, async-retried, authorized, captured,
    partly-captured, released, lapsed, bank-transfer, partly-funded, expired, refunded, partially-refunded,
    refund-failed, disputed, dispute-won, dispute-lost, inquiry, inquiry-closed, inquiry-disputed, fraud-warning,
    subscription, trial, setup; or one of Stripe's own names: checkout.session.completed, ….

    Ends with exit code 1 unless each good event is answered with 2xx, and each bad one with 400; with 3 when an event
    of --file is ignored.
    """
    if (scenario is None) is (event_file is None):
        raise click.UsageError("Give a scenario, such as `fulfillment trigger paid`, or an event with --file.")
    played = _scenario(scenario or "paid", payment_status)
    if session_id is not None and played.settlement is None:
        raise click.UsageError("--session goes with what a waiting payment comes to, such as async-failed or captured.")
    plan = Plan(
        order=Order(
            outcome=played.outcome,
            mode=played.mode,
            line_items=line_items,
            amount=amount,
            currency=currency.lower(),
            email=email,
            payment_link=payment_link,
            client_reference_id=client_reference_id,
            metadata=_pairs("--metadata", metadata),
            page=CheckoutPage(
                locale=locale,
                presentment=Presentment(amount=presentment[0], currency=presentment[1].lower())
                if presentment
                else None,
                custom_fields=tuple(
                    CustomField(key=key, value=value) for key, value in _pairs("--custom-field", custom_field).items()
                ),
            ),
            livemode=live,
            account=account,
        ),
        settlement=played.settlement,
        after=played.after,
        count=count,
        duplicates=duplicates,
        shuffle=random.Random(seed) if shuffle else None,  # noqa: S311 - an order of requests, no secret
        last_only=last_only,
        thin=thin,
        concurrency=concurrency,
    )

    async def run() -> list[Answer]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as http:
            webhook = Webhook(
                url=webhook_url,
                secrets=_first_secret(secret),
                flaw=flaw,
                http=http,
                report=lambda answer: (
                    None if quiet and answer.as_expected and not answer.ignored else click.echo(line(answer))
                ),
            )
            if event_file is not None:
                return await _send_file(event_file.read(), plan, webhook)
            return await _play(session_id, plan, WorldClient(stripe, http), webhook)

    answers = asyncio.run(run())
    if len(answers) > SUMMARY_ABOVE or quiet:
        click.echo(summary(answers))
    if not all(answer.as_expected for answer in answers):
        context.exit(1)
    if event_file is not None and any(answer.ignored for answer in answers):
        context.exit(IGNORED)


async def _send_file(body: bytes, plan: Plan, webhook: Webhook) -> list[Answer]:
    try:
        delivery = delivery_of(body)
    except UnicodeDecodeError as error:
        raise click.ClickException(f"the event is not UTF-8, and cannot be signed: {error}") from error
    times = plan.count * (1 + plan.duplicates)
    return await webhook.post([delivery] * times, concurrency=plan.concurrency)


async def _play(session_id: str | None, plan: Plan, world: WorldClient, webhook: Webhook) -> list[Answer]:
    try:
        if session_id is None or plan.settlement is None:
            return await carry_out(plan, world, webhook)
        event = await world.settle(session_id, plan.settlement)
        return await send([event] if event else [], plan, world, webhook)
    except WorldRejectedError as error:
        raise click.ClickException(f"the stand-in for Stripe refuses: {error}") from error


def line(answer: Answer) -> str:
    """Show an answer in one line: status, milliseconds, event type, Session id, and why it is ignored or unexpected."""
    status = str(answer.status or "---")
    shown = f"{status:>3} {answer.seconds * 1000:9.1f} ms  {answer.delivery.type:<44} {answer.delivery.session}"
    if answer.as_expected:
        ignored = click.style(f"  ignored: {answer.ignored}", fg="yellow") if answer.ignored else ""
        return click.style(status, fg="green") + shown[len(status) :] + ignored
    wanted = "400" if answer.refusal_expected else "2xx"
    text = " ".join(answer.text.split())
    return click.style(f"{shown}  expected {wanted}" + (f": {text}" if text else ""), fg="red")


def summary(answers: Sequence[Answer]) -> str:
    """Sum up many answers in one line."""
    good = sum(answer.as_expected for answer in answers)
    times = sorted(answer.seconds * 1000 for answer in answers)
    p50, p99 = (times[int(share * (len(times) - 1))] for share in (0.5, 0.99))
    return f"{good} of {len(answers)} answered as expected; p50 {p50:.1f} ms, p99 {p99:.1f} ms"


def _scenario(name: str, payment_status: str | None) -> Scenario:
    if payment_status is not None and name != EventType.COMPLETED:
        raise click.UsageError(f"--payment-status goes with {EventType.COMPLETED}.")
    if name == EventType.COMPLETED:
        return SCENARIOS[_OF_STATUS[PaymentStatus(payment_status or PaymentStatus.PAID)]]
    return SCENARIOS[name] if name in SCENARIOS else SCENARIOS[_OF_EVENT[EventType(name)]]


def _first_secret(text: str | None) -> tuple[str]:
    secrets = [part for part in re.split(r"[,\s]+", text or "") if part]
    if not secrets:
        raise click.UsageError("There is no signing secret: give --secret whsec_…, or set STRIPE_WEBHOOK_SECRETS.")
    return (secrets[0],)


def _pairs(option: str, pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.UsageError(f"{option} {pair!r} is not KEY=VALUE.")
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
