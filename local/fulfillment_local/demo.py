"""`fulfillment demo`: plays every kind of order through the whole product, and shows what a user would see."""

import asyncio
import os
import shlex
import shutil
import signal
import sys
import textwrap
from collections.abc import Sequence

import aiohttp
import click
from prometheus_client.parser import text_string_to_metric_families

from fulfillment_api.names import PLURAL
from fulfillment_local.fake_stripe.client import WorldClient
from fulfillment_local.fake_stripe.rate_limits import RateLimits
from fulfillment_local.local_stack import SECRET, WEBHOOK_URL, LocalStack, StripeAccount, running_local_stack
from fulfillment_local.programs import find_programs
from fulfillment_local.scenarios import ACTS, FORGERY, perform, recover, title
from fulfillment_operator.settings import OperatorSettings
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.settings import load_settings
from fulfillment_service.settings import ServiceSettings

_UNSIGNED = '{ "fake": "unsigned request" }'
_OURS = "fulfillment_"


@click.command()
@click.option("--once", is_flag=True, help="End after the last order, with exit code 0 if each ended as it should.")
def command(*, once: bool) -> None:
    """Play every kind of order on this machine: a real API server, and a stand-in for Stripe.

    With STRIPE_API_KEY and STRIPE_WEBHOOK_SECRETS set it uses Stripe itself, and waits for `stripe listen`.
    """
    account = _account()
    if once and account is not None:
        raise click.UsageError("--once plays orders in the stand-in: unset STRIPE_API_KEY and STRIPE_WEBHOOK_SECRETS.")
    told = list[int]()
    try:
        asyncio.run(_demo(account, told, once=once))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("\nStopped.")
        if once:  # not every order was played
            sys.exit(128 + (told or [signal.SIGINT])[0])


def _account() -> StripeAccount | None:
    given = {name: value for name, value in os.environ.items() if name.startswith("STRIPE_")}
    if "STRIPE_API_KEY" not in given:
        return None
    load_settings(OperatorSettings, given)
    if "STRIPE_WEBHOOK_SECRETS" not in given:
        raise SettingsError("STRIPE_WEBHOOK_SECRETS is not set: use the one that `stripe listen` prints")
    load_settings(ServiceSettings, given)
    return StripeAccount(given["STRIPE_API_KEY"], given["STRIPE_WEBHOOK_SECRETS"])


async def _demo(account: StripeAccount | None, told: list[int], *, once: bool) -> None:
    """Play it; the signals that it is told to stop by, it notes in `told`."""
    this = asyncio.current_task()
    assert this is not None  # noqa: S101 - a coroutine that runs is in a task

    def stop(number: int) -> None:
        told.append(number)
        this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):  # the first, too, where a shell has it ignored
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    programs = find_programs(os.environ)
    title(
        "Starting etcd, kube-apiserver, the service, the operator and the order page"
        + ("" if account else ", and stand-ins")
    )
    async with running_local_stack(programs, account, limits=RateLimits()) as machine:
        if machine.stripe is not None:
            troubles = await _play(machine, machine.stripe.url)
            if once:
                _conclude(troubles)
                return
        title("All of it stays up. In another terminal:")
        for each in commands_to_try(machine):
            click.echo(f"  {each}")
        click.echo("Ctrl-C stops everything.")
        await asyncio.Event().wait()


async def _play(machine: LocalStack, stripe_url: str) -> list[str]:
    """Play every act, show what there is to see, and return what was not as it should be."""
    before = await _metrics(machine)
    async with aiohttp.ClientSession() as http:
        world = WorldClient(stripe_url, http)
        troubles = [trouble for act in ACTS for trouble in await perform(act, machine, world, http)]
        troubles += await recover(machine, world)
        troubles += await perform(FORGERY, machine, world, http)
    troubles += await _show_guides_curl(machine)
    title("kubectl get fulfillmentrequests")
    click.echo(await machine.run_kubectl("get", PLURAL), nl=False)
    troubles += await _show_mail(machine)
    title("The metrics that moved")
    for name, value in (await _metrics(machine)).items():
        if value != before.get(name):
            click.echo(f"  {name} {value:g}")
    return troubles


async def _show_guides_curl(machine: LocalStack) -> list[str]:
    title("The guide's own test: an unsigned request")
    curl = shutil.which("curl")
    if curl is None:
        click.echo("  there is no curl on this machine")
        return []
    arguments = ("-X", "POST", "-H", "Content-Type: application/json", "--data", _UNSIGNED, "-is", machine.webhook_url)
    click.echo(f"  $ {shlex.join(('curl', *arguments))}")
    process = await asyncio.create_subprocess_exec(curl, *arguments, stdout=asyncio.subprocess.PIPE)
    answer = (await process.communicate())[0].decode()
    click.echo(textwrap.indent(answer.replace("\r", ""), "  "))
    return [] if " 400 " in answer.partition("\n")[0] else ["the unsigned request was not answered 400"]


async def _show_mail(machine: LocalStack) -> list[str]:
    title("The mail that went out")
    for mail in machine.mailbox.mails:
        click.echo(f"  From: {mail.sender}\n  To: {', '.join(mail.recipients)}\n  Subject: {mail.subject}\n")
        click.echo(textwrap.indent(mail.text or "", "  "))
    count = len(machine.mailbox.mails)
    return [] if count == 1 else [f"one customer was to be mailed, and {count} mails went out"]


async def _metrics(machine: LocalStack) -> dict[str, float]:
    """Read the counters and levels of both workloads."""
    values = {}
    async with aiohttp.ClientSession() as http:
        for url in (machine.service_url, machine.operator_url):
            async with http.get(f"{url}/metrics") as response:
                text = await response.text()
            for family in text_string_to_metric_families(text):
                for sample in family.samples if family.name.startswith(_OURS) else ():
                    if not sample.name.endswith(("_bucket", "_created", "_sum", "_seconds")):
                        labels = ",".join(f'{label}="{value}"' for label, value in sample.labels.items())
                        values[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return values


def _conclude(troubles: Sequence[str]) -> None:
    title("Every order ended as it should" if not troubles else "Not as it should be")
    for trouble in troubles:
        click.secho(f"  {trouble}", fg="red")
    if troubles:
        sys.exit(1)


def commands_to_try(machine: LocalStack) -> list[str]:
    """Return what a person can type in another terminal while all of it runs."""
    if machine.stripe is None:
        events = [
            f"stripe listen --forward-to {machine.webhook_url.removeprefix('http://')}",
            "stripe trigger checkout.session.completed",
        ]
    else:
        there = "" if machine.webhook_url == WEBHOOK_URL else f" --webhook-url {machine.webhook_url}"
        events = [
            f"export STRIPE_API_BASE={machine.stripe.url} STRIPE_WEBHOOK_SECRETS={SECRET}",
            f".venv/bin/fulfillment trigger paid{there}",
            f".venv/bin/fulfillment trigger async-failed --count 3 --duplicates 1 --shuffle{there}",
        ]
    return [
        f"export KUBECONFIG={machine.kubeconfig}",
        *events,
        f"{machine.kubectl} get fulfillmentrequests --output wide --watch",
        f"{machine.kubectl} get fr --field-selector status.phase=failed",
        f"tail -f {machine.logs}/service.log {machine.logs}/operator.log {machine.logs}/page.log",
        f"curl {machine.service_url}/metrics {machine.operator_url}/metrics",
    ]
