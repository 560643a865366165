"""Answers of forms as typed values, and what is wrong with them as words beside the field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from fhir_server import web

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MISSING: Final = {
    "day": "%(what)s must include a day",
    "month": "%(what)s must include a month",
    "year": "%(what)s must include a year",
}
_TOO_LONG: Final = "%(what)s must be %(longest)s characters or fewer"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with an answer.

    Attributes:
        text: What to do about it.
        href: `#` and the id of the field.
    """

    text: str
    href: str = ""


def messages(problems: Iterable[Problem]) -> dict[str, str]:
    """Return the first message of each field, by the id of the field."""
    found: dict[str, str] = {}
    for problem in problems:
        found.setdefault(problem.href.removeprefix("#"), problem.text)
    return found


def day_answer(form: Mapping[str, str], name: str, what: str) -> date | Problem:
    """Return the day that three fields `<name>-day`, `-month`, `-year` say, months also by name.

    Args:
        form: The form's fields.
        name: Start of the names of the three fields.
        what: What the day is, for the message, in English: `the date of birth`.
    """
    day, month, year = (form.get(f"{name}-{part}", "").strip() for part in ("day", "month", "year"))
    if not day and not month and not year:
        return Problem(about("Enter %(what)s", what), f"#{name}-day")
    for part, text in (("day", day), ("month", month), ("year", year)):
        if not text:
            return Problem(about(_MISSING[part], what), f"#{name}-{part}")
    try:
        return date(int(year), _month(month), int(day))
    except (ValueError, OverflowError):
        return Problem(about("%(what)s must be a real date, such as 27 3 2027", what), f"#{name}-day")


def too_long(what: str, longest: int) -> str:
    """Return that a field has more than it may, as `about` does."""
    return about(_TOO_LONG, what, longest=longest)


def about(text: str, what: str, **values: object) -> str:
    """Return what a text of ours with blanks says of a field, in the language of the page.

    Args:
        text: In English, with the blank `%(what)s`.
        what: What the field is called, in English: `the last day`.
        values: What goes into its other blanks.
    """
    name = web.say(what)
    said = web.say(text) % {"what": name[0].lower() + name[1:], **values}
    return said[0].upper() + said[1:]


def _month(text: str) -> int:
    short = text.casefold()[:3]
    return _MONTHS.index(short) + 1 if short in _MONTHS else int(text)
