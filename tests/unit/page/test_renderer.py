"""How the page is rendered, and what is said of templates that do not."""

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fulfillment_api.spec import Amount
from fulfillment_page.buyer_state import BuyerState, Item, OrderView
from fulfillment_page.languages import Languages
from fulfillment_page.renderer import Logo, PageRenderer, Shop, json_of, read_logo, readable_on
from fulfillment_runtime.fatal_errors import SettingsError

LANGUAGES = Languages(None)
SHOP = Shop(name="Lamp & <Oil>", url="https://shop.example/?a=1&b=2", color="#0b57d0", dark_color="#8ab4f8")
EUR = Amount(total=123456, currency="eur", display="1234.56 EUR")
VIEW = OrderView(
    state=BuyerState.FULFILLED,
    reference="cs-bajcqkh2d27p2zjzzhfdgdxt3e",
    items=(Item(description="<script>alert(1)</script>", quantity=2, amount=EUR),),
    shipping=None,
    total=EUR,
    refunded=None,
)


def renderer(shop: Shop = SHOP, templates: str | None = None) -> PageRenderer:
    return PageRenderer(shop, LANGUAGES, templates)


def test_what_others_wrote_is_text() -> None:
    """A product's name, or the shop's, is never taken for HTML."""
    page = renderer().order(VIEW, LANGUAGES.choose("en", ""), "/order/events?session_id=cs&locale=en")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Lamp &amp; &lt;Oil&gt;" in page


@pytest.mark.parametrize(("tag", "amount"), [("en", "1,234.56 EUR"), ("de", "1.234,56 EUR"), ("ja", "1,234.56 EUR")])
def test_amounts_are_written_as_the_language_writes_numbers(tag: str, amount: str) -> None:
    """In HTML and in JSON."""
    language = LANGUAGES.choose(tag, "")
    assert f"<td>{amount}</td>" in renderer().order(VIEW, language, "")
    assert json_of(VIEW, language)["total"] == {"total": 123456, "currency": "eur", "display": amount}


def test_a_part_that_was_given_back_in_another_currency_has_no_amount() -> None:
    """A row says so, in HTML, and a field of its own in JSON."""
    view, language = replace(VIEW, is_refunded_in_part=True), LANGUAGES.choose("de", "")
    assert "<td>teilweise</td>" in renderer().order(view, language, "")
    assert "teilweise" not in renderer().order(VIEW, language, "")
    told = [(made["refunded"], made["refundedInPart"]) for made in (json_of(view, language), json_of(VIEW, language))]
    assert told == [(None, True), (None, False)]


def test_the_policy_lets_the_pages_own_script_and_style_run_and_nothing_else() -> None:
    """They are named by their hashes; nothing else stands inline, and nothing comes from elsewhere."""
    made = renderer(Shop(name="S", color="#ffcc00", dark_color="#ffcc00", logo=Logo(b"<svg/>", "image/svg+xml")))
    for page in (
        made.order(VIEW, LANGUAGES.choose("en", ""), "/order/events"),
        made.unknown(LANGUAGES.choose("de", "")),
    ):
        for element in ("script", "style"):
            (content,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"{element}-src 'sha256-{digest}'" in made.content_security_policy
        assert not re.findall(r'style="| on[a-z]+="|javascript:', page)
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    assert "default-src 'none'" in made.content_security_policy
    assert "frame-ancestors 'none'" in made.content_security_policy


@pytest.mark.parametrize("state", BuyerState)
def test_a_page_follows_its_order_until_that_is_final(state: BuyerState) -> None:
    """With JavaScript by events; without, by a link, and where it mostly goes on soon by itself."""
    view = OrderView(state=state, reference="cs-a", items=(), shipping=None, total=None, refunded=None)
    page = renderer().order(view, LANGUAGES.choose("en", ""), "/order/events")
    follows = not state.is_final
    assert ('data-events="/order/events"' in page) is follows
    assert ('<a href="">Look again</a>' in page) is follows
    assert ('<noscript><meta http-equiv="refresh"' in page) is (state in {"received", "preparing", "updating"})


def test_the_page_without_an_order_is_not_loaded_anew() -> None:
    """It has a link to look again, beside what its script does for a while."""
    page = renderer().unknown(LANGUAGES.choose("en", ""))
    assert '<a href="">Look again</a>' in page
    assert "http-equiv" not in page


def test_any_colour_of_a_shop_is_readable() -> None:
    """What is written on it is black or white, at 4.5 to 1 or more (WCAG 2.2, 1.4.3)."""

    def luminance(color: str) -> float:
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for color in (f"#{red:02x}{green:02x}{blue:02x}" for red in STEPS for green in STEPS for blue in STEPS):
        dark, light = sorted((luminance(color), luminance(readable_on(color))))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, color


STEPS = range(0, 256, 15)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("order.html", "{% if %}", r"order\.html, line 1"),
        ("unknown.html", "{{ nothing_of_that_name }}", "'nothing_of_that_name' is undefined"),
        ("order_parts.html", "{{ _('Back to %(shop)s', shp=shop.name) }}", r"language \w\w is broken: KeyError 'shop'"),
        ("style.css", "{{ colour }}", "'colour' is undefined"),
    ],
)
def test_a_broken_template_is_said_at_start(tmp_path: Path, name: str, content: str, says: str) -> None:
    """Not to a buyer."""
    (tmp_path / name).write_text(content)
    with pytest.raises(SettingsError, match=says):
        renderer(templates=str(tmp_path))


def test_a_shops_template_takes_the_place_of_ours(tmp_path: Path) -> None:
    """One of them, or more."""
    (tmp_path / "unknown.html").write_text("<p>Ahoy, {{ shop.name }}</p>")
    made = renderer(templates=str(tmp_path))
    assert made.unknown(LANGUAGES.choose("en", "")) == "<p>Ahoy, Lamp &amp; &lt;Oil&gt;</p>"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("logo.exe", b"", "must end in .svg"),
        ("logo.png", b"x" * 102_401, "has 102401 bytes"),
        ("logo.svg", None, "cannot be read"),
    ],
)
def test_a_wrong_logo_is_said_at_start(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    """With what to do."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=says):
        read_logo(str(tmp_path / name))
