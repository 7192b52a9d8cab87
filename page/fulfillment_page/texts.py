"""What the page says of each state. Pure: the texts are English, and the keys of the catalogues."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType

from fulfillment_page.buyer_state import BuyerState


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Mark a text that is translated when it is shown."""
    return text


@unique
class Tone(StrEnum):
    """How a state is shown."""

    GOOD = "good"
    WAITING = "waiting"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class StateText:
    """What a buyer reads of a state."""

    headline: str
    text: str
    tone: Tone
    step: int | None
    """How many of `STEPS` are done; None: they are not shown."""


STEPS = (N_("Ordered"), N_("Payment"), N_("Complete"))
"""What an order goes through, each in a word."""

UNKNOWN = StateText(
    N_("No order to show yet"),
    N_(
        "If you have just paid, your order is on its way to us. There is no need to pay again. If nothing appears "
        "within a few minutes, please contact us."
    ),
    Tone.WAITING,
    None,
)
"""Of whatever is no order, for whatever reason: nothing is revealed."""

STATE_TEXTS: Mapping[BuyerState, StateText] = MappingProxyType(
    {
        BuyerState.RECEIVED: StateText(
            N_("Thank you, we have your order"),
            N_("We are checking your payment. This takes a moment, and this page follows by itself."),
            Tone.WAITING,
            1,
        ),
        BuyerState.PAYMENT_PROCESSING: StateText(
            N_("Thank you, your payment is on its way"),
            N_(
                "Your bank is still working on it, which can take some days. We go on as soon as the money is here; "
                "there is nothing that you need to do."
            ),
            Tone.WAITING,
            1,
        ),
        BuyerState.PAYMENT_REQUIRES_ACTION: StateText(
            N_("Please complete your payment"),
            N_(
                "Your order waits for your payment, such as a bank transfer or a voucher. Follow the instructions that "
                "you were given when you ordered; if you have paid already, all is well."
            ),
            Tone.WAITING,
            1,
        ),
        BuyerState.PAYMENT_AUTHORIZED: StateText(
            N_("Thank you, we have your order"),
            N_("Your payment is reserved. It is taken when we confirm your order."),
            Tone.WAITING,
            1,
        ),
        BuyerState.PREPARING: StateText(
            N_("Thank you, we are working on your order"),
            N_("Nothing is left for you to do. This page follows by itself."),
            Tone.WAITING,
            2,
        ),
        BuyerState.UPDATING: StateText(
            N_("We are updating your order"),
            N_(
                "Something changed about its payment, such as by a refund. There is no need to pay again; this page "
                "follows by itself."
            ),
            Tone.WAITING,
            None,
        ),
        BuyerState.FULFILLED: StateText(
            N_("Thank you, your order is complete"),
            N_("Everything is taken care of."),
            Tone.GOOD,
            3,
        ),
        BuyerState.SAVED: StateText(
            N_("All done"),
            N_("Your payment method is saved. Nothing was charged."),
            Tone.GOOD,
            None,
        ),
        BuyerState.PAYMENT_FAILED: StateText(
            N_("Your payment did not go through"),
            N_("This order ends here. You are welcome to place it again."),
            Tone.BAD,
            None,
        ),
        BuyerState.PAYMENT_CANCELED: StateText(
            N_("Your payment was canceled"),
            N_("If an amount was reserved, it is free again. You are welcome to place a new order."),
            Tone.BAD,
            None,
        ),
        BuyerState.REFUNDED: StateText(
            N_("Your payment was refunded"),
            N_("Depending on your bank it takes some days until you see it on your account."),
            Tone.GOOD,
            None,
        ),
        BuyerState.CLOSED: StateText(
            N_("Your order was closed"),
            N_("It will not be fulfilled. If you have questions, or paid and have no refund yet, please contact us."),
            Tone.BAD,
            None,
        ),
        BuyerState.NEEDS_ATTENTION: StateText(
            N_("We are looking into your order"),
            N_("Something about it needs a person. There is no need to order or to pay again; we will contact you."),
            Tone.BAD,
            None,
        ),
    }
)
