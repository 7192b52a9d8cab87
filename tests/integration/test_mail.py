"""The mail about a failed payment, through a real SMTP server."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fulfillment_api.spec import Amount
from fulfillment_api.status import Reason
from fulfillment_local.credentials import make_credentials
from fulfillment_local.mailbox import Mailbox, Tls, mailbox
from fulfillment_operator.checkout.collected import Collected, Customer, CustomField, ShippingCost, TotalDetails
from fulfillment_operator.checkout.session import PaymentIntentStatus, SessionPayment
from fulfillment_operator.mail.composer import Composer, Shop
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.mail.smtp import Mailer, SmtpServer
from fulfillment_operator.settings import SmtpTls
from fulfillment_runtime.fatal_errors import SettingsError
from support.builders import make_intent, make_session

SHOP = Shop(name="Harbour Goods", url="https://shop.example", sender="Harbour Goods <orders@shop.example>")
FAILED = make_session(SessionPayment.UNPAID)
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
KEY, OTHER_KEY = "cs-aaaaaaaaaaaaaaaaaaaaaaaaaa", "cs-bbbbbbbbbbbbbbbbbbbbbbbbbb"


def mailer(
    box: Mailbox, *, timeout: float = 10, templates: str | None = None, receipts: bool = False, **server: Any
) -> Mailer:
    facts: dict[str, Any] = {
        "host": box.host,
        "port": box.port,
        "tls": SmtpTls.NONE,
        "username": None,
        "password": None,
        "timeout": timedelta(seconds=timeout),
        "trust": None,
    }
    smtp = SmtpServer(**{**facts, **server})
    return Mailer(Composer(SHOP, templates), smtp, lambda: NOW, receipts=receipts)


@pytest.mark.parametrize(
    ("received", "is_said"), [(None, True), (Amount(total=400, currency="usd", display="4.00 USD"), False)]
)
async def test_that_nothing_was_charged_is_said_when_it_is_true(received: Amount | None, is_said: bool) -> None:
    """A part of a bank transfer may have come before the payment failed."""
    intent = make_intent(PaymentIntentStatus.REQUIRES_PAYMENT_METHOD, has_error=True, received=received)
    async with mailbox() as box:
        await mailer(box).send_payment_failed(KEY, replace(FAILED, payment_intent=intent))
        (mail,) = box.mails
    for part in (mail.text, mail.html):
        assert part is not None
        assert ("Nothing was charged." in part) is is_said


async def test_the_mail_asks_for_a_new_order() -> None:
    """Text and HTML, from the shop to the customer, with what was ordered and where to order anew."""
    async with mailbox() as box:
        outcome = await mailer(box).send_payment_failed(KEY, FAILED)
        (mail,) = box.mails
    assert outcome == MailOutcome(Reason.MAIL_SENT, "the customer was asked to place a new order")
    assert mail.subject == "Your payment to Harbour Goods did not go through"
    headers = dict(mail.headers)
    assert headers["From"] == "Harbour Goods <orders@shop.example>"
    assert headers["To"] == "Jenny Rosen <jenny@example.com>"
    assert headers["Message-ID"] == f"<{KEY}.payment-failed@shop.example>"
    assert headers["Auto-Submitted"] == "auto-generated"
    for part in (mail.text, mail.html):
        assert part is not None
        for fact in ("Jenny Rosen", "10.99 USD", "Cotton T-shirt, navy, M", "https://shop.example", "Harbour Goods"):
            assert fact in part


async def test_a_receipt_tells_what_was_ordered() -> None:
    """Text and HTML, as the other mail, under a Message-ID of its own."""
    async with mailbox() as box:
        outcome = await mailer(box, receipts=True).send_receipt(KEY, make_session())
        (mail,) = box.mails
    assert outcome == MailOutcome(Reason.MAIL_SENT, "the customer was sent a receipt")
    assert mail.subject == "Your order at Harbour Goods is complete"
    assert dict(mail.headers)["Message-ID"] == f"<{KEY}.fulfilled@shop.example>"
    for part in (mail.text, mail.html):
        assert part is not None
        for fact in ("Jenny Rosen", "10.99 USD", "Cotton T-shirt, navy, M", "https://shop.example"):
            assert fact in part


async def test_receipts_are_off_unless_asked_for() -> None:
    """Stripe can send its own."""
    async with mailbox() as box:
        assert await mailer(box).send_receipt(KEY, make_session()) is None
        assert box.mails == ()


async def test_a_receipt_that_cannot_be_sent_is_not_promised_again() -> None:
    """Unlike the mail about a failed payment."""
    async with mailbox() as box:
        box.trouble.deferrals = 1
        assert await mailer(box, receipts=True).send_receipt(KEY, make_session()) == MailOutcome(
            Reason.MAIL_UNAVAILABLE, "the mail server put the mail off with 451; a receipt is not tried again"
        )


async def test_what_the_customer_entered_is_text_in_html() -> None:
    """A name with markup in it does not become markup, and a line break in it no header."""
    customer = Customer(email="jenny@example.com", name="<b>Jenny</b>\r\nBcc: all@example.com")
    async with mailbox() as box:
        await mailer(box).send_payment_failed(KEY, replace(FAILED, customer=customer))
        (mail,) = box.mails
    assert mail.html is not None
    assert "&lt;b&gt;Jenny&lt;/b&gt;" in mail.html
    assert mail.recipients == ("jenny@example.com",)
    assert "Bcc" not in dict(mail.headers)


def refuse(box: Mailbox) -> None:
    box.trouble.refused.add("jenny@example.com")


def defer(box: Mailbox) -> None:
    box.trouble.deferrals = 1


def defer_sender(box: Mailbox) -> None:
    box.trouble.sender_deferrals = 1


def hang(box: Mailbox) -> None:
    box.trouble.hang = True


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (refuse, MailOutcome(Reason.MAIL_REJECTED, "the mail server refused the customer's address with 550")),
        (defer, MailOutcome(Reason.MAIL_UNAVAILABLE, "the mail server put the mail off with 451; tried again")),
        (defer_sender, MailOutcome(Reason.MAIL_UNAVAILABLE, "the mail server answered 451; tried again")),
        (
            hang,
            MailOutcome(Reason.MAIL_UNAVAILABLE, "the mail server did not answer in time; tried again"),
        ),
    ],
)
async def test_what_the_mail_server_says_is_told_without_the_address(
    trouble: Callable[[Mailbox], None], expected: MailOutcome
) -> None:
    """A refusal is for good, a deferral and silence pass; the server's words, which quote the address, are not told."""
    async with mailbox() as box:
        trouble(box)
        timeout = 0.3 if trouble is hang else 10
        assert await mailer(box, timeout=timeout).send_payment_failed(KEY, FAILED) == expected
        assert box.mails == ()


