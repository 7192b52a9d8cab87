"""The mail catcher over a real socket, sent to by the client that the operator uses."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fulfillment_local.mailbox import Mailbox, MailTimeoutError, Tls, mailbox
from fulfillment_runtime.fatal_errors import UnavailableError


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as running:
        yield running


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make the server's TLS context, and that of a client who trusts it."""
    certificate, key = _certificate(tmp_path_factory.mktemp("tls"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


async def test_parts(box: Mailbox) -> None:
    """A mail is kept with its envelope, its headers, and both its parts decoded."""
    await _send(box, _mail("ada@example.com", subject="Zahlung für Ihre Bestellung"))
    (mail,) = await box.wait_for()
    assert mail.sender == "orders@example.com"
    assert mail.recipients == ("ada@example.com",)
    assert mail.subject == "Zahlung für Ihre Bestellung"
    assert mail.message_id == "<1@example.com>"
    assert mail.text == "Please order again — thank you.\n"
    assert mail.html == "<p>Please order again.</p>\n"
    assert ("Reply-To", "help@example.com") in mail.headers
    assert (mail.encrypted, mail.login) == (False, None)


async def test_a_mail_without_html(box: Mailbox) -> None:
    """A plain mail has no HTML part."""
    message = EmailMessage()
    message["From"], message["To"] = "orders@example.com", "ada@example.com"
    message.set_content("Hello")
    await _send(box, message)
    assert [(mail.text, mail.html, mail.subject) for mail in box.mails] == [("Hello\n", None, "")]


async def test_waiting(box: Mailbox) -> None:
    """Who waits for a mail is woken by it, and by no one else's."""
    waiting = asyncio.create_task(box.wait_for(2, recipient="ada@example.com"))
    for recipient in ("ada@example.com", "bob@example.com", "ada@example.com"):
        assert not waiting.done()
        await _send(box, _mail(recipient))
    assert len(await waiting) == 2
    assert len(box.mails) == 3


async def test_waiting_in_vain(box: Mailbox) -> None:
    """A mail that does not come is an error that says how many did."""
    with pytest.raises(MailTimeoutError, match=r"0 of 1 mails to ada@example\.com came within 0\.01 s"):
        await box.wait_for(recipient="ada@example.com", seconds=0.01)


async def test_a_refused_recipient(box: Mailbox) -> None:
    """A recipient can be refused for good, and others are not."""
    box.trouble.refused.add("gone@example.com")
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as caught:
        await _send(box, _mail("gone@example.com"))
    assert [refusal.code for refusal in caught.value.recipients] == [550]
    await _send(box, _mail("ada@example.com"))
    assert [recipient for mail in box.mails for recipient in mail.recipients] == ["ada@example.com"]


async def test_deferrals(box: Mailbox) -> None:
    """So many mails as asked for are answered 451, and then it is well again."""
    box.trouble.deferrals = 2
    codes = [await _code(_send(box, _mail("ada@example.com"))) for _ in range(3)]
    assert (codes, len(box.mails)) == ([451, 451, None], 1)


async def test_hanging() -> None:
    """A server that hangs keeps the sender waiting, and still ends at once."""
    async with asyncio.timeout(60):
        async with mailbox() as box:
            box.trouble.hang = True
            with pytest.raises(aiosmtplib.SMTPException):
                await _send(box, _mail("ada@example.com"), timeout=0.2)
            sending = asyncio.create_task(_code(_send(box, _mail("ada@example.com"))))
            await asyncio.sleep(0)
        await asyncio.wait([sending])
    assert box.mails == ()


@pytest.mark.parametrize(("tls", "options"), [(Tls.STARTTLS, {"start_tls": True}), (Tls.IMPLICIT, {"use_tls": True})])
async def test_tls_and_login(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], tls: Tls, options: dict[str, Any]
) -> None:
    """Over either kind of TLS, a mail is taken from who knows the password, and from no one else."""
    server, client = contexts
    async with mailbox(tls=tls, certificate=server, login=("shop", "right")) as box:
        send = {"tls_context": client, **options}
        assert await _code(_send(box, _mail("ada@example.com"), username="shop", password="wrong", **send)) == 535
        assert await _code(_send(box, _mail("ada@example.com"), **send)) == 530
        await _send(box, _mail("ada@example.com"), username="shop", password="right", **send)
    assert [(mail.encrypted, mail.login) for mail in box.mails] == [(True, "shop")]


async def test_starttls_is_required(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """With STARTTLS asked for, no mail is taken in the clear."""
    async with mailbox(tls=Tls.STARTTLS, certificate=contexts[0]) as box:
        assert await _code(_send(box, _mail("ada@example.com"), start_tls=False)) == 530
    assert box.mails == ()


async def test_port_taken(box: Mailbox) -> None:
    """A port that is taken is one clear line."""
    with pytest.raises(UnavailableError, match=f"the mail catcher cannot listen on 127.0.0.1:{box.port}"):
        async with mailbox(port=box.port):
            pass


async def test_an_idle_connection_does_not_hold_the_end() -> None:
    """The catcher ends although a client keeps its connection open."""
    async with asyncio.timeout(60):
        async with mailbox() as box:
            reader, writer = await asyncio.open_connection(box.host, box.port)
            assert (await reader.readline()).startswith(b"220 ")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


def _mail(recipient: str, *, subject: str = "Your payment failed") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Shop <orders@example.com>", recipient, subject
    message["Message-ID"], message["Reply-To"] = "<1@example.com>", "help@example.com"
    message.set_content("Please order again — thank you.")
    message.add_alternative("<p>Please order again.</p>", subtype="html")
    return message


async def _send(box: Mailbox, message: EmailMessage, **options: Any) -> None:
    defaults = {"start_tls": False, "timeout": 10}
    await aiosmtplib.send(message, hostname=box.host, port=box.port, **(defaults | options))


async def _code(sending: Any) -> int | None:
    """Return the code with which the mail was refused."""
    try:
        await sending
    except aiosmtplib.SMTPResponseException as error:
        return error.code
    except aiosmtplib.SMTPRecipientsRefused as error:
        return error.recipients[0].code
    except aiosmtplib.SMTPException:
        return 0
    return None


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for the loopback address that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail catcher")])
    now = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
