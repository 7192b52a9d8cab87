"""The secret that operator and webhook know: it signs the http backend's posts, and its endpoint's callbacks."""

from typing import Annotated

from msgspec import Meta
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from fulfillment_runtime.settings import Secret

HTTP_SECRET = "FULFILLMENT_HTTP_SECRET"  # noqa: S105 - the variable's name

HttpSecret = Annotated[
    Secret,
    Meta(
        description="the Standard Webhooks secret that signs the http backend's posts, and its callbacks: "
        "whsec_ and base64"
    ),
]


def check_http_secret(secret: Secret) -> None:
    """Make sure that a secret is as Standard Webhooks has it.

    Raises:
        ValueError: it is not; the message names the variable.
    """
    try:
        Webhook(secret)
    except (ValueError, EmptyWebhookSecretError) as error:
        raise ValueError(f"{HTTP_SECRET} is no Standard Webhooks secret: {error}") from error