@pytest.mark.parametrize(
    ("customer", "expected"),
    [
        (None, "Stripe has no e-mail address of the customer"),
        (Customer(name="Jenny Rosen"), "Stripe has no e-mail address of the customer"),
        (Customer(email="not an address"), "what Stripe has as the customer's e-mail address is none"),
        (Customer(email="@example.com"), "what Stripe has as the customer's e-mail address is none"),
        (Customer(email="jenny@example.com."), "what Stripe has as the customer's e-mail address is none"),
        (Customer(email="jé nny@example.com"), "what Stripe has as the customer's e-mail address is none"),
        (Customer(email="je\x85nny@example.com"), "what Stripe has as the customer's e-mail address is none"),
        (Customer(email="jenny@exämple..com"), "what Stripe has as the customer's e-mail address is none"),
        (Customer(email="jenny@[\x06"), "what Stripe has as the customer's e-mail address is none"),
        (
            Customer(email="jenny@example.com", name="\ud800"),
            "what Stripe has as the customer's e-mail address is none",
        ),
        (Customer(email="a@b\nBcc: c@d"), "what Stripe has as the customer's e-mail address is none"),
    ],
)
async def test_nobody_to_mail(customer: Customer | None, expected: str) -> None:
    """Without an address the order still ends, and says so."""
    async with mailbox() as box:
        outcome = await mailer(box).send_payment_failed(KEY, replace(FAILED, customer=customer))
        assert outcome == MailOutcome(Reason.NO_EMAIL_ADDRESS, expected)
        assert box.mails == ()


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("jenny@exämple.com", "jenny@xn--exmple-cua.com"),
        ("jenny@STRASSE.straße.de", "jenny@strasse.xn--strae-oqa.de"),
        ("jenny@例え。テスト", "jenny@xn--r8jz45g.xn--zckzah"),
        ("jenny@xn--exmple-cua.com", "jenny@xn--exmple-cua.com"),
    ],
)
async def test_a_customer_at_an_internationalised_domain_is_told(email: str, expected: str) -> None:
    """By the domain's ASCII form, of IDNA 2008: the mail server needs no extension, and ß is not another's domain."""
    async with mailbox() as box:
        customer = Customer(email=email, name="Jenny Rosen")
        outcome = await mailer(box).send_payment_failed(KEY, replace(FAILED, customer=customer))
        (mail,) = box.mails
    assert outcome.reason is Reason.MAIL_SENT
    assert mail.recipients == (expected,)
    assert dict(mail.headers)["To"] == f"Jenny Rosen <{expected}>"


