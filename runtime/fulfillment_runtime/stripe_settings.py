"""The settings of whoever calls Stripe's API."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, field

from fulfillment_runtime.settings import Secret, WorkloadSettings


class StripeSettings(WorkloadSettings, frozen=True, kw_only=True):
    """What a workload that calls Stripe can be told."""

    stripe_api_key: Annotated[Secret, Meta(description="the secret or restricted API key: sk_… or rk_…")] = field(
        name="STRIPE_API_KEY"
    )
    stripe_api_base: (
        Annotated[str, Meta(pattern="^https?://", description="where Stripe's API is, when not at Stripe")] | None
    ) = field(default=None, name="STRIPE_API_BASE")
    stripe_timeout: Annotated[timedelta, Meta(description="how long one request to Stripe may take, such as 20s")] = (
        field(default=timedelta(seconds=20), name="STRIPE_TIMEOUT")
    )
    stripe_requests_per_second: Annotated[
        float,
        Meta(
            gt=0, le=1000, description="the most requests to Stripe in a second (its limit: 25 in a sandbox, 100 live)"
        ),
    ] = field(default=20.0, name="STRIPE_REQUESTS_PER_SECOND")

    def __post_init__(self) -> None:
        """Check the key, whose prefix tells what it is."""
        super().__post_init__()
        if not timedelta() < self.stripe_timeout:
            raise ValueError("STRIPE_TIMEOUT must be more than 0s")
        if not self.stripe_api_key.startswith(("sk_", "rk_")):
            raise ValueError("STRIPE_API_KEY is no secret key: it starts with sk_ or rk_ (Stripe Dashboard, API keys)")

    @property
    def key_is_live(self) -> bool:
        """Whether the API key moves real money: sk_live_…, rk_live_…."""
        return self.stripe_api_key.split("_")[1:2] == ["live"]
