"""`kubectl fulfillment` asked about many requests at once, of which some go well and some do not."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import msgspec
import pytest
from aiohttp import web
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL, request_name
from fulfillment_api.spec import Payment, PaymentStatus, Session, Spec
from fulfillment_api.status import LastHandled, Phase, Reason, Status
from fulfillment_cli.action_client import ActionClient, PreconditionFailedError
from fulfillment_cli.actions import Action, Actor, Verb
from fulfillment_cli.bulk import print_outcomes
from fulfillment_cli.cluster import CONCURRENCY
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import Order, Outcome
from fulfillment_runtime.kubernetes.event_sink import EventSink
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from support.order_endpoint import order_endpoint
from support.running_operator import BEFORE_THE_YEAR_1, Shop, at_work
from support.running_plugin import Plugin

pytestmark = pytest.mark.usefixtures("crd")

RULES = (
    client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["get", "list", "watch", "patch"]),
    client.V1PolicyRule(api_groups=[""], resources=["events"], verbs=["create", "list"]),
)

FAILED = Status(
    phase=Phase.FAILED, reason=Reason.FULFILLMENT_FAILED, message="it failed", observed_generation=1, conditions=[]
)


@pytest.fixture
async def alice(shop: Shop) -> Plugin:
    await shop.control_plane.grant(User.ALICE, shop.namespace, RULES)
    return Plugin(shop)


async def test_a_retry_of_many_tells_of_each_by_itself(shop: Shop, alice: Plugin) -> None:
    """One is fulfilled, one fails anew, one is not done in time, and three cannot be tried: exit code 1."""
    hanging = asyncio.Event()
    answers: dict[str, HTTPStatus] = {}

    async def answer(request: web.Request) -> web.Response:
        name = request_name((await request.json())["data"]["session"]["id"])
        status = answers.get(name, HTTPStatus.BAD_REQUEST)
        if status is HTTPStatus.REQUEST_TIMEOUT:
            await hanging.wait()
        return web.json_response({"reference": "parcel 7"}, status=status)

    async with (
        order_endpoint(answer) as url,
        at_work(shop, backend="http", FULFILLMENT_HTTP_URL=url, FULFILLMENT_HTTP_TIMEOUT="50s"),
    ):
        sold = [await shop.sell(Order()) for _ in range(5)]
        for each in sold:
            await shop.becomes(each, Phase.FAILED, "FulfillmentFailed")
        good, bad, slow, held, done = sold
        await shop.annotate(held, paused="a call")
        await shop.annotate(done, complete="parcel 1")
        await shop.becomes(done, Phase.FULFILLED)
        answers |= {good: HTTPStatus.OK, slow: HTTPStatus.REQUEST_TIMEOUT}

        said = await alice("retry", *sold, "cs-nobody", "--wait=12")
        hanging.set()

    assert said.code == 1
    assert said.output.splitlines() == [
        f"{good} retried: fulfilled (Fulfilled): the backend http fulfilled the order as parcel 7",
        f"{bad} retried: failed (FulfillmentFailed): {await message(shop, bad)}",
        f"{slow} retry requested, and not handled yet",
    ]
    assert said.errors.splitlines()[:3] == [
        f"{held} is paused (a call): resume it first",
        f"{done} is fulfilled (ManuallyCompleted): nothing changes it any more",
        (
            f"no order cs-nobody is in the namespace {shop.namespace}; "
            "kubectl fulfillment list -A has those of all namespaces"
        ),
    ]
    assert re.fullmatch(r"1 was not handled within 12 s: is the operator running, .*", said.errors.splitlines()[3])
    assert len(said.errors.splitlines()) == 4


async def test_of_very_many_it_tells_of_each_as_a_list_shows_it(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Once nobody handled the first ones, none is waited for: each is told of as it is, also one that is gone.

    Those that are fulfilled are read by their names: of these a list may have very many more.
    """
    sold = [await shop.make(f"cs_test_{number:02}") for number in range(CONCURRENCY + 4)]
    for each in sold:
        await shop.requests.patch_status(each, FAILED)
    events = EventSink(LibraryRestClient(shop.api), shop.namespace, reporter="here", timeout=5)
    actions = ActionClient(shop.requests, events, Actor(datetime(2026, 11, 24, 16, tzinfo=UTC), "alice"))
    requested = [await actions.request_action(Action(Verb.RETRY), await shop.requests.get(each)) for each in sold]
    *first, handled, done, gone, unhandled = sold
    retry = LastHandled(retry="2026-11-24T16:00:00Z by alice")
    retried = msgspec.structs.replace(FAILED, last_handled=retry)
    await shop.requests.patch_status(handled, retried)
    await shop.requests.patch_status(done, msgspec.structs.replace(retried, phase=Phase.FULFILLED))
    await shop.requests.delete(gone)

    assert set(await actions.read_unfulfilled(timeout=5)) == {*first, handled, unhandled}
    assert await print_outcomes(actions, requested, shop.namespace, 0.5, many=2) == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        *(f"{each} retry requested, and not handled yet" for each in first),
        f"{handled} retried: failed (FulfillmentFailed): it failed",
        f"{done} retried: fulfilled (FulfillmentFailed): it failed",
        f"{unhandled} retry requested, and not handled yet",
    ]
    (lost, hint) = said.err.splitlines()
    assert lost == f"{gone} was deleted"
    assert hint.startswith(f"{CONCURRENCY + 1} were not handled within 0.5 s: ")


