"""A message as its receiver reads it: filled in when it is delivered, in the language that they chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from fhir_server.language import DEFAULT, catalogue, known, spoken_day
from fhir_server.notify.templates import ENDING, Notice


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who sends, shown in every message.

    Attributes:
        brand_name: The name of the service.
        base_url: Where it is.
        language: Of messages to people of whom it is not known which one they want.
    """

    brand_name: str
    base_url: str
    language: str = DEFAULT


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as people read it; a text message has no subject."""

    subject: str
    body: str


_BY_KIND = {notice.kind: notice for notice in Notice}


_SENTENCES: Final = frozenset({"what", "provider"})
"""Details that are words of ours, not a person's: they are translated too."""
_DAYS: Final = frozenset({"last_day"})
"""Details that are days, `YYYY-MM-DD`."""


def render(kind: str, details: Mapping[str, str], letterhead: Letterhead, language: str = "") -> Rendered:
    """Fill in a template.

    Args:
        kind: Which message.
        details: A value for each of its own placeholders.
        letterhead: Who sends.
        language: Code of the language to write it in; the letterhead's where it is not known or not spoken here.

    Raises:
        LookupError: When there is no such kind or a placeholder has no value.
    """
    _, _, subject, body = _BY_KIND[kind].value
    code = known(language) or known(letterhead.language) or DEFAULT
    say = catalogue(code).gettext
    values = {name: _worded(name, value, code) for name, value in details.items()}
    values |= {"brand": letterhead.brand_name, "base_url": letterhead.base_url}
    said = "".join(say(part) for part in parts(body))
    return Rendered((say(subject) if subject else "").format_map(values), said.format_map(values))


def parts(body: str) -> tuple[str, ...]:
    """Return the parts of a template's body that are translated, each on its own: what it says, and the ending."""
    main = body.removesuffix(ENDING)
    return (main,) if main == body else (main, ENDING)


def _worded(name: str, value: str, code: str) -> str:
    if name in _SENTENCES:
        return catalogue(code).gettext(value) if value else value
    if name in _DAYS:
        try:
            return spoken_day(date.fromisoformat(value), code)
        except ValueError:
            return value
    return value
