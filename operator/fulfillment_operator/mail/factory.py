"""Makes of the settings what mails customers."""

import ssl

from fulfillment_operator.mail.composer import Composer, Shop
from fulfillment_operator.mail.smtp import Mailer, NoMailer, SmtpServer
from fulfillment_operator.settings import OperatorSettings, SmtpTls
from fulfillment_runtime.clock import utc_now


def customer_mail(settings: OperatorSettings) -> Mailer | NoMailer:
    """Make what mails customers, or what says that nobody can be mailed.

    Raises:
        SettingsError: the sender is no address, or a template does not render.
    """
    if settings.smtp_host is None or settings.mail_from is None:
        return NoMailer()
    shop = Shop(settings.shop_name, settings.shop_url, settings.mail_from)
    server = SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=settings.smtp_password,
        timeout=settings.smtp_timeout,
        trust=None if settings.smtp_tls is SmtpTls.NONE else ssl.create_default_context(),
    )
    return Mailer(Composer(shop, settings.mail_templates), server, utc_now, receipts=settings.receipts)