async def test_an_address_that_the_mail_server_does_not_take_is_not_tried_for_ever() -> None:
    """Letters beyond ASCII before the @ need an extension of SMTP that not every server has."""
    async with mailbox() as box:
        customer = Customer(email="jénny@exämple.com", name="Jenny Rosen")
        assert await mailer(box).send_payment_failed(KEY, replace(FAILED, customer=customer)) == MailOutcome(
            Reason.MAIL_REJECTED,
            "the customer's address has letters beyond ASCII before its @, which the mail server does not take "
            "(no SMTPUTF8)",
        )
        assert box.mails == ()


async def test_letters_beyond_ascii_before_the_at_need_smtputf8() -> None:
    """A mail server that has it is handed the mail."""

    async def modern(said: str) -> str:
        return "250-shop\r\n250 SMTPUTF8" if said == "EHLO" else SMTP.get(said, "250 ok")

    customer = Customer(email="jénny@exämple.com", name="Jenny Rosen")
    async with smtp_server(modern) as box:
        outcome = await mailer(box).send_payment_failed(KEY, replace(FAILED, customer=customer))
    assert outcome.reason is Reason.MAIL_SENT


@asynccontextmanager
async def smtp_server(answers: Callable[[str], Awaitable[str]]) -> AsyncIterator[Mailbox]:
    """Answer each command, and the mail itself as `.`, by a line of SMTP; by silence, if that is empty."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = "HELLO"
        with closing(writer), suppress(ConnectionError):
            while said:
                answer = await answers(said)
                writer.write(f"{answer}\r\n".encode() if answer else b"")
                if said == "DATA":
                    while await reader.readline() not in {b".\r\n", b""}:
                        pass
                    said = "."
                else:
                    said = (await reader.readline()).decode()[:4].strip()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield Mailbox("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


SMTP = {"HELLO": "220 hello", "DATA": "354 go on"}


async def test_one_mail_takes_no_longer_than_it_may() -> None:
    """However many commands it consists of: a server that dawdles at each holds no order up."""

    async def late(said: str) -> str:
        await asyncio.sleep(0.2)
        return SMTP.get(said, "250 ok")

    async with smtp_server(late) as box:
        assert await mailer(box, timeout=0.5).send_payment_failed(KEY, FAILED) == MailOutcome(
            Reason.MAIL_UNAVAILABLE, "the mail server did not answer in time; tried again"
        )


async def test_a_mail_that_was_taken_is_sent_however_the_server_takes_leave() -> None:
    """One that says nothing more has the mail all the same: it is not sent again."""

    async def rude(said: str) -> str:
        return "" if said == "QUIT" else SMTP.get(said, "250 ok")

    async with smtp_server(rude) as box:
        outcome = await mailer(box, timeout=5).send_payment_failed(KEY, FAILED)
    assert outcome.reason is Reason.MAIL_SENT


async def test_no_mail_goes_before_the_one_before_it_is_noted() -> None:
    """So a kill between a mail and its note doubles one mail at most, however many orders are worked on."""
    async with mailbox() as box:
        sender = mailer(box)
        async with AsyncExitStack() as noted:
            await sender.send_payment_failed(KEY, FAILED, noted)
            second = asyncio.create_task(sender.send_payment_failed(OTHER_KEY, FAILED, noted))
            done, _ = await asyncio.wait([second], timeout=0.3)
            assert (done, len(box.mails)) == (set(), 1)
        assert (await second).reason is Reason.MAIL_SENT
        assert len(box.mails) == 2


async def test_what_waited_behind_a_mail_that_got_no_answer_waits_no_second_time() -> None:
    """A mail server that hangs holds up as many orders as there are workers for its deadline, and not for each's."""
    async with mailbox() as box:
        box.trouble.hang = True
        sender = mailer(box, timeout=3)
        outcomes = await asyncio.gather(*(sender.send_payment_failed(KEY, FAILED) for _ in range(8)))
        assert {outcome.reason for outcome in outcomes} == {Reason.MAIL_UNAVAILABLE}
        assert box.trouble.hung == 1


async def test_what_waited_behind_a_connection_that_got_no_answer_waits_no_second_time() -> None:
    """A server, or a firewall, that swallows connections holds up as many orders as are connecting, once."""
    over = asyncio.Event()

    async def silent(_said: str) -> str:
        await over.wait()
        return ""

    async with smtp_server(silent) as box:
        sender, began = mailer(box, timeout=3), asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(*(sender.send_payment_failed(KEY, FAILED) for _ in range(12)))
        took = asyncio.get_running_loop().time() - began
        over.set()
    assert {outcome.reason for outcome in outcomes} == {Reason.MAIL_UNAVAILABLE}
    assert took < 9  # of 18 that six pairs would take


