"""The operator's settings, but for those of its backends."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated

from msgspec import Meta, field

from fulfillment_api import names
from fulfillment_operator.backends.installed import installed_backends, mistakes_in_backends
from fulfillment_operator.backends.routes import BackendName, Routing, parse_routing
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.settings import Port, Secret, WorkloadSettings, load_settings, mistakes_in
from fulfillment_runtime.shop import SHOP_NAME, SHOP_URL, ShopName, ShopUrl
from fulfillment_runtime.stripe.settings import StripeSettings


@unique
class SmtpTls(StrEnum):
    """How the connection to the mail server is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


DefaultBackend = Annotated[
    BackendName,
    Meta(
        description="the backend of orders that no route takes: log, http, manual, job, or an installed one; "
        "none: they are rejected"
    ),
]
Routes = Annotated[str, Meta(description="which backend an order goes to, as a YAML list of routes (docs/routes.md)")]


def checked_routing(routes: str | None, backend: str) -> Routing:
    """Read the routes, and check that every backend that is named is there.

    Raises:
        ValueError: the routes are none, or a backend is not installed.
    """
    routing, installed = parse_routing(routes, backend), installed_backends()
    for name in sorted(routing.backends - installed.keys()):
        raise ValueError(
            f"there is no backend {name!r}, which FULFILLMENT_BACKEND or FULFILLMENT_ROUTES names: "
            f"there are {', '.join(installed)}"
        )
    return routing


class RoutingSettings(WorkloadSettings, frozen=True, kw_only=True):
    """What decides which backend an order goes to, alone."""

    backend: DefaultBackend = field(default=names.LOG_BACKEND, name="FULFILLMENT_BACKEND")
    routes: Routes | None = field(default=None, name="FULFILLMENT_ROUTES")

    @property
    def routing(self) -> Routing:
        """All routes, and what comes after them."""
        return checked_routing(self.routes, self.backend)


