"""The languages that pages and messages speak: which there are, their catalogues of texts, their way to write a day.

English is what the sources say; a catalogue (`<code>/LC_MESSAGES/messages.po`, gettext) holds what another language
says instead. A text without a translation stays English. Knows no web framework: pages ask through Flask-Babel,
messages here.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from babel.dates import format_date
from babel.support import NullTranslations, Translations

from fhir_server.language import welsh

CATALOGUES: Final = Path(__file__).parent
DEFAULT: Final = "en"


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    Attributes:
        code: BCP 47, as in `lang="…"`.
        name: In that language itself, so that whoever needs it can find it.
    """

    code: str
    name: str


LANGUAGES: Final = (Language("en", "English"), Language("cy", "Cymraeg"))
CODES: Final = tuple(language.code for language in LANGUAGES)


def known(code: str | None) -> str:
    """Return the code of a language that we speak, "" for any other."""
    return code if code in CODES else ""


@functools.cache
def catalogue(code: str) -> NullTranslations:
    """Return the texts of a language; English, and one whose catalogue is not compiled, say what they are given."""
    return NullTranslations() if known(code) in {"", DEFAULT} else Translations.load(CATALOGUES, [code])


def spoken_day(day: date, code: str) -> str:
    """Return a day as people write it in a language: `4 March 2025`, `4 Mawrth 2025`."""
    return _spoken(day, "d MMMM y", code)


def spoken_month(day: date, code: str) -> str:
    """Return the month of a day: `March 2025`, `Mawrth 2025`."""
    return _spoken(day, "MMMM y", code)


def short_month(day: date, code: str) -> str:
    """Return the month of a day where there is little room: `Mar 2025`, `Maw 2025`."""
    return _spoken(day, "MMM y", code)


def spoken_weekday(day: date, code: str) -> str:
    """Return the weekday of a day: `Tuesday`, `Dydd Mawrth`."""
    return _spoken(day, "EEEE", code)


def listed(parts: Sequence[str], code: str, *, are_names: bool = False) -> str:
    """Return several things as people say them: `a`, `a and b`, `a, b and c`; names as they are written."""
    *others, last = parts or ("",)
    if not others:
        return last
    return f"{', '.join(others)} {welsh.and_(last, is_name=are_names) if code == welsh.CODE else f'and {last}'}"


def either(parts: Sequence[str], code: str) -> str:
    """Return things of which any will do, as people say them: `a`, `a or b`; they are words of ours."""
    first, *others = parts or ("",)
    return " ".join([first, *(welsh.or_(each) if code == welsh.CODE else f"or {each}" for each in others)])


def _spoken(day: date, form: str, code: str) -> str:
    return str(format_date(day, form, locale=known(code) or DEFAULT))
