"""Sends mail to the customer over SMTP. The one place that meets the mail server.

No message of this module holds an address or the server's own words, which may quote one.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage

import aiosmtplib
import jinja2

from fulfillment_api.status import Reason
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.mail.composer import Composer, Occasion, parse_address
from fulfillment_operator.mail.interface import TRIED_AGAIN, MailOutcome
from fulfillment_operator.settings import SmtpTls
from fulfillment_runtime.chart_values import with_chart_values

_NO_STARTTLS = "STARTTLS extension not supported"  # as aiosmtplib says it, in an error of no kind of its own
_QUIT_TIMEOUT = 1.0  # seconds
_CONNECTIONS = 2  # one mail goes, and the next one is ready: a server takes few of one client
_PERMANENT = 500  # and above (RFC 5321, section 4.2.1)


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
    trust: ssl.SSLContext | None
    """Which certificates are believed; None where there is no TLS."""


_SENT = {
    Occasion.PAYMENT_FAILED: "the customer was asked to place a new order",
    Occasion.FULFILLED: "the customer was sent a receipt",
}


class Mailer:
    """Mails customers how their orders ended."""

    def __init__(
        self, composer: Composer, server: SmtpServer, clock: Callable[[], datetime], *, receipts: bool = False
    ) -> None:
        """Make it; `receipts` says whether a customer is mailed of a fulfilled order, too."""
        self._composer = composer
        self._server = server
        self._clock = clock
        self._receipts = receipts
        self._turn = asyncio.Lock()
        self._connections = asyncio.Semaphore(_CONNECTIONS)
        self._stalls = 0
        """How many mails the server let wait in vain."""
        self._lost = 0
        """How many connections it did."""

    async def send_payment_failed(
        self, key: str, session: CheckoutSession, noted: AsyncExitStack | None = None
    ) -> MailOutcome:
        """Ask the customer for a new order."""
        return await self._mail(Occasion.PAYMENT_FAILED, key, session, noted, afterwards=TRIED_AGAIN)

    async def send_receipt(
        self, key: str, session: CheckoutSession, noted: AsyncExitStack | None = None
    ) -> MailOutcome | None:
        """Tell the customer that the order is fulfilled, once; None: receipts are off."""
        if not self._receipts:
            return None
        return await self._mail(Occasion.FULFILLED, key, session, noted, afterwards="; a receipt is not tried again")

    async def _mail(
        self, occasion: Occasion, key: str, session: CheckoutSession, noted: AsyncExitStack | None, *, afterwards: str
    ) -> MailOutcome:
        customer = session.customer
        if customer is None or not customer.email:
            return MailOutcome(Reason.NO_EMAIL_ADDRESS, "Stripe has no e-mail address of the customer")
        to = parse_address(customer.name or "", customer.email)
        if to is None:
            return MailOutcome(Reason.NO_EMAIL_ADDRESS, "what Stripe has as the customer's e-mail address is none")
        try:
            message = self._composer.compose(occasion, key, session, to, self._clock())
        except jinja2.TemplateError as error:
            return MailOutcome(
                Reason.MAIL_UNAVAILABLE, f"a mail template does not render for this order: {error.message}{afterwards}"
            )
        try:
            await self._send(message, noted)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _rejection(max(each.code for each in error.recipients), "the customer's address", afterwards)
        except aiosmtplib.SMTPDataError as error:
            return _rejection(error.code, "the mail", afterwards)
        except aiosmtplib.SMTPResponseException as error:
            return MailOutcome(Reason.MAIL_UNAVAILABLE, f"{_unavailable(error)}{afterwards}")
        except aiosmtplib.SMTPNotSupported:  # of what a mail needs, that is SMTPUTF8 alone
            return MailOutcome(
                Reason.MAIL_REJECTED,
                "the customer's address has letters beyond ASCII before its @, which the mail server does not take "
                "(no SMTPUTF8)",
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            return MailOutcome(Reason.MAIL_UNAVAILABLE, f"{_unavailable(error)}{afterwards}")
        return MailOutcome(Reason.MAIL_SENT, _SENT[occasion])

    async def check_connection(self) -> str | None:
        """Reach the mail server, log in and send nothing; tell what is wrong, None when all is well."""
        try:
            async with self._connection():
                return None
        except (aiosmtplib.SMTPException, OSError) as error:
            return _unavailable(error)

    async def _send(self, message: EmailMessage, noted: AsyncExitStack | None) -> None:
        stalls, lost = self._stalls, self._lost
        async with self._connections:
            if (stalls, lost) != (self._stalls, self._lost):
                raise TimeoutError  # one that waited in vain meanwhile: this one would take as long again
            async with self._connection() as (connection, left), self._taking_turn(noted):
                if stalls != self._stalls:
                    raise TimeoutError
                try:
                    async with asyncio.timeout(left):
                        await connection.send_message(message)
                except TimeoutError:
                    self._stalls += 1
                    raise

    @asynccontextmanager
    async def _taking_turn(self, noted: AsyncExitStack | None) -> AsyncIterator[None]:
        """Let one mail at a time go, and the next one when this one is noted, or did not go."""
        async with AsyncExitStack() as turn:
            await turn.enter_async_context(self._turn)
            yield
            if noted is not None:
                noted.push_async_exit(turn.pop_all())

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[aiosmtplib.SMTP, float]]:
        """Connect, and yield the connection with the seconds that are left for a mail."""
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
            began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(seconds):  # the library's own is for each command alone
                    await connection.connect()
            except TimeoutError:
                self._lost += 1
                raise
            yield connection, seconds - (asyncio.get_running_loop().time() - began)
            with suppress(aiosmtplib.SMTPException):  # what was to be done is done, however the server takes leave
                await connection.quit(timeout=_QUIT_TIMEOUT)


class NoMailer:
    """Says that nobody can be mailed, because no mail server is set."""

    async def send_payment_failed(
        self,
        key: str,  # noqa: ARG002 - as Mailer; likewise the others
        session: CheckoutSession,  # noqa: ARG002
        noted: AsyncExitStack | None = None,  # noqa: ARG002
    ) -> MailOutcome:
        """Say that nobody is."""
        return MailOutcome(
            Reason.MAIL_NOT_CONFIGURED,
            with_chart_values("no mail was sent to the customer: FULFILLMENT_SMTP_HOST is not set"),
        )

    async def send_receipt(
        self,
        key: str,  # noqa: ARG002
        session: CheckoutSession,  # noqa: ARG002
        noted: AsyncExitStack | None = None,  # noqa: ARG002
    ) -> MailOutcome | None:
        """Send none."""
        return None


def _unavailable(error: Exception) -> str:
    match error:
        case aiosmtplib.SMTPAuthenticationError(code=code):
            return with_chart_values(
                f"the mail server refused the login with {code}: mend FULFILLMENT_SMTP_USERNAME and _PASSWORD"
            )
        case aiosmtplib.SMTPResponseException(code=code):
            return f"the mail server answered {code}"
        case TimeoutError():
            return "the mail server did not answer in time"
        case ssl.SSLCertVerificationError() | Exception(__cause__=ssl.SSLCertVerificationError()):
            return "the mail server's certificate is not trusted: it is expired, of another host, or self-signed"
        case aiosmtplib.SMTPException(message=str(message)) if _NO_STARTTLS in message:
            return with_chart_values(
                "the mail server offers no STARTTLS: set FULFILLMENT_SMTP_TLS to what it does offer"
            )
        case _:
            return f"the mail server cannot be reached ({type(error).__name__})"


def _rejection(code: int, what: str, afterwards: str) -> MailOutcome:
    if code >= _PERMANENT:
        return MailOutcome(Reason.MAIL_REJECTED, f"the mail server refused {what} with {code}")
    return MailOutcome(Reason.MAIL_UNAVAILABLE, f"the mail server put {what} off with {code}{afterwards}")