class OperatorSettings(StripeSettings, frozen=True, kw_only=True):
    """The variables of the operator itself."""

    stripe_concurrency: Annotated[int, Meta(ge=1, le=1000, description="the most requests to Stripe at once")] = field(
        default=10, name="STRIPE_CONCURRENCY"
    )
    lease_name: Annotated[str, Meta(description="the Lease that the leading one of several operators holds")] = field(
        default="checkout-fulfillment-operator", name="FULFILLMENT_LEASE_NAME"
    )
    recovery_configmap: (
        Annotated[
            str,
            Meta(
                description="the ConfigMap in which recoveries record their results (FULFILLMENT_RECOVERY_NAME), which "
                "the operator exports as metrics; unset: there are no recoveries"
            ),
        ]
        | None
    ) = field(default=None, name="FULFILLMENT_RECOVERY_CONFIGMAP")
    recheck_interval: Annotated[
        timedelta, Meta(description="how often Stripe is asked again about an order that waits, such as 6h")
    ] = field(default=timedelta(hours=6), name="FULFILLMENT_RECHECK_INTERVAL")
    reversal_interval: Annotated[
        timedelta,
        Meta(description="how often fulfilled orders are checked for refunds and disputes, such as 30s"),
    ] = field(default=timedelta(seconds=30), name="FULFILLMENT_REVERSAL_INTERVAL")
    workers: Annotated[int, Meta(ge=1, le=1000, description="how many orders are worked on at once")] = field(
        default=32, name="FULFILLMENT_WORKERS"
    )
    backend: DefaultBackend = field(default=names.LOG_BACKEND, name="FULFILLMENT_BACKEND")
    routes: Routes | None = field(default=None, name="FULFILLMENT_ROUTES")
    backend_deadline: Annotated[
        timedelta,
        Meta(description="how long a backend's passing faults are retried before the order fails, such as 72h"),
    ] = field(default=timedelta(hours=72), name="FULFILLMENT_BACKEND_DEADLINE")
    backend_retry_max: Annotated[
        timedelta, Meta(description="the longest pause between two attempts of a backend, such as 15m")
    ] = field(default=timedelta(minutes=15), name="FULFILLMENT_BACKEND_RETRY_MAX")
    smtp_host: Annotated[str, Meta(description="the mail server; without one nobody is mailed")] | None = field(
        default=None, name="FULFILLMENT_SMTP_HOST"
    )
    smtp_port: Annotated[Port, Meta(description="the mail server's port")] = field(
        default=587, name="FULFILLMENT_SMTP_PORT"
    )
    smtp_tls: Annotated[SmtpTls, Meta(description="starttls, tls or none")] = field(
        default=SmtpTls.STARTTLS, name="FULFILLMENT_SMTP_TLS"
    )
    smtp_username: Annotated[str, Meta(description="the user name at the mail server")] | None = field(
        default=None, name="FULFILLMENT_SMTP_USERNAME"
    )
    smtp_password: Annotated[Secret, Meta(description="the password at the mail server")] | None = field(
        default=None, name="FULFILLMENT_SMTP_PASSWORD"
    )
    smtp_timeout: Annotated[timedelta, Meta(description="how long sending one mail may take, such as 20s")] = field(
        default=timedelta(seconds=20), name="FULFILLMENT_SMTP_TIMEOUT"
    )
    mail_from: (
        Annotated[str, Meta(description="the sender of mails: orders@shop.example, or Shop <orders@shop.example>")]
        | None
    ) = field(default=None, name="FULFILLMENT_MAIL_FROM")
    mail_templates: (
        Annotated[str, Meta(description="a folder whose Jinja templates replace those of the same name")] | None
    ) = field(default=None, name="FULFILLMENT_MAIL_TEMPLATES")
    receipts: Annotated[bool, Meta(description="true mails the customer when an order is fulfilled")] = field(
        default=False, name="FULFILLMENT_RECEIPTS"
    )
    shop_name: ShopName = field(default="our shop", name=SHOP_NAME)
    shop_url: ShopUrl | None = field(default=None, name=SHOP_URL)

    def __post_init__(self) -> None:
        """Check how the settings go together."""
        super().__post_init__()
        self._check_spans()
        checked_routing(self.routes, self.backend)
        if self.smtp_host is not None and self.mail_from is None:
            raise ValueError("FULFILLMENT_MAIL_FROM is not set: mails need a sender")
        if self.receipts and self.smtp_host is None:
            raise ValueError("FULFILLMENT_SMTP_HOST is not set: FULFILLMENT_RECEIPTS mails receipts by it")
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("FULFILLMENT_SMTP_USERNAME and FULFILLMENT_SMTP_PASSWORD go together: set both or none")
        if self.mail_templates is not None and not Path(self.mail_templates).is_dir():
            raise ValueError(f"FULFILLMENT_MAIL_TEMPLATES names {self.mail_templates!r}, which is no folder")

    def _check_spans(self) -> None:
        for name, span in (
            ("FULFILLMENT_RECHECK_INTERVAL", self.recheck_interval),
            ("FULFILLMENT_REVERSAL_INTERVAL", self.reversal_interval),
            ("FULFILLMENT_BACKEND_RETRY_MAX", self.backend_retry_max),
            ("FULFILLMENT_SMTP_TIMEOUT", self.smtp_timeout),
        ):
            if not timedelta() < span:
                raise ValueError(f"{name} must be more than 0s")
        if self.backend_deadline < timedelta():
            raise ValueError("FULFILLMENT_BACKEND_DEADLINE must be at least 0s: then nothing is tried twice")

    @property
    def routing(self) -> Routing:
        """All routes, and what comes after them."""
        return checked_routing(self.routes, self.backend)


def load_operator_settings(environ: Mapping[str, str]) -> OperatorSettings:
    """Read and check the operator's settings, and check those of its backends, which read them for themselves.

    Args:
        environ: environment variables, such as `os.environ`.

    Raises:
        SettingsError: naming the variable, what is wrong with it, and what it is for.
    """
    settings = load_settings(OperatorSettings, environ)
    for mistake in mistakes_in_backends(settings.routing.backends, environ):
        raise SettingsError(mistake)
    return settings


def mistakes_in_operator_settings(environ: Mapping[str, str]) -> list[str]:
    """Return all that is wrong with them, where `load_operator_settings` tells the first: a message each."""
    return mistakes_in(OperatorSettings, environ) or mistakes_in_backends(
        load_settings(OperatorSettings, environ).routing.backends, environ
    )
