"""The order page's settings, as it loads them at its start and whenever a file of theirs changes."""

import pytest

from fulfillment_page.settings import PageSettings
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_service.settings import load_with_events

SHOP = {"FULFILLMENT_SHOP_NAME": "Harbour Goods", "FULFILLMENT_SHOP_URL": "https://shop.example"}


@pytest.mark.parametrize("livemode", ["true", "false"])
def test_a_key_of_the_mode_that_does_not_count_is_refused(livemode: str) -> None:
    """With it no Session of a buyer would be known to Stripe."""
    keys = {"true": "rk_live_1", "false": "rk_test_1"}
    environ = {**SHOP, "STRIPE_LIVEMODE": livemode}
    settings, events = load_with_events(PageSettings, environ | {"STRIPE_API_KEY": keys[livemode]})
    assert settings.key_is_live is events.livemode
    with pytest.raises(SettingsError, match=r"STRIPE_LIVEMODE .* is .*, and STRIPE_API_KEY .* is a key of"):
        load_with_events(PageSettings, environ | {"STRIPE_API_KEY": keys["false" if livemode == "true" else "true"]})
