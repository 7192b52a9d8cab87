"""Mail to the customer: composed from templates, sent over SMTP. The one place that meets the mail server.

No message of this module holds an address or the server's own words, which may quote one.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from enum import StrEnum, unique
from http import HTTPStatus

import aiosmtplib
import jinja2

from fulfillment_api.spec import Amount
from fulfillment_api.status import LineItem, Reason
from fulfillment_operator.checkout import CheckoutSession, Customer, SessionPayment, SessionStatus
from fulfillment_operator.settings import SmtpTls
from fulfillment_operator.transition import MailOutcome
from fulfillment_runtime.exits import SettingsError

_NO_STARTTLS = "STARTTLS extension not supported"  # as aiosmtplib says it, in an error of no kind of its own
_TO_TAKE_LEAVE = 1.0  # seconds
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
    """For one mail, connecting included."""
    trust: ssl.SSLContext
    """Which certificates are believed."""


@unique
class Occasion(StrEnum):
    """What a customer is told. The value is the name of its templates."""

    PAYMENT_FAILED = "payment_failed"
    """The payment failed: the customer is asked for a new order."""
    FULFILLED = "fulfilled"
    """The order is fulfilled: a receipt."""


_TOLD = {
    Occasion.PAYMENT_FAILED: "the customer was asked to place a new order",
    Occasion.FULFILLED: "the customer was sent a receipt",
}


class Composer:
    """Composes the mails to a customer."""

    def __init__(self, shop: Shop, templates: str | None) -> None:
        """Load the templates, and try them once.

        Args:
            shop: who the mail is from.
            templates: a folder whose `payment_failed.subject.txt`, `.txt` and `.html`, and those of the other
                occasions, replace ours.

        Raises:
            SettingsError: the sender is no address, or a template does not render.
        """
        sender = _address(*parseaddr(shop.sender))
        if sender is None or not sender.domain:
            raise SettingsError(f"FULFILLMENT_MAIL_FROM {shop.sender!r} is no mail address")
        self._sender = sender
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
            for occasion in Occasion:
                to, now = Address("A", "a", "shop.example"), datetime.min.replace(tzinfo=UTC)
                self.compose(occasion, "try", _EXAMPLE, to, now)
        except jinja2.TemplateError as error:
            where = f"{error.name}, line {error.lineno}: " if isinstance(error, jinja2.TemplateSyntaxError) else ""
            raise SettingsError(f"a mail template does not render: {where}{error.message}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"a mail template in {templates} cannot be read: {error}") from error

    def compose(
        self, occasion: Occasion, key: str, session: CheckoutSession, to: Address, now: datetime
    ) -> EmailMessage:
        """Write a mail.

        Args:
            occasion: what it is about.
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
        message["Subject"] = " ".join(self._render(occasion, "subject.txt", facts).split())
        message["From"] = self._sender
        message["To"] = to
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{key}.{occasion.replace('_', '-')}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
        message.set_content(self._render(occasion, "txt", facts))
        message.add_alternative(self._render(occasion, "html", facts), subtype="html")
        return message

    def _render(self, occasion: Occasion, kind: str, facts: dict[str, object]) -> str:
        template = self._templates.get_template(f"{occasion}.{kind}")
        try:
            return template.render(facts)
        except jinja2.TemplateError:
            raise
        except Exception as error:  # a template can do anything; the error's words may quote the customer
            raise jinja2.TemplateRuntimeError(f"{template.name} fails with {type(error).__name__}") from error


