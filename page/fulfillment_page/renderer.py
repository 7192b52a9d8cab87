"""Renders the page, as HTML and as JSON. No I/O but to read its templates and the logo, once."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2

from fulfillment_api.spec import Amount
from fulfillment_page.buyer_state import BuyerState, Item, OrderView
from fulfillment_page.languages import Language
from fulfillment_page.texts import N_, STATE_TEXTS, STEPS, UNKNOWN, StateText
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.localized_money import localized

LOGO_PATH = "/order/logo"
_LARGEST_LOGO = 100 * 1024
_LOGO_TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
_IN_PART = N_("in part")
"""Stands for an amount that was given back, and that is known in another currency than the buyer's alone."""
_DARK_TEXT, _LIGHT_TEXT = "#000000", "#ffffff"


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture."""

    content: bytes
    media_type: str

    @property
    def url(self) -> str:
        """Where the page has it; another picture has another address."""
        return f"{LOGO_PATH}?{hashlib.sha256(self.content).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Whose page it is."""

    name: str
    url: str | None = None
    """Where its buyers go on."""
    color: str
    """`#rrggbb`."""
    dark_color: str
    """The same on a dark page."""
    logo: Logo | None = None


class PageRenderer:
    """Renders the page of one shop."""

    def __init__(self, shop: Shop, languages: Iterable[Language], templates: str | None) -> None:
        """Load the templates, and render all that there is to render once, in each language.

        Args:
            shop: whose page it is.
            languages: all that it is shown in.
            templates: a folder whose templates replace ours of the same name; None: ours.

        Raises:
            SettingsError: a template, or a text of a catalogue, does not render.
        """
        self._shop = shop
        ours = jinja2.PackageLoader("fulfillment_page")
        self._templates = jinja2.Environment(
            loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader(templates), ours]) if templates else ours,
            autoescape=jinja2.select_autoescape(),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        try:
            self._style = self._load(
                "style.css",
                color=shop.color,
                on_color=readable_on(shop.color),
                dark_color=shop.dark_color,
                on_dark_color=readable_on(shop.dark_color),
            )
            self._script = self._load("script.js")
            for language in languages:
                self._try(language)
        except jinja2.TemplateError as error:
            where = f"{error.name}, line {error.lineno}: " if isinstance(error, jinja2.TemplateSyntaxError) else ""
            raise SettingsError(f"a template of the order page does not render: {where}{error.message}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"a template in {templates} cannot be read: {error}") from error

    @property
    def logo(self) -> Logo | None:
        """The shop's."""
        return self._shop.logo

    @property
    def content_security_policy(self) -> str:
        """What a browser may do with the page: run its one script, apply its one style, and ask this server alone."""
        return "; ".join(
            (
                "default-src 'none'",
                f"script-src '{_hash(self._script)}'",
                f"style-src '{_hash(self._style)}'",
                "img-src 'self' data:",
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        )

    def order(self, view: OrderView, language: Language, events_url: str) -> str:
        """Render the page of an order, which follows what its events tell."""
        text = STATE_TEXTS[view.state]
        live, brief = not view.state.is_final, view.state.is_brief
        facts = _facts(view, language)
        return self._render("order.html", language, text, **facts, events_url=events_url, live=live, brief=brief)

    def parts(self, view: OrderView, language: Language) -> str:
        """Render what changes of that page."""
        return self._render("order_parts.html", language, STATE_TEXTS[view.state], **_facts(view, language))

    def unknown(self, language: Language) -> str:
        """Render the page that shows no order, whatever the reason."""
        return self._render("unknown.html", language, UNKNOWN)

    def _try(self, language: Language) -> None:
        try:
            self.unknown(language)
            for view in _EXAMPLES:
                self.order(view, language, "/order/events")
                self.parts(view, language)
        except jinja2.TemplateError:
            raise
        except (KeyError, ValueError, TypeError) as error:
            raise SettingsError(
                f"a text or a template of the language {language.tag} is broken: {type(error).__name__} {error}"
            ) from error

    def _render(self, name: str, language: Language, text: StateText, **facts: object) -> str:
        return self._templates.get_template(name).render(
            facts,
            _=language.text,
            language=language,
            shop=self._shop,
            headline=language.text(text.headline),
            text=language.text(text.text),
            tone=text.tone,
            style=self._style,
            script=self._script,
        )

    def _load(self, name: str, **values: str) -> str:
        """Load what is the same in every page."""
        return self._templates.get_template(name).render(values).strip()


def json_of(view: OrderView, language: Language) -> dict[str, object]:
    """Tell of an order as JSON: amounts in the currency's smallest unit, and as people read them."""
    text = STATE_TEXTS[view.state]
    return {
        "state": view.state,
        "headline": language.text(text.headline),
        "message": language.text(text.text),
        "reference": view.reference,
        "items": [
            {"description": each.description, "quantity": each.quantity, "amount": _json_amount(each.amount, language)}
            for each in view.items
        ],
        "shipping": _json_amount(view.shipping, language),
        "total": _json_amount(view.total, language),
        "refunded": _json_amount(view.refunded, language),
        "refundedInPart": view.is_refunded_in_part,
    }


def json_of_unknown(language: Language) -> dict[str, object]:
    """Tell, as JSON, that there is no order to show, whatever the reason."""
    return {
        "state": "unknown",
        "headline": language.text(UNKNOWN.headline),
        "message": language.text(UNKNOWN.text),
    }


def read_logo(path: str) -> Logo:
    """Read the shop's logo.

    Raises:
        SettingsError: it cannot be read, is too large, or no picture.
    """
    kind = _LOGO_TYPES.get(Path(path).suffix.lower())
    if kind is None:
        raise SettingsError(f"FULFILLMENT_PAGE_LOGO names {path!r}: its name must end in {', '.join(_LOGO_TYPES)}")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"FULFILLMENT_PAGE_LOGO names {path!r}, which cannot be read: {error}") from error
    if len(content) > _LARGEST_LOGO:
        raise SettingsError(
            f"FULFILLMENT_PAGE_LOGO names {path!r}, which has {len(content)} bytes: at most {_LARGEST_LOGO}, since "
            "buyers load it on their phones"
        )
    return Logo(content, kind)


def readable_on(color: str) -> str:
    """Choose black or white, whichever contrasts more with a colour: always by more than 4.5 to 1.

    Args:
        color: `#rrggbb`.

    Source: WCAG 2.2, "relative luminance" and "contrast ratio".
    """
    red, green, blue = (_linear(int(color[place : place + 2], 16) / 255) for place in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return _DARK_TEXT if (luminance + 0.05) ** 2 > 0.05 * 1.05 else _LIGHT_TEXT


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - sRGB's own


def _facts(view: OrderView, language: Language) -> dict[str, object]:
    done = STATE_TEXTS[view.state].step
    return {
        "view": view,
        "items": [
            {"description": each.description, "quantity": each.quantity, "amount": _written(each.amount, language)}
            for each in view.items
        ],
        "shipping": _written(view.shipping, language),
        "total": _written(view.total, language),
        "refunded": _written(view.refunded, language)
        or (language.text(_IN_PART) if view.is_refunded_in_part else None),
        "steps": None if done is None else [(language.text(step), place < done) for place, step in enumerate(STEPS)],
        "done": done,
    }


def _written(amount: Amount | None, language: Language) -> str | None:
    return localized(amount.total, amount.currency, language.tag) if amount else None


def _json_amount(amount: Amount | None, language: Language) -> dict[str, object] | None:
    if amount is None:
        return None
    return {"total": amount.total, "currency": amount.currency, "display": _written(amount, language)}


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _example(state: BuyerState, items: tuple[Item, ...], amount: Amount | None) -> OrderView:
    return OrderView(state=state, reference="cs-example", items=items, shipping=amount, total=amount, refunded=amount)


_AMOUNT = Amount(total=1099, currency="usd", display="10.99 USD")
_EXAMPLES = (
    *(_example(state, (Item(description="T-shirt", quantity=2, amount=_AMOUNT),), _AMOUNT) for state in BuyerState),
    _example(BuyerState.RECEIVED, (Item(description=None, quantity=None, amount=None),), None),
    _example(BuyerState.RECEIVED, (), None),
    replace(_example(BuyerState.PREPARING, (), _AMOUNT), refunded=None, is_refunded_in_part=True),
)
"""What a template must be able to show."""
