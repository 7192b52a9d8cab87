"""The webhook service's settings: what is right, and one clear line for what is wrong."""

from datetime import timedelta

import pytest

from fulfillment_runtime.exits import SettingsError
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
        },
    )
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
                "(the connected accounts, acct_…, whose events count; unset: all)"
            ),
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_MAX_BODY_BYTES": "10"},
            (
                "FULFILLMENT_WEBHOOK_MAX_BODY_BYTES: '10' is wrong: Expected `int` >= 1024 (the largest event that is "
                "read, in bytes)"
            ),
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_DEADLINE": "11s"},
            "FULFILLMENT_WEBHOOK_DEADLINE must be more than 0s and at most 10s",
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_DEADLINE": "0s"},
            "FULFILLMENT_WEBHOOK_DEADLINE must be more than 0s and at most 10s",
        ),
        (
            SECRETS | {"FULFILLMENT_WEBHOOK_TOLERANCE": "-5m"},
            "FULFILLMENT_WEBHOOK_TOLERANCE must be more than 0s",
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
    assert caught.value.message == message
    assert "topsecret" not in message
