"""The scenes of the demo: orders of every kind, played through the whole product, and what became of each."""

import asyncio
import math
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import aiohttp
import click

from fulfillment_api.names import PLURAL, request_name
from fulfillment_api.status import Phase
from fulfillment_local.fake_stripe.client import WorldClient
from fulfillment_local.fake_stripe.model import AfterPayment, DeliveryState, Order, Outcome, Settlement
from fulfillment_local.flaws import Flaw
from fulfillment_local.local_stack import SECRET, LocalStack
from fulfillment_local.trigger import line
from fulfillment_local.webhook_sender import Answer, Plan, Webhook, carry_out, send
from fulfillment_runtime.fatal_errors import UnavailableError

_SENTENCE = "→ {.status.phase}: {.status.message}"
_REFUNDED = '→ {.status.phase}, Refunded: {.status.conditions[?(@.type=="Refunded")].message}'


def title(text: str) -> None:
    """Begin a scene."""
    click.secho(f"\n{text}", bold=True)


@dataclass(frozen=True, slots=True)
class Act:
    """One scene of the demo."""

    title: str
    plan: Plan
    ends: Phase | None
    """How its order must end; None when there must be no order."""
    flaw: Flaw | None = None


ACTS = (
    Act("A card order: paid at once", Plan(), Phase.FULFILLED),
    Act(
        "A bank debit that succeeds days later",
        Plan(order=Order(outcome=Outcome.UNPAID), settlement=Settlement.SUCCEEDED),
        Phase.FULFILLED,
    ),
    Act(
        "A bank debit that fails: the customer is mailed",
        Plan(order=Order(outcome=Outcome.UNPAID), settlement=Settlement.FAILED),
        Phase.FAILED,
    ),
    Act("A free order: a discount of 100 %", Plan(order=Order(outcome=Outcome.FREE)), Phase.FULFILLED),
    Act("A large order: 137 line items, in three pages", Plan(order=Order(line_items=137)), Phase.FULFILLED),
    Act("A refund, once the order is fulfilled", Plan(after=(AfterPayment.REFUNDED,)), Phase.FULFILLED),
    Act("An event that Stripe sends three times: one order", Plan(duplicates=2), Phase.FULFILLED),
)
FORGERY = Act("A forged event: signed with another secret", Plan(), None, Flaw.BAD_SIGNATURE)


async def perform(act: Act, machine: LocalStack, world: WorldClient, http: aiohttp.ClientSession) -> list[str]:
    """Play an act, show what happens, and return what was not as it should be."""
    title(act.title)
    webhook = Webhook(
        url=machine.webhook_url,
        secrets=(SECRET,),
        http=http,
        flaw=act.flaw,
        report=lambda answer: click.echo(line(answer)),
    )
    answers = await carry_out(replace(act.plan, settlement=None, after=()), world, webhook)
    session = answers[0].delivery.session
    name = request_name(session)
    if act.ends is None:
        made = await machine.run_kubectl("get", PLURAL, name, "--ignore-not-found")
        return [f"{act.title}: {name} was made of it"] * bool(made) + _unexpected(act, answers)
    troubles = []
    if act.plan.settlement is not None:
        troubles += await _await_phase(act.title, machine, name, Phase.AWAITING_PAYMENT)
        event = await world.settle(session, act.plan.settlement)
        answers += await send([event] if event else [], act.plan, world, webhook)
    troubles += await _await_phase(act.title, machine, name, act.ends)
    click.echo(f"      the buyer sees {machine.page_url}?session_id={session}")
    for each in act.plan.after:
        answers += await send([await world.play_after_payment(session, each)], act.plan, world, webhook)
        troubles += await _await(act.title, machine, name, "condition=Refunded", _REFUNDED)
    return troubles + _unexpected(act, answers)


async def recover(machine: LocalStack, world: WorldClient) -> list[str]:
    """Play an outage: an event does not arrive, and a recovery brings it in. Return what was not as it should be."""
    act = "An outage: an event that Stripe could not deliver, and a recovery"
    title(act)
    (played,) = await world.play(Order())
    event = played.event
    if event is None:
        return [f"{act}: there was no event"]
    await world.mark({event.id: DeliveryState.FAILED})
    click.echo(f"{'lost':<17} {event.type:<44} {event.session}")
    now = time.time()
    await asyncio.sleep(math.floor(now) + 1 - now)  # a recovery sees to whole seconds that are over
    click.echo("  $ fulfillment recover")
    click.echo(textwrap.indent(await machine.run_fulfillment("recover"), "  "), nl=False)
    return await _await_phase(act, machine, request_name(event.session), Phase.FULFILLED)


async def _await_phase(act: str, machine: LocalStack, name: str, phase: Phase) -> list[str]:
    return await _await(act, machine, name, f"jsonpath={{.status.phase}}={phase}", _SENTENCE)


async def _await(act: str, machine: LocalStack, name: str, becomes: str, sentence: str) -> list[str]:
    try:
        await machine.run_kubectl("wait", f"{PLURAL}/{name}", f"--for={becomes}", "--timeout=30s")
    except UnavailableError as error:
        return [f"{act}: {name} did not come to {becomes} ({error})"]
    click.echo("      " + await machine.run_kubectl("get", PLURAL, name, f"--output=jsonpath={sentence}"))
    return []


def _unexpected(act: Act, answers: Sequence[Answer]) -> list[str]:
    return [f"{act.title}: an event was answered {each.status}" for each in answers if not each.as_expected]
