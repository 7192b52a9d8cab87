"""The verdict of the bench: what it calls lost, doubled and wrong, by Stripe's books, cluster, shop and mail."""

from collections import Counter
from typing import Any

import pytest

from faults.verdict import Verdict, judge
from fulfillment_api.names import request_name
from fulfillment_local.fake_stripe.model import AfterPayment, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.world import StripeWorld, new_world


def stored(session: str, phase: str, *, hint: str = "paid", refunded: bool = False) -> dict[str, Any]:
    conditions = [{"type": "Refunded", "status": "True"}] if refunded else []
    return {
        "spec": {"session": {"id": session}, "payment": {"status": hint}},
        "status": {"phase": phase, "reason": "", "conditions": conditions},
    }


def sell(outcome: Outcome, later: Settlement | AfterPayment | None = None) -> tuple[StripeWorld, str]:
    world = new_world(seed=1)
    session, _ = world.play(Order(outcome=outcome))
    if isinstance(later, Settlement):
        world.settle(session.id, later)
    elif later is not None:
        world.play_after_payment(session.id, later)
    return world, session.id


TRUE = -1
"""As many as there are."""


def verdict_of(
    world: StripeWorld,
    session: str,
    found: dict[str, Any] | None,
    *keys: str,
    mails: int = 0,
    deleted: bool = False,
    counted: float | None = TRUE,
) -> Verdict:
    name = request_name(session)
    unfulfilled = 1 if found and found["status"]["phase"] != "fulfilled" else 0
    return judge(
        world,
        acknowledged=[session],
        objects=[found] if found else [],
        keys={session: set(keys)} if keys else {},
        posts=dict.fromkeys(keys, 1),
        mails=Counter({f"<{name}.payment-failed@shop.example>": mails}) if mails else Counter(),
        counted=unfulfilled if counted == TRUE else counted,
        deleted=[session] if deleted else [],
    )


def test_an_order_that_is_handed_over_once_is_clean() -> None:
    world, session = sell(Outcome.PAID)
    assert verdict_of(world, session, stored(session, "fulfilled"), "key").is_clean


def test_an_acknowledged_order_that_is_in_no_object_is_lost() -> None:
    world, session = sell(Outcome.PAID)
    verdict = verdict_of(world, session, None)
    assert (verdict.lost, verdict.is_clean) == ((session,), False)


def test_an_order_under_two_keys_is_doubled() -> None:
    world, session = sell(Outcome.PAID)
    verdict = verdict_of(world, session, stored(session, "fulfilled"), "key", "another")
    assert (verdict.doubled, verdict.is_clean) == ((session,), False)


def test_an_order_that_was_deleted_is_not_lost_and_not_to_be_handed_over() -> None:
    world, session = sell(Outcome.UNPAID, Settlement.SUCCEEDED)
    assert verdict_of(world, session, None, deleted=True).is_clean
    wrong = verdict_of(world, session, None, "key", deleted=True).wrong
    assert wrong == {request_name(session): "handed over, and was deleted before"}


@pytest.mark.parametrize(
    ("counted", "problem"),
    [(1, "the leader counts 1 unfulfilled requests of 0"), (None, "no operator leads"), (0, None)],
)
def test_the_leader_counts_what_is_there(counted: float | None, problem: str | None) -> None:
    """One that it missed the deletion of would be counted for ever."""
    world, session = sell(Outcome.PAID)
    wrong = verdict_of(world, session, stored(session, "fulfilled"), "key", counted=counted).wrong
    assert wrong.get("fulfillment_requests") == problem


@pytest.mark.parametrize(
    ("outcome", "later", "found", "handed_over", "mails", "problem"),
    [
        (Outcome.PAID, None, ("fulfilling", {}), True, 0, "fulfilling, and must be fulfilled"),
        (Outcome.PAID, None, ("fulfilled", {}), False, 0, "fulfilled, and never handed over"),
        (Outcome.PAID, AfterPayment.REFUNDED, ("fulfilled", {}), True, 0, "fulfilled, and must be refunded"),
        (Outcome.PAID, AfterPayment.REFUNDED, ("fulfilled", {"refunded": True}), True, 0, None),
        (Outcome.UNPAID, Settlement.FAILED, ("failed", {"hint": "failed"}), False, 1, None),
        (Outcome.UNPAID, Settlement.FAILED, ("failed", {"hint": "failed"}), True, 1, "handed over, and never paid"),
        (
            *(Outcome.UNPAID, Settlement.FAILED, ("failed", {"hint": "failed"}), False, 0),
            "failed, and the customer was not mailed",
        ),
        (
            *(Outcome.UNPAID, Settlement.FAILED, ("failed", {"hint": "unpaid"}), False, 1),
            "spec says unpaid, and the newest event said failed",
        ),
    ],
)
def test_an_order_must_stand_as_the_books_say(
    outcome: Outcome,
    later: Settlement | AfterPayment | None,
    found: tuple[str, dict[str, Any]],
    handed_over: bool,
    mails: int,
    problem: str | None,
) -> None:
    world, session = sell(outcome, later)
    keys = ("key",) if handed_over else ()
    verdict = verdict_of(world, session, stored(session, found[0], **found[1]), *keys, mails=mails)
    assert verdict.wrong == ({request_name(session): problem} if problem else {})


def test_mails_beyond_the_first_are_counted() -> None:
    world, session = sell(Outcome.UNPAID, Settlement.FAILED)
    verdict = verdict_of(world, session, stored(session, "failed", hint="failed"), mails=3)
    assert (verdict.second_mails, verdict.is_clean) == (2, True)
