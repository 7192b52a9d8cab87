"""By which of the chart's values a pod is told each setting. Pure: the one table of it.

Who installed the chart knows `mail.smtp.host`, and not `FULFILLMENT_SMTP_HOST`: a message names both.
"""

import re

CHART_VALUES = {
    "FULFILLMENT_BACKEND": "backend.name",
    "FULFILLMENT_BACKEND_DEADLINE": "backend.deadline",
    "FULFILLMENT_BACKEND_RETRY_MAX": "backend.retryMax",
    "FULFILLMENT_CLIENT_REFERENCE_ID": "stored.clientReferenceId",
    "FULFILLMENT_HTTP_SECRET": "backend.http.existingSecret",
    "FULFILLMENT_HTTP_TIMEOUT": "backend.http.timeout",
    "FULFILLMENT_HTTP_URL": "backend.http.url",
    "FULFILLMENT_JOB_REVERSAL_TEMPLATE": "backend.job.reversalTemplate",
    "FULFILLMENT_JOB_TEMPLATE": "backend.job.template",
    "FULFILLMENT_LOG_FORMAT": "log.format",
    "FULFILLMENT_LOG_LEVEL": "log.level",
    "FULFILLMENT_MAIL_FROM": "mail.from",
    "FULFILLMENT_MAIL_TEMPLATES": "mail.templatesConfigMap",
    "FULFILLMENT_METADATA_KEYS": "stored.metadataKeys",
    "FULFILLMENT_PAGE_CATALOGUES": "page.cataloguesConfigMap",
    "FULFILLMENT_PAGE_COLOR": "page.color",
    "FULFILLMENT_PAGE_DARK_COLOR": "page.darkColor",
    "FULFILLMENT_PAGE_DRAIN": "page.drain",
    "FULFILLMENT_PAGE_LOGO": "page.logo.configMap",
    "FULFILLMENT_PAGE_TEMPLATES": "page.templatesConfigMap",
    "FULFILLMENT_PAGE_TRUSTED_PROXIES": "page.trustedProxies",
    "FULFILLMENT_RECEIPTS": "mail.receipts",
    "FULFILLMENT_RECHECK_INTERVAL": "operator.recheckInterval",
    "FULFILLMENT_RECOVERY_CONFIGMAP": "recovery.enabled",
    "FULFILLMENT_RETENTION": "retention",
    "FULFILLMENT_REVERSAL_INTERVAL": "operator.reversalInterval",
    "FULFILLMENT_ROUTES": "backend.routes",
    "FULFILLMENT_SHOP_NAME": "shop.name",
    "FULFILLMENT_SHOP_URL": "shop.url",
    "FULFILLMENT_SMTP_HOST": "mail.smtp.host",
    "FULFILLMENT_SMTP_PASSWORD": "mail.smtp.existingSecret",
    "FULFILLMENT_SMTP_PORT": "mail.smtp.port",
    "FULFILLMENT_SMTP_TIMEOUT": "mail.smtp.timeout",
    "FULFILLMENT_SMTP_TLS": "mail.smtp.tls",
    "FULFILLMENT_SMTP_USERNAME": "mail.smtp.existingSecret",
    "FULFILLMENT_TRUSTED_PROXIES": "stripe.allowedSources.trustedProxies",
    "FULFILLMENT_WEBHOOK_DEADLINE": "webhook.deadline",
    "FULFILLMENT_WEBHOOK_DRAIN": "webhook.drain",
    "FULFILLMENT_WEBHOOK_MAX_BODY_BYTES": "webhook.maxBodyBytes",
    "FULFILLMENT_WEBHOOK_TOLERANCE": "webhook.tolerance",
    "FULFILLMENT_WORKERS": "operator.workers",
    "STRIPE_ACCOUNTS": "stripe.accounts",
    "STRIPE_ALLOWED_SOURCES": "stripe.allowedSources.addresses",
    "STRIPE_API_BASE": "stripe.apiBase",
    "STRIPE_API_KEY": "stripe.existingSecret",
    "STRIPE_CONCURRENCY": "stripe.concurrency",
    "STRIPE_ENDPOINT_REQUESTS_PER_SECOND": "stripe.endpointRequestsPerSecond",
    "STRIPE_LIVEMODE": "stripe.livemode",
    "STRIPE_METADATA": "stripe.metadata",
    "STRIPE_PAYMENT_LINKS": "stripe.paymentLinks",
    "STRIPE_REQUESTS_PER_SECOND": "stripe.requestsPerSecond",
    "STRIPE_TIMEOUT": "stripe.timeout",
    "STRIPE_WEBHOOK_SECRETS": "stripe.existingSecret",
}
"""Variable → value. The others are the pod's own: its namespace, its ports, its Lease."""

_VARIABLE = re.compile(r"\b((?:FULFILLMENT|STRIPE)_[A-Z_]*[A-Z])\b( \()?")


def with_chart_values(message: str) -> str:
    """Name beside each variable of a message, where it stands first, the chart's value; unless that is there already.

    Args:
        message: such as `FULFILLMENT_SMTP_HOST is not set`.

    Returns:
        Such as `FULFILLMENT_SMTP_HOST (mail.smtp.host) is not set`.
    """
    named: set[str] = set()

    def name(found: re.Match[str]) -> str:
        variable = found[1].removesuffix("_FILE")
        value = CHART_VALUES.get(variable)
        if value is None or variable in named:
            return found[0]
        named.add(variable)
        return found[0] if found[2] else f"{found[0]} ({value})"

    return _VARIABLE.sub(name, message)
