"""What the mails to a customer say: composed from templates. No I/O but to read these.

No message of this module holds an address.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from enum import StrEnum, unique
from functools import cache

import idna
import jinja2

from fulfillment_api.spec import Amount
from fulfillment_api.status import LineItem
from fulfillment_operator.checkout.collected import Collected, Customer, CustomField, ShippingCost, TotalDetails
from fulfillment_operator.checkout.session import CheckoutSession, SessionPayment, SessionStatus
from fulfillment_operator.mail.money import amounts
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.localized_money import localized


@dataclass(frozen=True, slots=True)
class Shop:
    """Who the mail is from."""

    name: str
    url: str | None
    sender: str
    """An address, or a name and an address: `Shop <orders@shop.example>`."""


@unique
class Occasion(StrEnum):
    """What a mail is about. The value is the name of its templates."""

    PAYMENT_FAILED = "payment_failed"
    """The payment failed: the customer is asked for a new order."""
    FULFILLED = "fulfilled"
    """The order is fulfilled: a receipt."""


class Composer:
    """Composes the mails to a customer."""

    def __init__(self, shop: Shop, templates: str | None) -> None:
        """Load the templates, and render each once.

        Args:
            shop: who the mail is from.
            templates: a folder whose `payment_failed.subject.txt`, `.txt` and `.html`, and those of the other
                occasions, replace ours.

        Raises:
            SettingsError: the sender is no address, or a template does not render.
        """
        sender = parse_address(*parseaddr(shop.sender))
        if sender is None or not sender.domain:
            raise SettingsError(f"FULFILLMENT_MAIL_FROM {shop.sender!r} is no mail address")
        self._sender = sender
        self._shop = shop
        self._templates = _environment(jinja2.FileSystemLoader(templates)) if templates else _our_environment()
        try:
            for occasion in Occasion:
                to, now = Address("A", "a", "shop.example"), datetime.min.replace(tzinfo=UTC)
                self.compose(occasion, "example", _EXAMPLE, to, now)
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
        received = session.payment_intent.received if session.payment_intent else None
        facts: dict[str, object] = {
            "shop_name": self._shop.name,
            "shop_url": self._shop.url,
            "customer_name": session.customer.name if session.customer else None,
            "received": localized(received.total, received.currency, session.locale) if received else None,
            "locale": session.locale,
            "line_items": session.line_items,
            "custom_fields": session.collected.custom_fields,
            **amounts(session),
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


def _environment(*before_ours: jinja2.BaseLoader) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([*before_ours, jinja2.PackageLoader("fulfillment_operator.mail")]),
        autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
    )


@cache  # a process compiles our own templates once, whoever composes
def _our_environment() -> jinja2.Environment:
    return _environment()


def parse_address(name: str, address: str) -> Address | None:
    """Make an address of a name and an address that a person typed; None: it is none.

    A domain beyond ASCII is written as IDNA 2008 has it, which every mail server takes.
    """
    try:
        f"{name}{address}".encode()
        local, _, _ = address.rpartition("@")
        # The standard library parses letters beyond ASCII in a domain alone.
        parsed = Address(addr_spec="".join(each if each.isascii() else "a" for each in local) + address[len(local) :])
        username = parsed.username if local.isascii() else local
        domain = parsed.domain if parsed.domain.isascii() else idna.encode(parsed.domain, uts46=True).decode()
        return Address(" ".join(name.split()), username, domain) if username.isprintable() else None
    except Exception:  # noqa: BLE001 - the standard library's parser ends in errors of many kinds, some by mistake
        return None


_EXAMPLE = CheckoutSession(
    id="cs_test_example",
    mode="payment",
    status=SessionStatus.COMPLETE,
    payment=SessionPayment.UNPAID,
    line_items=(LineItem(id="li_example", description="Cotton T-shirt", quantity=1),),
    amount=Amount(total=1099, currency="usd", display="10.99 USD"),
    customer=Customer(email="a@shop.example", name="A"),
    shipping=None,
    locale="en",
    collected=Collected(
        shipping_cost=ShippingCost(amount_total=500),
        total_details=TotalDetails(amount_subtotal=599, amount_discount=100, amount_tax=100),
        custom_fields=(CustomField(key="engraving", type="text", label="Engraving", value="For A"),),
    ),
)