async def test_an_order_that_changed_since_it_was_selected_is_let_be(shop: Shop) -> None:
    """It may have been dealt with, or be another person's by now; what else is written to it matters nothing."""
    events = EventSink(LibraryRestClient(shop.api), shop.namespace, reporter="here", timeout=5)
    actions = ActionClient(shop.requests, events, Actor(datetime(2026, 11, 24, 16, tzinfo=UTC), "alice"))
    names = [await shop.make(f"cs_test_{number}") for number in range(3)]
    seen_to, again, as_before = [await shop.requests.patch_status(name, FAILED) for name in names]
    await shop.annotate(names[0], acknowledged="FulfillmentFailed: brought it myself")
    await shop.requests.patch_status(names[1], msgspec.structs.replace(FAILED, phase=Phase.FULFILLING))
    await shop.annotate(names[2], note="nothing of ours")
    for request, why in (
        (seen_to, "failed (FulfillmentFailed), acknowledged"),
        (again, "fulfilling (FulfillmentFailed)"),
    ):
        with pytest.raises(PreconditionFailedError, match=f" changed meanwhile: is now {re.escape(why)}$"):
            await actions.request_action(Action(Verb.RETRY), request)
        assert not (await shop.requests.get(request.metadata.name)).annotations.retry
    assert (await actions.request_action(Action(Verb.RETRY), as_before)).request.annotations.retry


async def test_of_very_many_the_annotation_alone_says_who_asked(shop: Shop, alice: Plugin) -> None:
    """So a retry costs the API server one write an order; the timeline tells it all the same."""
    sold = await asyncio.gather(*(shop.make(f"cs_test_{number:03}") for number in range(101)))
    await asyncio.gather(*(shop.requests.patch_status(each, FAILED) for each in sold))
    said = await alice("retry", "--all", "--yes", "--wait=0")
    assert (said.code, said.errors) == (0, "")
    assert said.output.splitlines() == [f"{each} retry requested" for each in sorted(sold)]
    requests = [await shop.requests.get(each) for each in sold]
    assert all(each.annotations.retry.endswith(" by alice") for each in requests)
    assert not any((await shop.requests.list_events(requests)).values())
    assert re.search(r" RetryRequested +retried by alice\n", (await alice("show", sold[0])).output)