async def test_no_more_connections_are_open_than_one_mail_and_the_next_one_need() -> None:
    """A mail server that takes few of one client would refuse the others, and a receipt is not tried again."""
    at_once, most = 0, 0

    async def limited(said: str) -> str:
        nonlocal at_once, most
        at_once += said == "HELLO"
        most = max(most, at_once)
        at_once -= said == "QUIT"
        return SMTP.get(said, "250 ok")

    async with smtp_server(limited) as box:
        sender = mailer(box, timeout=20)
        outcomes = await asyncio.gather(*(sender.send_payment_failed(KEY, FAILED) for _ in range(12)))
    assert {each.reason for each in outcomes} == {Reason.MAIL_SENT}
    assert most == 2


async def test_no_mail_server(unused_tcp_port: int) -> None:
    """A refused connection passes."""
    outcome = await mailer(Mailbox("127.0.0.1", unused_tcp_port)).send_payment_failed(KEY, FAILED)
    assert outcome == MailOutcome(
        Reason.MAIL_UNAVAILABLE, "the mail server cannot be reached (SMTPConnectError); tried again"
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A mail server's context, and one that believes its certificate."""
    made = make_credentials(tmp_path_factory.mktemp("certificates"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(made.server_certificate, made.server_key)
    return server, ssl.create_default_context(cafile=str(made.ca))


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
TLS = [(SmtpTls.STARTTLS, Tls.STARTTLS), (SmtpTls.TLS, Tls.IMPLICIT)]


@pytest.mark.parametrize(("ours", "theirs"), TLS)
async def test_mail_is_encrypted(certificates: Contexts, ours: SmtpTls, theirs: Tls) -> None:
    """By STARTTLS or from the first byte."""
    server, trust = certificates
    async with mailbox(tls=theirs, certificate=server) as box:
        await mailer(box, tls=ours, trust=trust).send_payment_failed(KEY, FAILED)
        assert [mail.encrypted for mail in box.mails] == [True]


@pytest.mark.parametrize(("ours", "theirs"), TLS)
async def test_a_server_that_is_not_believed_gets_no_mail(certificates: Contexts, ours: SmtpTls, theirs: Tls) -> None:
    """The certificate is checked: a buyer's address goes to no stranger."""
    server, _ = certificates
    async with mailbox(tls=theirs, certificate=server) as box:
        assert await mailer(box, tls=ours).send_payment_failed(KEY, FAILED) == MailOutcome(
            Reason.MAIL_UNAVAILABLE,
            "the mail server's certificate is not trusted: it is expired, of another host, or self-signed; tried again",
        )
        assert box.mails == ()


async def test_a_server_without_starttls_gets_no_mail() -> None:
    """The message names the setting to mend, for that is our default."""
    async with mailbox() as box:
        assert await mailer(box, tls=SmtpTls.STARTTLS).send_payment_failed(KEY, FAILED) == MailOutcome(
            Reason.MAIL_UNAVAILABLE,
            "the mail server offers no STARTTLS: set FULFILLMENT_SMTP_TLS (mail.smtp.tls) to what it does offer; "
            "tried again",
        )
        assert box.mails == ()


async def test_a_wrong_login_waits_for_a_person(certificates: Contexts) -> None:
    """The mail is tried again, and the message names the settings to mend."""
    server, trust = certificates
    async with mailbox(login=("shop", "right"), tls=Tls.STARTTLS, certificate=server) as box:
        login: dict[str, Any] = {"tls": SmtpTls.STARTTLS, "trust": trust, "username": "shop"}
        assert await mailer(box, **login, password="wrong").send_payment_failed(KEY, FAILED) == MailOutcome(
            Reason.MAIL_UNAVAILABLE,
            "the mail server refused the login with 535: mend FULFILLMENT_SMTP_USERNAME (mail.smtp.existingSecret) and "
            "_PASSWORD; tried again",
        )
        assert (
            await mailer(box, **login, password="right").send_payment_failed(KEY, FAILED)
        ).reason is Reason.MAIL_SENT
        assert box.mails[0].login == "shop"


async def test_own_templates_may_name_every_amount(tmp_path: Path) -> None:
    """Each is there at the start, too, when templates are tried."""
    names = ("amount", "merchant_amount", "subtotal", "discount", "tax", "shipping", "locale")
    asked = "".join(f"{name}={{{{ {name} }}}};" for name in names)
    fields = "{% for field in custom_fields %}{{ field.label }}: {{ field.value }}{% endfor %}"
    (tmp_path / "fulfilled.txt").write_text(f"{asked}{fields}")
    session = make_session(
        presentment=Amount(total=1634, currency="jpy", display="1634 JPY"),
        locale="de",
        collected=Collected(
            shipping_cost=ShippingCost(amount_total=500),
            total_details=TotalDetails(amount_subtotal=599, amount_discount=100, amount_tax=100),
            custom_fields=(CustomField(key="engraving", type="text", label="Engraving", value="For Ada"),),
        ),
    )
    async with mailbox() as box:
        await mailer(box, templates=str(tmp_path), receipts=True).send_receipt(KEY, session)
        (mail,) = box.mails
    assert mail.text is not None
    assert mail.text.strip() == (
        "amount=1.634 JPY;merchant_amount=10,99 USD;subtotal=5,99 USD;discount=1,00 USD;tax=1,00 USD;"
        "shipping=5,00 USD;locale=de;Engraving: For Ada"
    )


async def test_own_templates_take_the_place_of_ours(tmp_path: Path) -> None:
    """A template of the same name replaces ours; the others stay."""
    (tmp_path / "payment_failed.subject.txt").write_text("Betalingen mislyktes: {{ amount }}\n")
    async with mailbox() as box:
        await mailer(box, templates=str(tmp_path)).send_payment_failed(KEY, FAILED)
        (mail,) = box.mails
    assert mail.subject == "Betalingen mislyktes: 10.99 USD"
    assert mail.text is not None
    assert "thank you for your order" in mail.text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ amont }}", "'amont' is undefined"),
        (
            "{% if %}",
            "payment_failed.txt, line 1: Expected an expression, got 'end of statement block'",
        ),
    ],
)
def test_a_template_that_does_not_render_is_found_at_start(tmp_path: Path, template: str, message: str) -> None:
    """One clear line, before any customer is waiting."""
    (tmp_path / "payment_failed.txt").write_text(template)
    with pytest.raises(SettingsError) as caught:
        Composer(SHOP, str(tmp_path))
    assert caught.value.message == f"a mail template does not render: {message}"


