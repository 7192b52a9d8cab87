"""How often what did not come to its end is tried again."""

from dataclasses import dataclass
from datetime import timedelta

from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.stripe.client import StripeError, StripeUnavailableError

FAILURES_BEFORE_SHOWN = 3
"""In a row. A blip of Stripe's, or one answer that cannot be read, leaves no trace on an order; what lasts is shown."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often things are tried again."""

    recheck: timedelta
    """Between two checks of an order that waits: for its payment, or for a backend that has it."""
    backend: Backoff
    """Between two tries of the backend."""
    backend_deadline: timedelta
    """From the first try of the backend to the last."""
    errors: Backoff
    """Between two reconciles that Stripe or the API server kept from their end."""
    misconfigured: Backoff
    """Between two that wait for a person to mend what Stripe refuses, which may take days."""
    mail: Backoff
    """Between two tries of a mail that the mail server put off."""

    def error_delay(self, failures: int, asked: timedelta | None = None) -> timedelta:
        """Return when to try again what an error kept from its end.

        Args:
            failures: how many reconciles in a row were kept from their end before this one.
            asked: how long what is outside asks to wait; None: it does not ask.
        """
        return max(self.errors.delay(failures + 1), asked or timedelta(0))

    def stripe_delay(self, failures: int, error: StripeError) -> timedelta:
        """Return when Stripe is asked again after an error.

        Args:
            failures: how many reconciles in a row were kept from their end before this one.
            error: what it was.
        """
        if isinstance(error, StripeUnavailableError):
            return self.error_delay(failures, error.after)
        return self.misconfigured.delay(failures + 1)