async def test_a_retry_of_all_leaves_out_what_a_person_has_dealt_with(shop: Shop, alice: Plugin) -> None:
    """It may have been fulfilled in another way; what a person failed comes with those that are asked for so."""
    failed, seen_to, ended = [await shop.make(f"cs_test_{number}") for number in range(3)]
    for name in (failed, seen_to):
        await shop.requests.patch_status(name, FAILED)
    await shop.requests.patch_status(ended, msgspec.structs.replace(FAILED, reason=Reason.MANUALLY_FAILED))
    await shop.annotate(seen_to, acknowledged="FulfillmentFailed: brought it myself")
    for arguments, expected in (
        ((), [failed]),
        (("--reason", "FulfillmentFailed"), [failed]),
        (("--reason", "ManuallyFailed"), [ended]),
        (("--field-selector", "status.reason=ManuallyFailed"), [ended]),
        (("--field-selector", "status.phase=failed,status.reason==ManuallyFailed"), [ended]),
        (("--field-selector", "status.reason!=PaymentFailed"), [failed]),
        (("--field-selector", "status.phase=failed"), [failed]),
    ):
        said = await alice("retry", "--all", "--dry-run", *arguments)
        assert [line.split()[0] for line in said.output.splitlines()] == expected
    assert (await alice("retry", seen_to, "--wait=0")).output == f"{seen_to} retry requested\n"


@pytest.mark.parametrize(
    ("verb", "options", "said_of_one"),
    [
        ("complete", ("--reference", "by phone"), "complete requested"),
        ("fail", ("--reason", "sold out"), "fail requested"),
    ],
)
async def test_what_is_acknowledged_is_ended_by_name_alone(
    shop: Shop, alice: Plugin, verb: str, options: tuple[str, ...], said_of_one: str
) -> None:
    """A person has dealt with it: `complete --all` and `fail --all` leave it out."""
    failed, seen_to = [await shop.make(f"cs_test_{number}") for number in range(2)]
    for name in (failed, seen_to):
        await shop.requests.patch_status(name, FAILED)
    await shop.annotate(seen_to, acknowledged="FulfillmentFailed: gave the money back")
    which = ("--all", "--field-selector", "status.reason=FulfillmentFailed")
    said = await alice(verb, *which, *options, "--yes", "--wait=0")
    assert (said.code, said.output) == (0, f"{failed} {said_of_one}\n")
    said = await alice(verb, seen_to, *options, "--yes", "--wait=0")
    assert (said.code, said.output) == (0, f"{seen_to} {said_of_one}\n")


async def test_what_does_not_decode_cannot_be_judged(shop: Shop, alice: Plugin) -> None:
    """So all that is to be retried may not be all: a line names it, and the exit code is 1."""
    failed, odd = [await shop.make(f"cs_test_{number}") for number in range(2)]
    for name in (failed, odd):
        await shop.requests.patch_status(name, FAILED)
    await shop.observed_at(odd, BEFORE_THE_YEAR_1)
    line = f"1 order does not decode: {odd} (kubectl get fulfillmentrequests -n {shop.namespace} {odd} -o yaml)\n"
    preview = await alice("retry", "--all", "--dry-run")
    assert (preview.code, preview.output.split()[0], preview.errors) == (1, failed, line)
    said = await alice("retry", "--all", "--yes", "--wait=0")
    assert (said.code, said.output, said.errors) == (1, f"{failed} retry requested\n", line)
    nothing = await alice("acknowledge", "--all", "--yes", "--reason", "PaymentFailed")
    await shop.observed_at(odd, None)  # for those who list every namespace
    assert (nothing.code, nothing.errors) == (1, f"{line}nothing to acknowledge in the namespace {shop.namespace}\n")


async def test_a_retry_of_all_passes_over_what_cannot_be_tried(shop: Shop, alice: Plugin) -> None:
    """A held one is not counted; one that fails anew was tried, and so all that was asked was done."""
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL="http://localhost:9/", backend_deadline=timedelta(0)):
        sold = [await shop.sell(Order()) for _ in range(3)]
        for each in sold:
            await shop.becomes(each, Phase.FAILED, "FulfillmentFailed")
        await shop.annotate(sold[0], paused="a call")
        said = await alice("retry", "--all", stdin="y\n")
    question = f"retry 2 in the namespace {shop.namespace} (FulfillmentFailed: 2)? [y/N]: "
    assert (said.code, said.errors) == (0, question)
    assert [line.split(":")[0] for line in said.output.splitlines()] == [f"{each} retried" for each in sorted(sold[1:])]


