"""Settings: one clear line for each mistake, and no secret in it."""

from datetime import timedelta
from pathlib import Path

import pytest

from fulfillment_operator.settings import OperatorSettings, load_operator_settings
from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.settings import Secret, is_file_of_setting, known_settings, load_settings
from fulfillment_service.settings import ServiceSettings
from support.kubelet import MountedVolume

KEY = {"STRIPE_API_KEY": "sk_test_topsecret"}


def test_defaults() -> None:
    """Only the API key has no default."""
    settings = load_settings(OperatorSettings, KEY)
    assert (settings.namespace, settings.management_port, settings.backend) == ("default", 8081, "log")


def test_values_are_read_in_their_own_form() -> None:
    """Numbers, durations as Kubernetes writes them, enumerations."""
    settings = load_settings(
        OperatorSettings,
        KEY
        | {
            "FULFILLMENT_MANAGEMENT_PORT": "9000",
            "FULFILLMENT_RECHECK_INTERVAL": "1h30m",
            "FULFILLMENT_BACKEND": "http",
            "FULFILLMENT_HTTP_URL": "https://shop.example/orders",
            "STRIPE_REQUESTS_PER_SECOND": "2.5",
        },
    )
    assert settings.management_port == 9000
    assert settings.recheck_interval == timedelta(minutes=90)
    assert settings.backend == "http"
    assert settings.stripe_requests_per_second == 2.5


def test_a_setting_can_stand_in_a_file(tmp_path: Path) -> None:
    """Each variable can name a file instead, as mounted Secrets are; the newline at its end is not part of it."""
    file = tmp_path / "api-key"
    file.write_text("sk_live_fromfile\n")
    settings = load_settings(OperatorSettings, {"STRIPE_API_KEY_FILE": str(file)})
    assert settings.stripe_api_key == "sk_live_fromfile"
    assert settings.key_is_live is True


def test_a_setting_of_several_values_can_stand_in_a_folder(tmp_path: Path) -> None:
    """Secrets that are projected side by side are one list; what the kubelet hides there is no part of it."""
    volume = MountedVolume(tmp_path, {"extra-0": "whsec_2 whsec_3\n", "a": "whsec_1", "empty": ""})
    (volume.folder / "folder").mkdir()
    settings = load_settings(ServiceSettings, {"STRIPE_WEBHOOK_SECRETS_FILE": str(volume.folder)})
    assert settings.webhook_secrets == ("whsec_1", "whsec_2", "whsec_3")


def test_a_folder_without_files_is_a_mistake(tmp_path: Path) -> None:
    """Such as one whose Secrets are not there yet."""
    (tmp_path / "..data").mkdir()
    with pytest.raises(SettingsError) as caught:
        load_settings(ServiceSettings, {"STRIPE_WEBHOOK_SECRETS_FILE": str(tmp_path)})
    assert caught.value.message == with_chart_values(
        f"STRIPE_WEBHOOK_SECRETS_FILE names the folder '{tmp_path}', which holds no file: put one there, or name a file"
    )


