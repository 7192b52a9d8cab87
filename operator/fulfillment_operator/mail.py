"""Mail to the customer: composed from templates, sent over SMTP. The one place that meets the mail server.

No message of this module holds an address or the server's own words, which may quote one.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from http import HTTPStatus

import aiosmtplib
import jinja2

from fulfillment_api.spec import Amount
from fulfillment_api.status import LineItem, Reason
from fulfillment_operator.checkout import CheckoutSession, Customer, SessionPayment, SessionStatus
from fulfillment_operator.settings import SmtpTls
from fulfillment_operator.transition import MailOutcome
from fulfillment_runtime.exits import SettingsError

_PERMANENT = HTTPStatus.INTERNAL_SERVER_ERROR  # SMTP, too, calls 5xx permanent (RFC 5321, section 4.2.1)


@dataclass(frozen=True, slots=True)
class Shop:
    """Who the mail is from."""

    name: str
    url: str | None
    sender: str
    """An address, or a name and an address: `Shop <orders@shop.example>`."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in."""

    host: str
    port: int
    tls: SmtpTls
    username: str | None
    password: str | None
    timeout: timedelta
    trust: ssl.SSLContext
    """Which certificates are believed."""


class PaymentFailedMail:
    """Composes the mail that asks a customer for a new order after a failed payment."""

    def __init__(self, shop: Shop, templates: str | None) -> None:
        """Load the templates, and try them once.

        Args:
            shop: who the mail is from.
            templates: a folder whose `payment_failed.subject.txt`, `.txt` and `.html` replace ours.

        Raises:
            SettingsError: the sender is no address, or a template does not render.
        """
        name, address = parseaddr(shop.sender)
        if "@" not in address:
            raise SettingsError(f"FULFILLMENT_MAIL_FROM {shop.sender!r} is no mail address")
        self._sender = Address(display_name=name, addr_spec=address)
        self._shop = shop
        ours = jinja2.PackageLoader("fulfillment_operator")
        self._templates = jinja2.Environment(
            loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader(templates), ours]) if templates else ours,
            autoescape=jinja2.select_autoescape(),
            undefined=jinja2.StrictUndefined,
            trim_blocks=False,
            keep_trailing_newline=True,
        )
        try:
            self.compose("try", _EXAMPLE, Address("A", "a", "shop.example"), datetime.min.replace(tzinfo=UTC))
        except jinja2.TemplateError as error:
            where = f"{error.name}, line {error.lineno}: " if isinstance(error, jinja2.TemplateSyntaxError) else ""
            raise SettingsError(f"a mail template does not render: {where}{error.message}") from error

    def compose(self, key: str, session: CheckoutSession, to: Address, now: datetime) -> EmailMessage:
        """Write the mail.

        Args:
            key: the order's idempotency key. It makes the Message-ID, so a second copy, after a crash between
                sending and writing that down, can be known as one.
            session: the order.
            to: the customer.
            now: the mail's date.
        """
        facts: dict[str, object] = {
            "shop_name": self._shop.name,
            "shop_url": self._shop.url,
            "customer_name": session.customer.name if session.customer else None,
            "amount": session.amount.display if session.amount else None,
            "line_items": session.line_items,
        }
        message = EmailMessage()
        message["Subject"] = " ".join(self._render("subject.txt", facts).split())
        message["From"] = self._sender
        message["To"] = to
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{key}.payment-failed@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
        message.set_content(self._render("txt", facts))
        message.add_alternative(self._render("html", facts), subtype="html")
        return message

    def _render(self, kind: str, facts: dict[str, object]) -> str:
        return self._templates.get_template(f"payment_failed.{kind}").render(facts)


class Mailer:
    """Tells customers that their payment failed."""

    def __init__(self, mail: PaymentFailedMail, server: SmtpServer, clock: Callable[[], datetime]) -> None:
        self._mail = mail
        self._server = server
        self._clock = clock

    async def tell_payment_failed(self, key: str, session: CheckoutSession) -> MailOutcome:
        """Ask the customer for a new order."""
        customer = session.customer
        if customer is None or not customer.email:
            return MailOutcome(Reason.NO_EMAIL_ADDRESS, "Stripe has no e-mail address of the customer")
        try:
            to = Address(display_name=" ".join((customer.name or "").split()), addr_spec=customer.email)
            message = self._mail.compose(key, session, to, self._clock())
        except (ValueError, IndexError):
            return MailOutcome(Reason.NO_EMAIL_ADDRESS, "what Stripe has as the customer's e-mail address is none")
        except jinja2.TemplateError as error:
            return MailOutcome(
                Reason.MAIL_UNAVAILABLE, f"a mail template does not render for this order: {error.message}"
            )
        try:
            await self._send(message)
        except aiosmtplib.SMTPAuthenticationError as error:
            return MailOutcome(
                Reason.MAIL_UNAVAILABLE,
                f"the mail server refused the login with {error.code}: mend FULFILLMENT_SMTP_USERNAME and _PASSWORD",
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refusal(max(each.code for each in error.recipients), "the customer's address")
        except aiosmtplib.SMTPDataError as error:
            return _refusal(error.code, "the mail")
        except aiosmtplib.SMTPResponseException as error:
            return MailOutcome(Reason.MAIL_UNAVAILABLE, f"the mail server answered {error.code}")
        except (aiosmtplib.SMTPException, OSError) as error:
            return MailOutcome(
                Reason.MAIL_UNAVAILABLE, f"the mail server cannot be reached ({type(error).__name__}); tried again"
            )
        return MailOutcome(Reason.MAIL_SENT, "the customer was asked to place a new order")

    async def _send(self, message: EmailMessage) -> None:
        server = self._server
        await aiosmtplib.send(
            message,
            hostname=server.host,
            port=server.port,
            use_tls=server.tls is SmtpTls.TLS,
            start_tls=server.tls is SmtpTls.STARTTLS,
            username=server.username,
            password=server.password,
            tls_context=server.trust,
            timeout=server.timeout.total_seconds(),
        )


class NoMailer:
    """Says that nobody can be mailed, because no mail server is set."""

    async def tell_payment_failed(self, key: str, session: CheckoutSession) -> MailOutcome:  # noqa: ARG002 - as Mailer
        """Say so."""
        return MailOutcome(Reason.MAIL_NOT_CONFIGURED, "the customer was not told: FULFILLMENT_SMTP_HOST is not set")


def _refusal(code: int, what: str) -> MailOutcome:
    if code >= _PERMANENT:
        return MailOutcome(Reason.MAIL_REFUSED, f"the mail server refused {what} with {code}")
    return MailOutcome(Reason.MAIL_UNAVAILABLE, f"the mail server put {what} off with {code}; tried again")


_EXAMPLE = CheckoutSession(
    id="cs_test_example",
    mode="payment",
    status=SessionStatus.COMPLETE,
    payment=SessionPayment.FAILED,
    line_items=(LineItem(id="li_example", description="Cotton T-shirt", quantity=1),),
    amount=Amount(total=1099, currency="usd", display="10.99 USD"),
    customer=Customer(email="a@shop.example", name="A"),
    shipping=None,
)
