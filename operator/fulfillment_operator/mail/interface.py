"""How customers are mailed, and what comes of it. Pure."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from fulfillment_api.status import Reason
from fulfillment_operator.checkout.session import CheckoutSession

TRIED_AGAIN = "; tried again"
"""Ends the message about a mail that was put off."""


@dataclass(frozen=True, slots=True)
class MailOutcome:
    """What came of a mail to the customer."""

    reason: Reason
    """MailSent, MailUnavailable (tried again), MailRejected, MailNotConfigured or NoEmailAddress."""
    message: str
    """For a person, without the address."""


class CustomerMail(Protocol):
    """Mails customers how their orders ended."""

    async def send_payment_failed(
        self, key: str, session: CheckoutSession, noted: AsyncExitStack | None = None
    ) -> MailOutcome:
        """Ask the customer, once, for a new order.

        Args:
            key: the order's idempotency key.
            session: the order.
            noted: what is to be closed when the status tells of the mail. Until then no other mail goes, so that a kill
                between a mail and its note doubles one mail at most. None: nobody notes it.
        """

    async def send_receipt(
        self, key: str, session: CheckoutSession, noted: AsyncExitStack | None = None
    ) -> MailOutcome | None:
        """Tell the customer, once, that the order is fulfilled; None: receipts are off."""
