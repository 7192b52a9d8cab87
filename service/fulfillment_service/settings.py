"""The settings of the webhook service, and of `fulfillment recover`."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, field
from standardwebhooks import Webhook as StandardWebhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from fulfillment_runtime.settings import Port, Secret, WorkloadSettings
from fulfillment_runtime.stripe_settings import StripeSettings

_REDIRECT_HELD = timedelta(seconds=10)
"""How long Checkout holds the buyer's redirect for the answer (Stripe, "Fulfill orders with Checkout")."""

_LONGEST_DRAIN = timedelta(minutes=5)
"""The slowest load balancers take minutes to take note; a pod that should have ended binds its node no longer."""

Account = Annotated[str, Meta(pattern="^acct_[A-Za-z0-9_]+$")]
PaymentLink = Annotated[str, Meta(pattern="^plink_[A-Za-z0-9_]+$")]
MetadataEntry = Annotated[str, Meta(pattern="^[^=]{1,40}=.{1,500}$")]


class EventSettings(WorkloadSettings, frozen=True, kw_only=True):
    """Which events count, however they come."""

    livemode: (
        Annotated[bool, Meta(description="true or false: events of the other mode are ignored; unset: none are")] | None
    ) = field(default=None, name="STRIPE_LIVEMODE")
    accounts: (
        Annotated[
            tuple[Account, ...],
            Meta(
                min_length=1,
                description="the connected accounts, acct_…, whose events count; unset: all",
            ),
        ]
        | None
    ) = field(default=None, name="STRIPE_ACCOUNTS")
    payment_links: (
        Annotated[
            tuple[PaymentLink, ...],
            Meta(
                min_length=1,
                description="the payment links, plink_…, whose orders count, any of them; unset: all orders",
            ),
        ]
        | None
    ) = field(default=None, name="STRIPE_PAYMENT_LINKS")
    metadata: (
        Annotated[
            tuple[MetadataEntry, ...],
            Meta(
                min_length=1,
                description="key=value, …: the metadata that a Session must have, all of it, to count; unset: any",
            ),
        ]
        | None
    ) = field(default=None, name="STRIPE_METADATA")

    def __post_init__(self) -> None:
        """Check what types alone do not say."""
        super().__post_init__()
        if self.metadata is not None and len(self.metadata) != len(self.metadata_asked_for or ()):
            raise ValueError("STRIPE_METADATA names a key twice: a Session has one value of each")

    @property
    def metadata_asked_for(self) -> dict[str, str] | None:
        """What a Session's metadata must hold; None: anything."""
        if self.metadata is None:
            return None
        return {key: value for key, _, value in (entry.partition("=") for entry in self.metadata)}


class ServiceSettings(EventSettings, frozen=True, kw_only=True):
    """What the webhook service can be told."""

    webhook_secrets: Annotated[
        tuple[Secret, ...],
        Meta(
            min_length=1,
            description="the endpoint's signing secrets, whsec_…; several while one is being rolled",
        ),
    ] = field(name="STRIPE_WEBHOOK_SECRETS")
    webhook_port: Annotated[Port, Meta(description="the port of POST /webhook")] = field(
        default=4242, name="FULFILLMENT_WEBHOOK_PORT"
    )
    max_body_bytes: Annotated[int, Meta(ge=1024, description="the largest event that is read, in bytes")] = field(
        default=1024 * 1024, name="FULFILLMENT_WEBHOOK_MAX_BODY_BYTES"
    )
    deadline: Annotated[
        timedelta,
        Meta(description="within which every event is answered, such as 8s; at most 10s, then Stripe gave up"),
    ] = field(default=timedelta(seconds=8), name="FULFILLMENT_WEBHOOK_DEADLINE")
    tolerance: Annotated[
        timedelta, Meta(description="how far a signature's time may be from this machine's clock, such as 5m")
    ] = field(default=timedelta(seconds=300), name="FULFILLMENT_WEBHOOK_TOLERANCE")
    drain: Annotated[
        timedelta,
        Meta(
            description="how long requests are still taken after SIGTERM, while load balancers take note, such as 5s; "
            "at most 5m"
        ),
    ] = field(default=timedelta(0), name="FULFILLMENT_WEBHOOK_DRAIN")

    http_secret: (
        Annotated[
            Secret,
            Meta(
                description="the Standard Webhooks secret that signs the http backend's posts, and its callbacks: "
                "whsec_ and base64"
            ),
        ]
        | None
    ) = field(default=None, name="FULFILLMENT_HTTP_SECRET")

    def __post_init__(self) -> None:
        """Check what types alone do not say."""
        super().__post_init__()
        if self.http_secret is not None:
            try:
                StandardWebhook(self.http_secret)
            except (ValueError, EmptyWebhookSecretError) as error:
                raise ValueError(f"FULFILLMENT_HTTP_SECRET is no Standard Webhooks secret: {error}") from error
        for place, secret in enumerate(self.webhook_secrets, start=1):
            if not secret.startswith("whsec_") or secret == "whsec_":  # noqa: S105 - the mark of every such secret
                raise ValueError(
                    f"STRIPE_WEBHOOK_SECRETS: number {place} of {len(self.webhook_secrets)} is no signing secret: "
                    "it starts with whsec_ (Stripe Dashboard, Webhooks; or what `stripe listen` prints)"
                )
        if not timedelta() < self.deadline <= _REDIRECT_HELD:
            raise ValueError("FULFILLMENT_WEBHOOK_DEADLINE must be more than 0s and at most 10s")
        if not timedelta() < self.tolerance:
            raise ValueError("FULFILLMENT_WEBHOOK_TOLERANCE must be more than 0s")
        if not timedelta() <= self.drain <= _LONGEST_DRAIN:
            raise ValueError("FULFILLMENT_WEBHOOK_DRAIN must be at least 0s and at most 5m")


class RecoverSettings(StripeSettings, frozen=True, kw_only=True):
    """What `fulfillment recover` can be told, beside which events count."""

    recovery_name: Annotated[
        str,
        Meta(
            description="the Lease that keeps two recoveries apart, and the ConfigMap that says how far they came; "
            "both have this name"
        ),
    ] = field(default="checkout-fulfillment-recovery", name="FULFILLMENT_RECOVERY_NAME")


def mode_mistake(settings: RecoverSettings, events: EventSettings) -> str | None:
    """Tell whether a recovery would list events of one mode, and ask for those of the other; None when not."""
    if events.livemode in {None, settings.key_is_live}:
        return None
    mode = "live" if settings.key_is_live else "test"
    return (
        f"STRIPE_LIVEMODE is {str(events.livemode).lower()}, and STRIPE_API_KEY is a key of {mode} mode: "
        "no event that it lists would count"
    )
