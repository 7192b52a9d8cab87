"""The settings of the order page."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from msgspec import Meta, field

from fulfillment_runtime.settings import Port
from fulfillment_runtime.shop import SHOP_NAME, SHOP_URL, ShopName, ShopUrl
from fulfillment_runtime.stripe.settings import StripeSettings
from fulfillment_service.settings import LONGEST_DRAIN

Color = Annotated[
    str, Meta(pattern="^#[0-9a-fA-F]{6}$", description="the shop's colour on the order page, such as #0b57d0")
]


class PageSettings(StripeSettings, frozen=True, kw_only=True):
    """The settings of the order page, beside which Sessions count."""

    page_port: Annotated[Port, Meta(description="the port of GET /order")] = field(
        default=4244, name="FULFILLMENT_PAGE_PORT"
    )
    page_drain: Annotated[
        timedelta,
        Meta(
            description="how long visitors are still answered after SIGTERM, while load balancers take note, such as "
            "5s; at most 5m"
        ),
    ] = field(default=timedelta(0), name="FULFILLMENT_PAGE_DRAIN")
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="the proxies whose X-Forwarded-For tells a visitor's address, such as 10.0.0.0/8; unset: none"
        ),
    ] = field(default=(), name="FULFILLMENT_PAGE_TRUSTED_PROXIES")
    shop_name: ShopName = field(default="our shop", name=SHOP_NAME)
    shop_url: ShopUrl | None = field(default=None, name=SHOP_URL)
    page_color: Color = field(default="#0b57d0", name="FULFILLMENT_PAGE_COLOR")
    page_dark_color: (
        Annotated[
            str,
            Meta(
                pattern="^#[0-9a-fA-F]{6}$", description="the same where a visitor prefers dark pages; unset: the same"
            ),
        ]
        | None
    ) = field(default=None, name="FULFILLMENT_PAGE_DARK_COLOR")
    page_logo: (
        Annotated[str, Meta(description="a picture of at most 100 KiB that the order page shows: .svg, .png, …")] | None
    ) = field(default=None, name="FULFILLMENT_PAGE_LOGO")
    page_templates: (
        Annotated[str, Meta(description="a folder whose Jinja templates replace the order page's of the same name")]
        | None
    ) = field(default=None, name="FULFILLMENT_PAGE_TEMPLATES")
    page_catalogues: (
        Annotated[
            str,
            Meta(
                description="a folder whose gettext catalogues, such as de.po, replace the order page's texts, or add "
                "a language"
            ),
        ]
        | None
    ) = field(default=None, name="FULFILLMENT_PAGE_CATALOGUES")

    def __post_init__(self) -> None:
        """Check what types alone do not say."""
        super().__post_init__()
        if not timedelta() <= self.page_drain <= LONGEST_DRAIN:
            raise ValueError("FULFILLMENT_PAGE_DRAIN must be at least 0s and at most 5m")
        for each in self.trusted_proxies:
            try:
                ip_network(each)
            except ValueError as error:
                raise ValueError(f"FULFILLMENT_PAGE_TRUSTED_PROXIES: {error}: such as 10.0.0.0/8") from None
        for name, folder in (
            ("FULFILLMENT_PAGE_TEMPLATES", self.page_templates),
            ("FULFILLMENT_PAGE_CATALOGUES", self.page_catalogues),
        ):
            if folder is not None and not Path(folder).is_dir():
                raise ValueError(f"{name} names {folder!r}, which is no folder")
