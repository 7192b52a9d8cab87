"""In which language a visitor reads the page: gettext catalogues, and which of them a browser asks for.

The texts in templates and code are English, and are the keys. A catalogue is a `.po` file named as its locale:
`de.po`, `pt_BR.po`. Those of a shop add languages, and replace single texts of ours.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO
from pathlib import Path

import structlog
from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from babel.support import NullTranslations, Translations

from fulfillment_runtime.fatal_errors import SettingsError

_log = structlog.get_logger(__name__)

_ENGLISH = "en"
_SUFFIX = ".po"
_LINE = re.compile(r'(#.*|(msgctxt|msgid|msgid_plural|msgstr(\[\d+\])?)?\s*"([^"\\]|\\.)*")?\s*')
"""Babel itself reads a text that has no end without its last letter."""
_LONGEST_HEADER = 500  # characters of Accept-Language that are read
_LONGEST_TAG = 35  # characters: longer ones need not be understood (RFC 5646, 4.4.1)


@dataclass(frozen=True, slots=True)
class Language:
    """A language of the page."""

    tag: str
    """As HTML names it, an IETF language tag: `de`, `pt-BR`."""
    direction: str
    """`ltr` or `rtl`."""
    translations: NullTranslations

    def text(self, message: str, **values: str) -> str:
        """Translate a text, and fill in its values.

        Raises:
            KeyError, ValueError, TypeError: the catalogue's text names other values.
        """
        translated = str(self.translations.gettext(message))
        return translated % values if values else translated


class Languages:
    """All that there are."""

    def __init__(self, catalogues: str | None) -> None:
        """Read the catalogues.

        Args:
            catalogues: a folder with those of the shop; None: ours alone.

        Raises:
            SettingsError: one of them is broken.
        """
        ours = dict(_read_all(files("fulfillment_page") / "locales"))
        theirs = dict(_read_all(Path(catalogues))) if catalogues else {}
        _warn_of_unknown_texts(theirs, ours)
        self._languages = {
            (language := _language(locale, _catalogues(locale, theirs, ours))).tag.lower(): language
            for locale in sorted({_ENGLISH, *ours, *theirs})
        }

    def __iter__(self) -> Iterator[Language]:
        """List them."""
        return iter(self._languages.values())

    def choose(self, wanted: str | None, accept_language: str) -> Language:
        """Choose the language that a visitor reads best; English when it is none that there is.

        Args:
            wanted: the one that the page's address names, an IETF language tag; None: it names none.
            accept_language: what the browser says (RFC 9110, 12.5.4); looked up as RFC 4647, 3.4 says.
        """
        for tag in [*([wanted] if wanted else []), *_preferred(accept_language)]:
            part = tag[:_LONGEST_TAG].lower().replace("_", "-")
            while part:
                if part in self._languages:
                    return self._languages[part]
                part = part.rpartition("-")[0]
        return self._languages[_ENGLISH]


def _preferred(accept_language: str) -> list[str]:
    """List the tags of the header, the one that is liked best first."""
    weighted = []
    for each in accept_language[:_LONGEST_HEADER].split(","):
        tag, _, weight = each.strip().partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            continue
        if quality > 0:
            weighted.append((quality, tag.strip()))
    return [tag for _, tag in sorted(weighted, key=lambda each: -each[0])]


def _read_all(folder: Traversable) -> Iterator[tuple[str, Catalog]]:
    """Read the catalogues of a folder, by their locales."""
    try:
        found = sorted(folder.iterdir(), key=lambda each: each.name)
    except OSError as error:
        raise SettingsError(f"the catalogues in {folder} cannot be read: {error}") from error
    for file in found:
        if file.name.endswith(_SUFFIX) and not file.name.startswith("."):
            yield file.name.removesuffix(_SUFFIX).replace("-", "_"), _read(file)


def _read(file: Traversable) -> Catalog:
    try:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if not _LINE.fullmatch(line):
                raise SettingsError(f"the catalogue {file} is broken: line {number}: {line[:60]!r}")
        with file.open("rb") as content:
            catalog = read_po(content, abort_invalid=True)
    except (PoFileError, OSError, ValueError) as error:
        raise SettingsError(f"the catalogue {file} is broken: {error}") from error
    for message, errors in catalog.check():
        raise SettingsError(f"the catalogue {file} is broken: the text for {message.id!r}: {errors[0]}")
    return catalog


def _catalogues(locale: str, theirs: dict[str, Catalog], ours: dict[str, Catalog]) -> Iterator[Catalog]:
    """List what tells the texts of a locale, the first one first: before ours the shop's, after `de_AT` `de`."""
    while locale:
        yield from (each[locale] for each in (theirs, ours) if locale in each)
        locale = locale.rpartition("_")[0]


def _language(locale: str, catalogues: Iterable[Catalog]) -> Language:
    try:
        parsed = Locale.parse(locale)
    except (UnknownLocaleError, ValueError) as error:
        raise SettingsError(
            f"the catalogue {locale}{_SUFFIX} is of no known language: name it as de{_SUFFIX} or pt_BR{_SUFFIX}"
        ) from error
    translations = NullTranslations()
    for each in catalogues:
        translations.add_fallback(_translations(each))
    return Language(locale.replace("_", "-"), parsed.text_direction, translations)


def _translations(catalog: Catalog) -> Translations:
    compiled = BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Translations(compiled)


def _warn_of_unknown_texts(theirs: dict[str, Catalog], ours: dict[str, Catalog]) -> None:
    """Tell of texts that the page does not have: misspelt ones, or those of another version."""
    known = {message.id for catalog in ours.values() for message in catalog if message.id}
    for locale, catalog in theirs.items():
        for message in catalog:
            if message.id and message.id not in known:
                _log.warning("page.unknown_text", catalogue=f"{locale}{_SUFFIX}", text=message.id)
