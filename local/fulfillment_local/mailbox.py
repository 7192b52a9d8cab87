"""A mail catcher: an SMTP server that keeps what it is sent, and can be told to refuse it."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage, MIMEPart
from email.policy import default as default_policy
from enum import Enum, auto, unique
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from fulfillment_runtime.fatal_errors import UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail that arrived."""

    sender: str
    """The envelope's sender."""
    recipients: tuple[str, ...]
    """The envelope's recipients."""
    subject: str
    message_id: str
    text: str | None
    """The plain text part."""
    html: str | None
    """The HTML part."""
    headers: tuple[tuple[str, str], ...]
    """All headers in their order, decoded."""
    encrypted: bool
    """Whether it came over TLS."""
    login: str | None
    """The user name that the sender authenticated with."""


@unique
class Tls(Enum):
    """How a connection is encrypted."""

    STARTTLS = auto()
    """After the STARTTLS command, without which no mail is taken."""
    IMPLICIT = auto()
    """From the first byte."""


@dataclass(slots=True)
class Trouble:
    """How the catcher is told to fail. Change it at any time."""

    refused: set[str] = field(default_factory=set)
    """Recipients that are answered 550: never again."""
    deferrals: int = 0
    """How many mails more are answered 451: later."""
    sender_deferrals: int = 0
    """How many mails more are answered 451 when they name their sender."""
    hang: bool = False
    """Whether mails get no answer at all."""
    hung: int = 0
    """How many mails got none so far."""


class MailTimeoutError(TimeoutError):
    """The mail that was waited for did not come."""


class Mailbox:
    """What was caught.

    Attributes:
        host: where the server listens.
        port: on which port.
        trouble: how it is told to fail.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.trouble = Trouble()
        self._mails: list[Mail] = []
        self._arrival = asyncio.Condition()

    @property
    def mails(self) -> tuple[Mail, ...]:
        """The mails in the order they came."""
        return tuple(self._mails)

    def to(self, recipient: str) -> tuple[Mail, ...]:
        """Return the mails to one recipient."""
        return tuple(mail for mail in self._mails if recipient in mail.recipients)

    async def wait_for(self, count: int = 1, *, recipient: str | None = None, seconds: float = 60) -> tuple[Mail, ...]:
        """Wait until there are so many mails, to one recipient or to anyone, and return them.

        Raises:
            MailTimeoutError: they did not come in time.
        """

        def found() -> tuple[Mail, ...]:
            return self.mails if recipient is None else self.to(recipient)

        try:
            async with asyncio.timeout(seconds), self._arrival:
                await self._arrival.wait_for(lambda: len(found()) >= count)
        except TimeoutError:
            raise MailTimeoutError(
                f"{len(found())} of {count} mails to {recipient or 'anyone'} came within {seconds:g} s"
            ) from None
        return found()

    def clear(self) -> None:
        """Forget what was caught."""
        self._mails.clear()

    async def keep(self, mail: Mail) -> None:
        """Add a mail."""
        async with self._arrival:
            self._mails.append(mail)
            self._arrival.notify_all()


@asynccontextmanager
async def mailbox(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: Tls | None = None,
    certificate: ssl.SSLContext | None = None,
    login: tuple[str, str] | None = None,
) -> AsyncIterator[Mailbox]:
    """Catch mail in the running loop.

    Args:
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        tls: how connections are encrypted, if they are.
        certificate: the server side's context; needed when `tls` is given.
        login: a user name and password, without which no mail is taken.

    Raises:
        UnavailableError: the port is taken.
    """
    loop = asyncio.get_running_loop()
    closing = asyncio.Event()
    box = Mailbox(host, port)
    handler = _Handler(box, closing, implicit_tls=tls is Tls.IMPLICIT)
    transports: set[asyncio.BaseTransport] = set()

    def connect() -> SMTP:
        with warnings.catch_warnings():
            # aiosmtpd warns of a login without STARTTLS, though TLS may be implicit.
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")
            return _Smtp(
                handler,
                transports=transports,
                hostname="localhost",  # else it looks up the machine's own name
                tls_context=certificate if tls is Tls.STARTTLS else None,
                require_starttls=tls is Tls.STARTTLS,
                auth_required=login is not None,
                auth_require_tls=tls is Tls.STARTTLS,
                authenticator=None if login is None else _authenticator(login),
                loop=loop,
            )

    try:
        server = await loop.create_server(connect, host, port, ssl=certificate if tls is Tls.IMPLICIT else None)
    except OSError as error:
        raise UnavailableError(
            f"the mail catcher cannot listen on {host}:{port} ({error.strerror}): free the port, or choose another"
        ) from error
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        closing.set()
        server.close()
        for transport in [*transports]:
            transport.close()
        await server.wait_closed()


class _Smtp(SMTP):
    """Keeps account of its connection, so that the server can end it."""

    def __init__(self, handler: "_Handler", *, transports: set[asyncio.BaseTransport], **options: Any) -> None:  # noqa: ANN401 - SMTP's own
        super().__init__(handler, **options)
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transports.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        for transport in (self.transport, self._original_transport):  # after STARTTLS there are two
            if transport is not None:
                self._transports.discard(transport)
        super().connection_lost(error)


class _Handler:
    """The hooks that aiosmtpd calls; their names and parameters are its own."""

    def __init__(self, box: Mailbox, closing: asyncio.Event, *, implicit_tls: bool) -> None:
        self._box = box
        self._closing = closing
        self._implicit_tls = implicit_tls

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, mail_options: list[str]
    ) -> str:
        if self._box.trouble.sender_deferrals > 0:
            self._box.trouble.sender_deferrals -= 1
            return "451 4.3.0 try again later"
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        if address in self._box.trouble.refused:
            return f"550 5.1.1 <{address}>: no such mailbox"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        trouble = self._box.trouble
        if trouble.hang:
            trouble.hung += 1
            await self._closing.wait()
            return "421 4.3.2 closing"
        if trouble.deferrals > 0:
            trouble.deferrals -= 1
            return "451 4.3.0 try again later"
        await self._box.keep(_mail(session, envelope, encrypted=self._implicit_tls or session.ssl is not None))
        return "250 OK"


def _mail(session: Session, envelope: Envelope, *, encrypted: bool) -> Mail:
    content = envelope.original_content or b""
    message = message_from_bytes(content, EmailMessage, policy=default_policy)
    credentials: Any = session.auth_data  # aiosmtpd declares None, and puts there what the authenticator returns
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    return Mail(
        sender=envelope.mail_from or "",
        recipients=tuple(envelope.rcpt_tos),
        subject=str(message["Subject"] or ""),
        message_id=str(message["Message-ID"] or ""),
        text=None if text is None else _content(text),
        html=None if html is None else _content(html),
        headers=tuple((name, str(value)) for name, value in message.items()),
        encrypted=encrypted,
        login=credentials.login.decode() if isinstance(credentials, LoginPassword) else None,
    )


def _content(part: MIMEPart) -> str:
    content: str = part.get_content()
    return content.replace("\r\n", "\n")  # lines end so on the wire only


def _authenticator(login: tuple[str, str]) -> Any:  # noqa: ANN401 - aiosmtpd's type is not public
    def authenticate(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, credentials: LoginPassword
    ) -> AuthResult:
        given = (credentials.login.decode(), credentials.password.decode())
        return AuthResult(success=given == login, handled=False, auth_data=credentials)

    return authenticate
