"""In which language a visitor reads the page."""

from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from structlog.testing import capture_logs

from fulfillment_page.buyer_state import BuyerState
from fulfillment_page.languages import Languages
from fulfillment_page.texts import STATE_TEXTS
from fulfillment_runtime.fatal_errors import SettingsError
from support.repository import ROOT

PACKAGE = ROOT / "page/fulfillment_page"
HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'


def po(message: str, text: str, flag: str = "") -> str:
    return f'{HEADER}{flag}msgid "{message}"\nmsgstr "{text}"\n'


@pytest.mark.parametrize(
    ("wanted", "accept", "expected"),
    [
        (None, "", "en"),
        (None, "de", "de"),
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "nl,fr-CA;q=0.7,en;q=0.3", "fr"),
        (None, "en;q=0.3,ja;q=0.9", "ja"),
        (None, "es;q=0,de;q=0.1", "de"),
        (None, "DE", "de"),
        (None, "tlh", "en"),
        (None, "*", "en"),
        (None, "de;q=x,;;q=,,fr", "fr"),
        (None, "x" * 10_000, "en"),
        ("fr", "de", "fr"),
        ("ja-JP", "de", "ja"),
        ("pt_BR", "de", "de"),
        ("../../etc", "de", "de"),
        ("", "es", "es"),
        ("ja" + "-x" * 30_000, "de", "ja"),
    ],
)
def test_the_best_language_is_chosen(wanted: str | None, accept: str, expected: str) -> None:
    """The one that the address names, else what the browser asks for, else English."""
    assert Languages(None).choose(wanted, accept).tag == expected


def test_every_text_is_translated_into_every_language() -> None:
    """What templates and code say is what the catalogues have, all of it, and nothing besides."""
    method_map = [("**.py", "python"), ("**.html", "jinja2.ext:babel_extract")]
    used = {str(message) for _, _, message, _, _ in extract_from_dir(PACKAGE, method_map)}
    assert len(used) > 30
    for file in (PACKAGE / "locales").iterdir():
        with file.open("rb") as content:
            catalog = read_po(content)
        assert {str(each.id) for each in catalog if each.id} == used, file.name
        assert all(each.string for each in catalog), file.name


@pytest.mark.parametrize(
    ("tag", "charged"),
    [("en", "charged"), ("de", "abgebucht"), ("es", "cobrado"), ("fr", "débité"), ("ja", "請求")],
)
def test_a_payment_that_ended_is_not_said_to_have_charged_nothing(tag: str, charged: str) -> None:
    """A part of a bank transfer may have come; where a payment method was saved it is said."""
    language = Languages(None).choose(tag, "")
    said = {state for state, text in STATE_TEXTS.items() if charged in language.text(text.text)}
    assert BuyerState.SAVED in said
    assert said.isdisjoint({BuyerState.PAYMENT_FAILED, BuyerState.PAYMENT_CANCELED})


def test_a_shop_replaces_texts_and_adds_languages(tmp_path: Path) -> None:
    """A text that it does not have is ours, or else English; a language from right to left says so."""
    (tmp_path / "de.po").write_text(po("Total", "Summe"))
    (tmp_path / "en.po").write_text(po("Total", "Grand total"))
    (tmp_path / "ar.po").write_text(po("Total", "المجموع"))
    (tmp_path / "pt-BR.po").write_text(po("Back to %(shop)s", "Voltar para %(shop)s", "#, python-format\n"))
    (tmp_path / "notes.txt").write_text("no catalogue")
    languages = Languages(str(tmp_path))

    german, english, arabic, brazilian = (languages.choose(tag, "") for tag in ("de", "en", "ar", "pt-br"))

    assert (german.text("Total"), german.text("Item")) == ("Summe", "Artikel")
    assert (english.text("Total"), english.text("Item")) == ("Grand total", "Item")
    assert (arabic.text("Total"), arabic.text("Item"), arabic.direction) == ("المجموع", "Item", "rtl")
    assert brazilian.text("Back to %(shop)s", shop="A & B") == "Voltar para A & B"
    assert brazilian.tag == "pt-BR"


def test_what_a_region_lacks_is_that_of_its_language(tmp_path: Path) -> None:
    """The shop's own text first, then ours: a single text for Austria makes the page English for nobody there."""
    (tmp_path / "de_AT.po").write_text(po("Total", "Endsumme"))
    (tmp_path / "de.po").write_text(po("Total", "Summe") + '\nmsgid "Item"\nmsgstr "Position"\n')
    (tmp_path / "fr_CA.po").write_text(po("Total", "Montant"))
    (tmp_path / "en.po").write_text(po("Total", "Grand total"))
    (tmp_path / "en_GB.po").write_text(po("Item", "Article"))
    languages = Languages(str(tmp_path))

    austrian, german, canadian, british = (languages.choose(tag, "") for tag in ("de-AT", "de", "fr-CA", "en-GB"))

    assert [austrian.text(each) for each in ("Total", "Item", "Payment")] == ["Endsumme", "Position", "Zahlung"]
    assert [german.text(each) for each in ("Total", "Item", "Payment")] == ["Summe", "Position", "Zahlung"]
    assert (canadian.tag, canadian.text("Total"), canadian.text("Payment")) == ("fr-CA", "Montant", "Paiement")
    assert [british.text(each) for each in ("Total", "Item", "Payment")] == ["Grand total", "Article", "Payment"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("de.po", "this is no catalogue\n", r"de\.po is broken"),
        ("de.po", po("Total", "Summe").replace('"Summe"', '"Summe'), r"de\.po is broken"),
        (
            "de.po",
            po("Back to %(shop)s", "Zu %(laden)s", "#, python-format\n"),
            r"de\.po is broken: the text for 'Back",
        ),
        ("klingon.po", po("Total", "Hoch"), r"klingon\.po is of no known language"),
    ],
)
def test_a_broken_catalogue_is_said_at_start(tmp_path: Path, name: str, content: str, says: str) -> None:
    """By the name of its file."""
    (tmp_path / name).write_text(content)
    with pytest.raises(SettingsError, match=says):
        Languages(str(tmp_path))


def test_a_text_that_the_page_does_not_have_is_told(tmp_path: Path) -> None:
    """A misspelt one would replace nothing, silently."""
    (tmp_path / "de.po").write_text(po("Totall", "Summe"))
    with capture_logs() as logs:
        Languages(str(tmp_path))
    assert [(each["event"], each["text"]) for each in logs] == [("page.unknown_text", "Totall")]