def test_a_single_value_does_not_stand_in_a_folder(tmp_path: Path) -> None:
    """Which of its files would it be?"""
    MountedVolume(tmp_path, {"api-key": "sk_test_1"})
    with pytest.raises(SettingsError) as caught:
        load_settings(OperatorSettings, {"STRIPE_API_KEY_FILE": str(tmp_path)})
    assert caught.value.message == (
        f"STRIPE_API_KEY_FILE (stripe.existingSecret) names '{tmp_path}', which is a folder: name a file in it"
    )


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "STRIPE_API_KEY is not set: the secret or restricted API key: sk_… or rk_…"),
        ({"STRIPE_API_KEY": "  "}, "STRIPE_API_KEY is set but empty: give it a value, or unset it"),
        (
            {"STRIPE_API_KEY": "pk_test_1"},
            "STRIPE_API_KEY is no secret key: it starts with sk_ or rk_ (Stripe Dashboard, API keys)",
        ),
        (
            KEY | {"STRIPE_API_KEY_FILE": "/none"},
            "STRIPE_API_KEY and STRIPE_API_KEY_FILE are both set: set one of them",
        ),
        (
            {"STRIPE_API_KEY_FILE": "/none"},
            "STRIPE_API_KEY_FILE names '/none', which cannot be read: [Errno 2] No such file or directory: '/none'",
        ),
        (
            KEY | {"FULFILLMENT_MANAGEMENT_PORT": "http"},
            (
                "FULFILLMENT_MANAGEMENT_PORT: 'http' is wrong: Expected `int`, got `str` "
                "(the port of /metrics, /healthz and /readyz)"
            ),
        ),
        (
            KEY | {"FULFILLMENT_MANAGEMENT_PORT": "70000"},
            (
                "FULFILLMENT_MANAGEMENT_PORT: '70000' is wrong: Expected `int` <= 65535 "
                "(the port of /metrics, /healthz and /readyz)"
            ),
        ),
        (
            KEY | {"FULFILLMENT_BIND_ADDRESS": "localhost"},
            "FULFILLMENT_BIND_ADDRESS must be an IP address, such as 127.0.0.1",
        ),
        (
            KEY | {"FULFILLMENT_BACKEND": "smoke"},
            (
                "there is no backend 'smoke', which FULFILLMENT_BACKEND or FULFILLMENT_ROUTES names: "
                "there are http, job, log, manual"
            ),
        ),
        (KEY | {"FULFILLMENT_BACKEND": "http"}, "FULFILLMENT_HTTP_URL is not set: the http backend posts orders to it"),
        (
            KEY | {"FULFILLMENT_RECEIPTS": "true"},
            "FULFILLMENT_SMTP_HOST is not set: FULFILLMENT_RECEIPTS mails receipts by it",
        ),
        (
            KEY | {"FULFILLMENT_SMTP_HOST": "mail.example"},
            "FULFILLMENT_MAIL_FROM is not set: mails need a sender",
        ),
        (
            KEY | {"FULFILLMENT_SMTP_USERNAME": "shop"},
            "FULFILLMENT_SMTP_USERNAME and FULFILLMENT_SMTP_PASSWORD go together: set both or none",
        ),
        *(
            (KEY | {name: span}, f"{name} must be more than 0s")
            for name in (
                "STRIPE_TIMEOUT",
                "FULFILLMENT_RECHECK_INTERVAL",
                "FULFILLMENT_REVERSAL_INTERVAL",
                "FULFILLMENT_BACKEND_RETRY_MAX",
                "FULFILLMENT_HTTP_TIMEOUT",
                "FULFILLMENT_SMTP_TIMEOUT",
            )
            for span in ("0s", "-1s")
        ),
        (
            KEY | {"FULFILLMENT_BACKEND_DEADLINE": "-1s"},
            "FULFILLMENT_BACKEND_DEADLINE must be at least 0s: then nothing is tried twice",
        ),
        (
            KEY | {"FULFILLMENT_ROUTES": "[{backend: log}, {backend: manual, when: {mode: payment}}]"},
            ("FULFILLMENT_ROUTES: route 2 takes no order: route 1 takes each before it; put it first, or take it out"),
        ),
        (
            KEY | {"FULFILLMENT_BACKND": "http"},
            "FULFILLMENT_BACKND is no setting: did you mean FULFILLMENT_BACKEND?",
        ),
        (
            KEY | {"STRIPE_TIMEOUT": "soon"},
            (
                "STRIPE_TIMEOUT: 'soon' is wrong: Invalid duration soon "
                "(how long one request to Stripe may take, such as 20s)"
            ),
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(environ: dict[str, str], message: str) -> None:
    """The line names the variable, what is wrong, and what it is for."""
    with pytest.raises(SettingsError) as caught:
        load_operator_settings(environ)
    assert caught.value.message == with_chart_values(message)
    assert caught.value.exit_code == 78


def test_the_variables_that_kubernetes_adds_are_no_mistakes() -> None:
    """A Service called `fulfillment` or `stripe` gives every pod such variables."""
    links = {
        "FULFILLMENT_SERVICE_HOST": "10.96.0.7",
        "FULFILLMENT_SERVICE_PORT": "4242",
        "FULFILLMENT_SERVICE_PORT_HTTP": "4242",
        "FULFILLMENT_PORT": "tcp://10.96.0.7:4242",
        "FULFILLMENT_PORT_4242_TCP_ADDR": "10.96.0.7",
        "STRIPE_PORT_443_TCP": "tcp://10.96.0.8:443",
    }
    assert load_settings(OperatorSettings, KEY | links).namespace == "default"


def test_a_secret_does_not_show_itself() -> None:
    """Neither in a message about the settings, nor when they are printed."""
    assert repr(Secret("sk_test_topsecret")) == "Secret(…)"
    assert "topsecret" not in repr(load_settings(OperatorSettings, KEY))


def test_every_setting_is_described() -> None:
    """A person who gets one wrong is told what it is for."""
    described = known_settings()
    assert {"STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRETS", "STRIPE_API_BASE", "FULFILLMENT_NAMESPACE"} <= set(described)
    assert all(described.values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("STRIPE_API_KEY_FILE", True),
        ("FULFILLMENT_HTTP_SECRET_FILE", True),
        ("STRIPE_API_KEY", False),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", False),
        ("AZURE_FEDERATED_TOKEN_FILE", False),
        ("_FILE", False),
    ],
)
def test_the_files_of_settings_are_told_from_those_of_others(name: str, *, expected: bool) -> None:
    """A cloud's tokens change every hour, and are no setting."""
    assert is_file_of_setting(name) is expected