async def test_restored_orders_are_said_to_be_done_at_once(shop: Shop, alice: Plugin) -> None:
    """A dry run shows them, and a confirmation counts what is odd; a new order beside them is none of them."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    hints = [*(PaymentStatus.PAID for _ in range(20)), PaymentStatus.FAILED, PaymentStatus.UNPAID]
    names = [request_name(f"cs_test_{number}") for number in range(len(hints))]
    for number, (name, hint) in enumerate(zip(names, hints, strict=True)):
        session = Session(id=f"cs_test_{number}", livemode=False)
        await shop.requests.create(name, Spec(session=session, payment=Payment(status=hint, observed_at=yesterday)))
    paid, failed, unpaid = names[:20], names[20], names[21]
    which = "status.reason=Restored,spec.payment.status=paid"
    async with at_work(shop):
        for name, hint in zip(names, hints, strict=True):
            phase = Phase.FULFILLING if hint is PaymentStatus.PAID else Phase.AWAITING_PAYMENT
            await shop.becomes(name, phase, "Restored")
        new = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        await shop.becomes(new, Phase.AWAITING_PAYMENT)

        preview = await alice("complete", "--all", "--reason", "Restored", "--dry-run")
        asked = await alice("complete", "--all", "--reason", "Restored", stdin="n\n")
        done = await alice("complete", "--all", "--field-selector", which, "--reference", "parcels", "--yes")
        ended = await alice(
            "fail", "--all", "--field-selector", "spec.payment.status=failed", "--reason", "told", "--yes"
        )
        refused = await alice("pause", unpaid)

    assert preview.code == 0
    assert sorted(preview.output.splitlines()) == sorted(
        [
            *(f"{each} would be completed: fulfilling (Restored)" for each in paid),
            *(
                f"{each} would be completed: awaiting-payment (Restored); it has a payment that is {payment}, as its "
                "event said"
                for each, payment in ((failed, "failed"), (unpaid, "unpaid"))
            ),
        ]
    )
    assert asked.errors.startswith(f"complete 22 in the namespace {shop.namespace} (Restored: 22; 1 has a payment")
    assert (done.code, done.errors) == (0, "")
    assert {line.split(":")[0] for line in done.output.splitlines()} == {f"{each} completed" for each in paid}
    assert (ended.code, ended.output.split(":")[0]) == (0, f"{failed} failed")
    assert refused.errors.strip().endswith("it is held until it is completed, failed or retried")
    assert shop.mailbox.mails == ()


async def test_all_that_is_to_be_completed_or_failed_is_narrowed_down(alice: Plugin) -> None:
    """Nobody completes every order by leaving something out, nor by a variable of a shell that is not set."""
    for words in (["complete", "--all"], ["fail", "--all", "--reason", "sold out"]):
        said = await alice(*words)
        assert (said.code, "Say which of all to" in said.errors) == (2, True)
    for option, blank in (("--field-selector", ""), ("--field-selector", " , "), ("--reason", ""), ("--reason", " ")):
        said = await alice("complete", "--all", "--yes", option, blank)
        assert (said.code, f"Invalid value for '{option}': it is empty" in said.errors) == (2, True)
    said = await alice("fail", "--all", "--yes", "--reason", "sold out", "--field-selector", "")
    assert (said.code, "Invalid value for '--field-selector'" in said.errors) == (2, True)
    said = await alice("retry", "cs-1", "--field-selector", "status.reason=Restored")
    assert (said.code, "--reason and --field-selector go with --all" in said.errors) == (2, True)


async def message(shop: Shop, name: str) -> str:
    status = (await shop.requests.get(name)).status
    return status.message if status else ""
