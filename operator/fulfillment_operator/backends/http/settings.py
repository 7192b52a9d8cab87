"""The settings of the http backend."""

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from fulfillment_runtime.http_secret import HTTP_SECRET, HttpSecret, check_http_secret
from fulfillment_runtime.settings import MissingSettingError


class HttpSettings(Struct, frozen=True, kw_only=True):
    """The variables of the http backend."""

    url: Annotated[str, Meta(pattern="^https?://", description="the URL that the http backend posts orders to")] = (
        field(default="", name="FULFILLMENT_HTTP_URL")
    )
    secret: HttpSecret | None = field(default=None, name=HTTP_SECRET)
    """None: posts are not signed."""
    timeout: Annotated[timedelta, Meta(description="how long one post of the http backend may take, such as 20s")] = (
        field(default=timedelta(seconds=20), name="FULFILLMENT_HTTP_TIMEOUT")
    )

    def __post_init__(self) -> None:
        """Check what types alone do not say; last of all, that nothing is missing."""
        if not timedelta() < self.timeout:
            raise ValueError("FULFILLMENT_HTTP_TIMEOUT must be more than 0s")
        if self.secret is not None:
            check_http_secret(self.secret)
        if not self.url:
            raise MissingSettingError("FULFILLMENT_HTTP_URL is not set: the http backend posts orders to it")
        if not _names_a_host(self.url):
            raise ValueError("FULFILLMENT_HTTP_URL names no host: it is as https://shop.example/orders")


def _names_a_host(url: str) -> bool:
    try:
        address = urlsplit(url)
        host, _ = (address.hostname or "").encode("idna"), address.port
    except ValueError:  # no name, or no port
        return False
    return bool(host)