def test_a_template_that_is_no_text_is_found_at_start(tmp_path: Path) -> None:
    """As one that was saved in another encoding than UTF-8."""
    (tmp_path / "payment_failed.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"a mail template in .* cannot be read: 'utf-8' codec can't decode"):
        Composer(SHOP, str(tmp_path))


async def test_a_template_that_fails_for_one_order_waits_for_a_person(tmp_path: Path) -> None:
    """What renders for the trial order may fail for another: that mail is tried again, and the message says why."""
    (tmp_path / "payment_failed.txt").write_text("{{ line_items[0].description.upper() }}")
    async with mailbox() as box:
        nameless = replace(FAILED, line_items=())
        outcome = await mailer(box, templates=str(tmp_path)).send_payment_failed(KEY, nameless)
        assert outcome.reason is Reason.MAIL_UNAVAILABLE
        assert outcome.message.startswith("a mail template does not render for this order: ")
        assert box.mails == ()


async def test_whatever_a_template_does_holds_no_order(tmp_path: Path) -> None:
    """It can raise anything, and its words could quote the customer: only the kind of failure is told."""
    (tmp_path / "fulfilled.txt").write_text("{% if customer_name %}{{ 7 + customer_name[1:] }}{% endif %}")
    async with mailbox() as box:
        with pytest.raises(SettingsError, match="fails with TypeError"):  # found at the start
            mailer(box, templates=str(tmp_path))
        (tmp_path / "fulfilled.txt").write_text('{% if customer_name != "A" %}{{ 7 + customer_name }}{% endif %}')
        sent = await mailer(box, templates=str(tmp_path), receipts=True).send_receipt(KEY, make_session())
    assert sent == MailOutcome(
        Reason.MAIL_UNAVAILABLE,
        "a mail template does not render for this order: fulfilled.txt fails with TypeError; "
        "a receipt is not tried again",
    )


@pytest.mark.parametrize("sender", ["Harbour Goods", "@shop.example", "orders@"])
def test_a_sender_that_is_no_address_is_found_at_start(sender: str) -> None:
    """One clear line."""
    with pytest.raises(SettingsError, match=rf"FULFILLMENT_MAIL_FROM \(mail.from\) '{sender}' is no mail address"):
        Composer(Shop(name=SHOP.name, url=SHOP.url, sender=sender), None)