class Mailer:
    """Tells customers how their orders ended."""

    def __init__(
        self, composer: Composer, server: SmtpServer, clock: Callable[[], datetime], *, receipts: bool = False
    ) -> None:
        """Make it; `receipts` says whether a customer is told of a fulfilled order, too."""
        self._composer = composer
        self._server = server
        self._clock = clock
        self._receipts = receipts

    async def tell_payment_failed(self, key: str, session: CheckoutSession) -> MailOutcome:
        """Ask the customer for a new order."""
        return await self._tell(Occasion.PAYMENT_FAILED, key, session, afterwards="; tried again")

    async def send_receipt(self, key: str, session: CheckoutSession) -> MailOutcome | None:
        """Tell the customer that the order is fulfilled, once; None: receipts are off."""
        if not self._receipts:
            return None
        return await self._tell(Occasion.FULFILLED, key, session, afterwards="; a receipt is not tried again")

    async def _tell(self, occasion: Occasion, key: str, session: CheckoutSession, *, afterwards: str) -> MailOutcome:
        customer = session.customer
        if customer is None or not customer.email:
            return MailOutcome(Reason.NO_EMAIL_ADDRESS, "Stripe has no e-mail address of the customer")
        to = _address(customer.name or "", customer.email)
        if to is None:
            return MailOutcome(Reason.NO_EMAIL_ADDRESS, "what Stripe has as the customer's e-mail address is none")
        try:
            message = self._composer.compose(occasion, key, session, to, self._clock())
        except jinja2.TemplateError as error:
            return MailOutcome(
                Reason.MAIL_UNAVAILABLE, f"a mail template does not render for this order: {error.message}"
            )
        try:
            await self._send(message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refusal(max(each.code for each in error.recipients), "the customer's address", afterwards)
        except aiosmtplib.SMTPDataError as error:
            return _refusal(error.code, "the mail", afterwards)
        except aiosmtplib.SMTPResponseException as error:
            return MailOutcome(Reason.MAIL_UNAVAILABLE, _unavailable(error))
        except aiosmtplib.SMTPNotSupported:  # of what a mail needs, that is SMTPUTF8 alone
            return MailOutcome(Reason.MAIL_REFUSED, "the mail server takes no address with letters beyond ASCII")
        except (aiosmtplib.SMTPException, OSError) as error:
            return MailOutcome(Reason.MAIL_UNAVAILABLE, f"{_unavailable(error)}{afterwards}")
        return MailOutcome(Reason.MAIL_SENT, _TOLD[occasion])

    async def try_out(self) -> str | None:
        """Reach the mail server, log in and send nothing; tell what is wrong, None when all is well."""
        try:
            async with self._connection():
                return None
        except (aiosmtplib.SMTPException, OSError) as error:
            return _unavailable(error)

    async def _send(self, message: EmailMessage) -> None:
        async with self._connection() as connection:
            await connection.send_message(message)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        server, seconds = self._server, self._server.timeout.total_seconds()
        connection = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls is SmtpTls.TLS,
            start_tls=server.tls is SmtpTls.STARTTLS,
            username=server.username,
            password=server.password,
            tls_context=server.trust,
            timeout=seconds,
        )
        with closing(connection):
            async with asyncio.timeout(seconds):  # the library's own is for each command alone
                await connection.connect()
                yield connection
            with suppress(aiosmtplib.SMTPException):  # what was to be done is done, however the server takes leave
                await connection.quit(timeout=_TO_TAKE_LEAVE)


class NoMailer:
    """Says that nobody can be mailed, because no mail server is set."""

    async def tell_payment_failed(self, key: str, session: CheckoutSession) -> MailOutcome:  # noqa: ARG002 - as Mailer
        """Say so."""
        return MailOutcome(Reason.MAIL_NOT_CONFIGURED, "the customer was not told: FULFILLMENT_SMTP_HOST is not set")

    async def send_receipt(self, key: str, session: CheckoutSession) -> MailOutcome | None:  # noqa: ARG002 - likewise
        """Send none."""
        return None


def _address(name: str, address: str) -> Address | None:
    """Make an address of what a person typed; None: it is none."""
    try:
        f"{name}{address}".encode()
        return Address(display_name=" ".join(name.split()), addr_spec=address)
    except Exception:  # noqa: BLE001 - the standard library's parser ends in errors of many kinds, some by mistake
        return None


def _unavailable(error: Exception) -> str:
    match error:
        case aiosmtplib.SMTPAuthenticationError(code=code):
            return f"the mail server refused the login with {code}: mend FULFILLMENT_SMTP_USERNAME and _PASSWORD"
        case aiosmtplib.SMTPResponseException(code=code):
            return f"the mail server answered {code}"
        case TimeoutError():
            return "the mail server did not answer in time"
        case ssl.SSLCertVerificationError() | Exception(__cause__=ssl.SSLCertVerificationError()):
            return "the mail server's certificate is not trusted: it is expired, of another host, or self-signed"
        case aiosmtplib.SMTPException(message=str(message)) if _NO_STARTTLS in message:
            return "the mail server offers no STARTTLS: set FULFILLMENT_SMTP_TLS to what it does offer"
        case _:
            return f"the mail server cannot be reached ({type(error).__name__})"


def _refusal(code: int, what: str, afterwards: str) -> MailOutcome:
    if code >= _PERMANENT:
        return MailOutcome(Reason.MAIL_REFUSED, f"the mail server refused {what} with {code}")
    return MailOutcome(Reason.MAIL_UNAVAILABLE, f"the mail server put {what} off with {code}{afterwards}")


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
