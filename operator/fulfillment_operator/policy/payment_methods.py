"""How long a delayed payment can take, by its method. Pure.

Source: Stripe, "Payment method support" and the page of each method: confirmation times and vouchers' expiry. A debit
may come back later still; that is no wait any more, for the order is paid by then.
"""

from collections.abc import Iterable
from datetime import timedelta

_DAYS = {
    "acss_debit": 10,
    "au_becs_debit": 10,
    "bacs_debit": 10,
    "boleto": 62,  # a voucher may be payable for 60 days
    "customer_balance": 45,  # bank transfers: the buyer's bank, and the buyer, take their time
    "konbini": 62,  # likewise
    "multibanco": 10,
    "nz_bank_account": 10,
    "oxxo": 10,
    "sepa_debit": 14,
    "sofort": 14,
    "us_bank_account": 10,
}
_OTHERS = 14

LONGEST_WAIT = timedelta(days=max(_DAYS.values()))
"""Whatever the method."""


def longest_wait(methods: Iterable[str]) -> timedelta:
    """Tell after which time an unpaid order is overdue.

    Args:
        methods: the Session's `payment_method_types`: with which of them the buyer pays is not told, so the slowest
            counts.
    """
    return timedelta(days=max((_DAYS.get(each, 0) for each in methods), default=0) or _OTHERS)
