"""The webhook service's settings: what is right, and one clear line for what is wrong."""

from datetime import timedelta

import pytest

from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.settings import load_settings
from fulfillment_service.settings import ServiceSettings

SECRETS = {"STRIPE_WEBHOOK_SECRETS": "whsec_topsecret"}


def test_defaults() -> None:
    """Only the signing secrets have no default."""
    settings = load_settings(ServiceSettings, SECRETS)
    assert settings == ServiceSettings(webhook_secrets=settings.webhook_secrets)
    assert (settings.webhook_port, settings.max_body_bytes) == (4242, 1_048_576)
    assert (settings.deadline, settings.tolerance) == (timedelta(seconds=8), timedelta(minutes=5))
    assert (settings.livemode, settings.accounts, settings.drain) == (None, None, timedelta(0))


def test_values_are_read_in_their_own_form() -> None:
    """Several secrets stand between commas or spaces, and so do accounts."""
    settings = load_settings(
        ServiceSettings,
        {
            "STRIPE_WEBHOOK_SECRETS": "whsec_new, whsec_old\nwhsec_cli",
            "STRIPE_LIVEMODE": "true",
            "STRIPE_ACCOUNTS": "acct_1 acct_2",
            "FULFILLMENT_WEBHOOK_DEADLINE": "2500ms",
            "STRIPE_PAYMENT_LINKS": "plink_1,plink_2",
            "STRIPE_METADATA": "app=shop, path=a=b",
            "FULFILLMENT_RETENTION": "744h",
            "STRIPE_ALLOWED_SOURCES": "3.18.12.63, 2001:db8::/32",
            "FULFILLMENT_TRUSTED_PROXIES": "10.0.0.0/8",
        },
    )
    assert (settings.allowed_sources, settings.trusted_proxies) == (("3.18.12.63", "2001:db8::/32"), ("10.0.0.0/8",))
    assert settings.payment_links == ("plink_1", "plink_2")
    assert settings.filters.metadata == {"app": "shop", "path": "a=b"}
    assert settings.retention == timedelta(days=31)
    assert settings.webhook_secrets == ("whsec_new", "whsec_old", "whsec_cli")
    assert settings.livemode is True
    assert settings.accounts == ("acct_1", "acct_2")
    assert settings.deadline == timedelta(seconds=2.5)
    assert "whsec" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {},
            (
                "STRIPE_WEBHOOK_SECRETS is not set: the endpoint's signing secrets, whsec_…; "
                "several while one is being rolled"
            ),
        ),
        (
            {"STRIPE_WEBHOOK_SECRETS": ","},
            (
                "STRIPE_WEBHOOK_SECRETS: Expected `array` of length >= 1 (the endpoint's signing secrets, "
                "whsec_…; several while one is being rolled)"
            ),
        ),
        (
            {"STRIPE_WEBHOOK_SECRETS": "whsec_good, sk_live_topsecret"},
            (
                "STRIPE_WEBHOOK_SECRETS: number 2 of 2 is no signing secret: it starts with whsec_ (Stripe Dashboard, "
                "Webhooks; or what `stripe listen` prints)"
            ),
        ),
        (
            {"STRIPE_WEBHOOK_SECRETS": "whsec_"},
            (
                "STRIPE_WEBHOOK_SECRETS: number 1 of 1 is no signing secret: it starts with whsec_ (Stripe Dashboard, "
                "Webhooks; or what `stripe listen` prints)"
            ),
        ),
        (
            SECRETS | {"STRIPE_LIVEMODE": "live"},
            (
                "STRIPE_LIVEMODE: 'live' is wrong: Expected `bool`, got `str` (true or false: events of the other mode "
                "are ignored; unset: none are)"
            ),
        ),
        (
            SECRETS | {"STRIPE_ACCOUNTS": "shop"},
            (
                "STRIPE_ACCOUNTS: 'shop' is wrong: Expected `str` matching regex '^acct_[A-Za-z0-9_]+$' - at `$[0]` "
                "(the connected accounts, acct_…, whose events count, beside the API key's own; unset: all)"
            ),
        ),
        (
            SECRETS | {"STRIPE_PAYMENT_LINKS": "https://buy.stripe.com/test_1"},
            (
                "STRIPE_PAYMENT_LINKS: 'https://buy.stripe.com/test_1' is wrong: Expected `str` matching regex "
                "'^plink_[A-Za-z0-9_]+$' - at `$[0]` (the payment links, plink_…, whose orders count, any of them; "
                "unset: all orders)"
            ),
        ),
        (
            SECRETS | {"STRIPE_METADATA": "app"},
            (
                "STRIPE_METADATA: 'app' is wrong: Expected `str` matching regex '^[^=]{1,40}=.{1,500}$' - at `$[0]` "
                "(key=value, …: the metadata that a Session must have, all of it, to count; unset: any)"
            ),
        ),
        (
            SECRETS | {"STRIPE_METADATA": "app=shop, app=forum"},
            "STRIPE_METADATA names a key twice: a Session has one value of each",
        ),
        *(
            (
                SECRETS | {"FULFILLMENT_RETENTION": short},
                (
                    "FULFILLMENT_RETENTION must be at least 744h (31 days), or 0s to keep every order: Stripe can send "
                    "an event again for 30 days, and one about a deleted order would fulfill it twice"
                ),
            )
            for short in ("743h59m", "-1h", "1s")
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_MAX_BODY_BYTES": "10"},
            (
                "FULFILLMENT_WEBHOOK_MAX_BODY_BYTES: '10' is wrong: Expected `int` >= 1024 (the largest event that is "
                "read, in bytes)"
            ),
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_DEADLINE": "10s"},
            "FULFILLMENT_WEBHOOK_DEADLINE must be more than 0s and less than 10s",
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_DEADLINE": "0s"},
            "FULFILLMENT_WEBHOOK_DEADLINE must be more than 0s and less than 10s",
        ),
        (
            SECRETS | {"STRIPE_ALLOWED_SOURCES": "3.18.12.63 hooks.stripe.com"},
            (
                "STRIPE_ALLOWED_SOURCES: 'hooks.stripe.com' does not appear to be an IPv4 or IPv6 network; write "
                "192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
            ),
        ),
        (
            SECRETS | {"STRIPE_ALLOWED_SOURCES": "3.18.12.63", "FULFILLMENT_TRUSTED_PROXIES": "10.0.0.1/8"},
            (
                "FULFILLMENT_TRUSTED_PROXIES: 10.0.0.1/8 has host bits set; write 192.0.2.1, 192.0.2.0/24 or "
                "2001:db8::/32"
            ),
        ),
        (
            SECRETS | {"FULFILLMENT_TRUSTED_PROXIES": "10.0.0.0/8"},
            (
                "FULFILLMENT_TRUSTED_PROXIES is set, and STRIPE_ALLOWED_SOURCES is not: nothing else asks where a "
                "request comes from"
            ),
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_TOLERANCE": "-5m"},
            (
                "FULFILLMENT_WEBHOOK_TOLERANCE must be more than 0s and at most 9m: with a clock that is ten minutes "
                "slow each new order would look as one that a backup brought back; set the clock"
            ),
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_TOLERANCE": "9m1s"},
            (
                "FULFILLMENT_WEBHOOK_TOLERANCE must be more than 0s and at most 9m: with a clock that is ten minutes "
                "slow each new order would look as one that a backup brought back; set the clock"
            ),
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_DRAIN": "6m"},
            "FULFILLMENT_WEBHOOK_DRAIN must be at least 0s and at most 5m",
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_DRAIN": "-1s"},
            "FULFILLMENT_WEBHOOK_DRAIN must be at least 0s and at most 5m",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(environ: dict[str, str], message: str) -> None:
    """The line names the variable, what is wrong, and what it is for; it never shows a secret."""
    with pytest.raises(SettingsError) as caught:
        load_settings(ServiceSettings, environ)
    assert caught.value.message == with_chart_values(message)
    assert "topsecret" not in message
