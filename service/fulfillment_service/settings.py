"""The settings of the webhook service, and of `fulfillment recover`."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated, TypeVar

from msgspec import Meta, field

from fulfillment_api.bounds import LONGEST_METADATA_KEY, LONGEST_METADATA_VALUE
from fulfillment_api.spec import PaymentLinkId
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.http_secret import HTTP_SECRET, HttpSecret, check_http_secret
from fulfillment_runtime.settings import Port, Secret, WorkloadSettings, load_settings, mistakes_in
from fulfillment_runtime.stripe.settings import StripeSettings
from fulfillment_service.events.filters import Filters
from fulfillment_service.events.rules import EventRules
from fulfillment_service.events.stored_fields import StoredFields

_REDIRECT_HELD = timedelta(seconds=10)
"""How long Checkout holds the buyer's redirect for the answer (Stripe, "Fulfill orders with Checkout")."""

LONGEST_DRAIN = timedelta(minutes=5)
"""The slowest load balancers take minutes to take note; a pod that should have ended binds its node no longer."""

_LONGEST_TOLERANCE = timedelta(minutes=9)
"""Less than by what the operator knows a restored order."""

T = TypeVar("T", bound=StripeSettings)

Account = Annotated[str, Meta(pattern="^acct_[A-Za-z0-9_]+$")]
StoredMetadataKey = Annotated[str, Meta(max_length=LONGEST_METADATA_KEY)]
MetadataEntry = Annotated[str, Meta(pattern=f"^[^=]{{1,{LONGEST_METADATA_KEY}}}=.{{1,{LONGEST_METADATA_VALUE}}}$")]


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
                description="the connected accounts, acct_…, whose events count, beside the API key's own; unset: all",
            ),
        ]
        | None
    ) = field(default=None, name="STRIPE_ACCOUNTS")
    payment_links: (
        Annotated[
            tuple[PaymentLinkId, ...],
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
    metadata_keys: Annotated[
        tuple[StoredMetadataKey, ...],
        Meta(
            description="the keys of a Session's metadata that its request shows, for people; unset: none, since "
            "metadata can be personal"
        ),
    ] = field(default=(), name="FULFILLMENT_METADATA_KEYS")
    client_reference_id: Annotated[
        bool, Meta(description="true shows the Session's client reference in its request; it can be personal, too")
    ] = field(default=False, name="FULFILLMENT_CLIENT_REFERENCE_ID")

    def __post_init__(self) -> None:
        """Check what types alone do not say."""
        super().__post_init__()
        if self.metadata is not None and len(self.metadata) != len(self.filters.metadata or ()):
            raise ValueError("STRIPE_METADATA names a key twice: a Session has one value of each")

    @property
    def filters(self) -> Filters:
        """The same, as events are filtered by them."""
        entries = None if self.metadata is None else (entry.partition("=") for entry in self.metadata)
        return Filters(
            livemode=self.livemode,
            accounts=self.accounts,
            payment_links=self.payment_links,
            metadata=None if entries is None else {key: value for key, _, value in entries},
            retention=self.retention or None,
        )

    @property
    def rules(self) -> EventRules:
        """The filters, with what of a Session is stored beside its ids."""
        stored = StoredFields(metadata_keys=frozenset(self.metadata_keys), client_reference_id=self.client_reference_id)
        return EventRules(filters=self.filters, stored=stored)


class ServiceSettings(EventSettings, frozen=True, kw_only=True):
    """The settings of the webhook service."""

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
        Meta(
            description="within which every event is answered, such as 8s; less than the 10s for which Checkout holds "
            "the buyer's redirect"
        ),
    ] = field(default=timedelta(seconds=8), name="FULFILLMENT_WEBHOOK_DEADLINE")
    tolerance: Annotated[
        timedelta,
        Meta(description="how far a signature's time may be from this machine's clock, such as 5m; at most 9m"),
    ] = field(default=timedelta(seconds=300), name="FULFILLMENT_WEBHOOK_TOLERANCE")
    drain: Annotated[
        timedelta,
        Meta(
            description="how long requests are still taken after SIGTERM, while load balancers take note, such as 5s; "
            "at most 5m"
        ),
    ] = field(default=timedelta(0), name="FULFILLMENT_WEBHOOK_DRAIN")

    allowed_sources: (
        Annotated[
            tuple[str, ...],
            Meta(
                min_length=1,
                description="the addresses that events are taken from, such as 3.18.12.63 or 192.0.2.0/24; unset: any",
            ),
        ]
        | None
    ) = field(default=None, name="STRIPE_ALLOWED_SOURCES")
    trusted_proxies: (
        Annotated[
            tuple[str, ...],
            Meta(
                min_length=1,
                description="the proxies' addresses, likewise, whose X-Forwarded-For is believed; unset: none",
            ),
        ]
        | None
    ) = field(default=None, name="FULFILLMENT_TRUSTED_PROXIES")
    http_secret: HttpSecret | None = field(default=None, name=HTTP_SECRET)

    def __post_init__(self) -> None:
        """Check what types alone do not say."""
        super().__post_init__()
        if self.http_secret is not None:
            check_http_secret(self.http_secret)
        for place, secret in enumerate(self.webhook_secrets, start=1):
            if not secret.startswith("whsec_") or secret == "whsec_":  # noqa: S105 - the mark of every such secret
                raise ValueError(
                    f"STRIPE_WEBHOOK_SECRETS: number {place} of {len(self.webhook_secrets)} is no signing secret: "
                    "it starts with whsec_ (Stripe Dashboard, Webhooks; or what `stripe listen` prints)"
                )
        if not timedelta() < self.deadline < _REDIRECT_HELD:
            raise ValueError("FULFILLMENT_WEBHOOK_DEADLINE must be more than 0s and less than 10s")
        if not timedelta() < self.tolerance <= _LONGEST_TOLERANCE:
            raise ValueError(
                "FULFILLMENT_WEBHOOK_TOLERANCE must be more than 0s and at most 9m: with a clock that is ten minutes "
                "slow each new order would look as one that a backup brought back; set the clock"
            )
        if not timedelta() <= self.drain <= LONGEST_DRAIN:
            raise ValueError("FULFILLMENT_WEBHOOK_DRAIN must be at least 0s and at most 5m")
        _check_networks("STRIPE_ALLOWED_SOURCES", self.allowed_sources or ())
        _check_networks("FULFILLMENT_TRUSTED_PROXIES", self.trusted_proxies or ())
        if self.trusted_proxies and not self.allowed_sources:
            raise ValueError(
                "FULFILLMENT_TRUSTED_PROXIES is set, and STRIPE_ALLOWED_SOURCES is not: nothing else asks where a "
                "request comes from"
            )


def _check_networks(name: str, networks: Iterable[str]) -> None:
    for each in networks:
        try:
            ip_network(each)
        except ValueError as error:
            raise ValueError(f"{name}: {error}; write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32") from None


class RecoverSettings(StripeSettings, frozen=True, kw_only=True):
    """The settings of `fulfillment recover`, beside which events count."""

    recovery_name: Annotated[
        str,
        Meta(
            description="the Lease that keeps two recoveries apart, and the ConfigMap that says how far they came; "
            "both have this name"
        ),
    ] = field(default="checkout-fulfillment-recovery", name="FULFILLMENT_RECOVERY_NAME")


def load_with_events(settings: type[T], environ: Mapping[str, str]) -> tuple[T, EventSettings]:
    """Load the settings of who asks Stripe, and which events count, as the webhook has it.

    Args:
        settings: the type of the former.
        environ: environment variables, such as `os.environ`.

    Raises:
        SettingsError: some of them are wrong, or they do not go together.
    """
    loaded, events = load_settings(settings, environ), load_settings(EventSettings, environ)
    if events.livemode not in {None, loaded.key_is_live}:
        mode = "live" if loaded.key_is_live else "test"
        raise SettingsError(
            f"STRIPE_LIVEMODE is {str(events.livemode).lower()}, and STRIPE_API_KEY is a key of {mode} mode: "
            "nothing that Stripe tells would count"
        )
    return loaded, events


def mistakes_with_events(settings: type[StripeSettings], environ: Mapping[str, str]) -> list[str]:
    """Return all that is wrong with both, where `load_with_events` tells the first: a message each."""
    found = dict.fromkeys((*mistakes_in(settings, environ), *mistakes_in(EventSettings, environ)))
    if not found:
        try:
            load_with_events(settings, environ)
        except SettingsError as error:
            return [error.message]
    return list(found)
