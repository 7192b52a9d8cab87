"""What both mails and the order page tell of the shop: the settings that they share."""

from typing import Annotated

from msgspec import Meta

SHOP_NAME, SHOP_URL = "FULFILLMENT_SHOP_NAME", "FULFILLMENT_SHOP_URL"

ShopName = Annotated[str, Meta(description="what mails and the order page call the shop")]
ShopUrl = Annotated[str, Meta(pattern="^https?://", description="where a customer places a new order")]
