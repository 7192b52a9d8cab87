"""How customers are mailed, and what comes of it. Pure."""

from dataclasses import dataclass
from typing import Protocol

from fulfillment_api.status import Reason
from fulfillment_operator.checkout.session import CheckoutSession


@dataclass(frozen=True, slots=True)
class MailOutcome:
    """What came of a mail to the customer."""

    reason: Reason
    """MailSent, MailUnavailable (tried again), MailRejected, MailNotConfigured or NoEmailAddress."""
    message: str
    """For a person, without the address."""


class CustomerMail(Protocol):
    """Mails customers how their orders ended."""

    async def send_payment_failed(self, key: str, session: CheckoutSession) -> MailOutcome:
        """Ask the customer, once, for a new order.

        Args:
            key: the order's idempotency key.
            session: the order.
        """

    async def send_receipt(self, key: str, session: CheckoutSession) -> MailOutcome | None:
        """Tell the customer, once, that the order is fulfilled; None: receipts are off."""
