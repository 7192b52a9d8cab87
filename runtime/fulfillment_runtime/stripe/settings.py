"""The settings of whoever calls Stripe's API."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, field

from fulfillment_runtime.settings import Secret, WorkloadSettings


class StripeSettings(WorkloadSettings, frozen=True, kw_only=True):
    """The settings of a workload that calls Stripe."""

    stripe_api_key: Annotated[Secret, Meta(description="the secret or restricted API key: sk_… or rk_…")] = field(
        name="STRIPE_API_KEY"
    )
    stripe_api_base: (
        Annotated[str, Meta(pattern="^https?://", description="where Stripe's API is, when not at Stripe")] | None
    ) = field(default=None, name="STRIPE_API_BASE")
    stripe_timeout: Annotated[timedelta, Meta(description="how long one request to Stripe may take, such as 20s")] = (
        field(default=timedelta(seconds=20), name="STRIPE_TIMEOUT")
    )
    stripe_requests_per_second: (
        Annotated[
            float,
            Meta(
                gt=0,
                le=1000,
                description="the most requests to Stripe in a second; unset: 80 with a live key, 20 with a test one "
                "(its limits for an account: 100 live, 25 in a sandbox)",
            ),
        ]
        | None
    ) = field(default=None, name="STRIPE_REQUESTS_PER_SECOND")
    stripe_endpoint_requests_per_second: Annotated[
        float,
        Meta(
            gt=0,
            le=1000,
            description="the most of them to one endpoint (its limit: 25, live as well, unless it raised yours)",
        ),
    ] = field(default=20.0, name="STRIPE_ENDPOINT_REQUESTS_PER_SECOND")

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

    @property
    def account_requests_per_second(self) -> float:
        """The most requests in a second: four fifths of Stripe's limit, for other programs use the account, too."""
        return self.stripe_requests_per_second or (80.0 if self.key_is_live else 20.0)
