"""FHIR datatypes in plain words: dates, names, codes, references, amounts.

In comes FHIR JSON (decimals as `Decimal`); out go short texts for people. Whatever is missing or malformed reads as "".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from fhir_server import language, web
from fhir_server.web.language import code as page_language

LONDON: Final = ZoneInfo("Europe/London")
NHS_NUMBER: Final = "https://fhir.nhs.uk/Id/nhs-number"
JOB_ROLE: Final = "https://fhir-server.example.org/CodeSystem/job-role"

Json: TypeAlias = Mapping[str, Any]

_UNITS: Final = {
    "umol/L": "µmol/L",
    "ug/L": "µg/L",
    "ug/mL": "µg/mL",
    "kg/m2": "kg/m²",
    "mL/min/1.73m2": "mL/min/1.73 m²",
    "mL/min/{1.73_m2}": "mL/min/1.73 m²",
    "10*9/L": "×10⁹/L",
    "10*12/L": "×10¹²/L",
    "Cel": "°C",
    "mm[Hg]": "mmHg",
}
"""Units as computers write them, and as people do."""
_YEAR_CHARS, _MONTH_CHARS, _DAY_CHARS = 4, 7, 10
_NHS_NUMBER_DIGITS = 10
_NOON = 12


class Exact(Enum):
    """How exact a date is given."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Moment:
    """A FHIR date, dateTime or instant, ready to show.

    Words are made when they are asked for: of most moments of a record only the order counts.

    Attributes:
        iso: What it was, for `<time datetime>`.
        at: Aware, for sorting; the start of what is not exact, in Europe/London.
        exact: How exact it was given.
    """

    iso: str
    at: datetime
    exact: Exact

    @property
    def local(self) -> datetime:
        """Return it in Europe/London."""
        # By way of UTC: an hour that the clocks skip or go through twice is the one that sorts right.
        return self.at.astimezone(UTC).astimezone(LONDON)

    @property
    def day(self) -> str:
        """Return `4 March 2025`, or `March 2025`, or `2025`, as exact as it was given."""
        if self.exact is Exact.YEAR:
            return self.iso
        return (spoken_month if self.exact is Exact.MONTH else spoken_day)(self.local.date())

    @property
    def weekday(self) -> str:
        """Return `Tuesday`, "" where no day is known."""
        return spoken_weekday(self.local.date()) if self.exact in {Exact.DAY, Exact.TIME} else ""

    @property
    def time(self) -> str:
        """Return `9:30am`, "" where only a day is known."""
        return spoken_time(self.local.time()) if self.exact is Exact.TIME else ""

    @property
    def text(self) -> str:
        """Return day and time, `4 March 2025 at 9:30am`."""
        return web.say("%(day)s at %(time)s") % {"day": self.day, "time": self.time} if self.time else self.day

    @property
    def full(self) -> str:
        """Return weekday, day and time, `Tuesday 4 March 2025 at 9:30am`."""
        return f"{self.weekday} {self.text}".strip()


def moment(value: object) -> Moment | None:
    """Return a FHIR date, dateTime or instant as a moment in Europe/London; None where it is none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return _moment(value)
    except (ValueError, OverflowError):
        return None


def _moment(text: str) -> Moment:
    if len(text) == _YEAR_CHARS:
        return Moment(text, _midnight(date(int(text), 1, 1)), Exact.YEAR)
    if len(text) == _MONTH_CHARS:
        return Moment(text, _midnight(date.fromisoformat(f"{text}-01")), Exact.MONTH)
    if len(text) == _DAY_CHARS:
        return Moment(text, _midnight(date.fromisoformat(text)), Exact.DAY)
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=LONDON)
    return moment_of(instant, iso=text)


def moment_of(instant: datetime, *, iso: str = "") -> Moment:
    """Return an aware instant as a moment."""
    return Moment(iso or instant.isoformat(), instant.astimezone(UTC), Exact.TIME)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), LONDON).astimezone(UTC)


def spoken_day(day: date) -> str:
    """Return a day as people write it, `4 March 2025`, in the language of the page."""
    return language.spoken_day(day, page_language())


def short_month(day: date) -> str:
    """Return the month of a day where there is little room, `Mar 2025`."""
    return language.short_month(day, page_language())


def spoken_month(day: date) -> str:
    """Return the month of a day, `March 2025`."""
    return language.spoken_month(day, page_language())


def spoken_weekday(day: date) -> str:
    """Return the weekday of a day, `Tuesday`."""
    return language.spoken_weekday(day, page_language())


def spoken_time(clock: time) -> str:
    """Return a time of day in the style of the NHS: `9:30am`, `2pm`, `midday`, `midnight`."""
    if clock.minute == 0 and clock.hour in {0, _NOON}:
        return web.say("midday" if clock.hour else "midnight")
    hour = clock.hour % _NOON or _NOON
    minutes = f":{clock.minute:02d}" if clock.minute else ""
    return f"{hour}{minutes}{web.say('am' if clock.hour < _NOON else 'pm')}"


def concept(value: object) -> str:
    """Return a CodeableConcept in words: its text, else the first display, else the first code."""
    if not isinstance(value, Mapping):
        return ""
    if text := value.get("text"):
        return str(text)
    codings = items(value, "coding")
    for key in ("display", "code"):
        for coding in codings:
            if shown := coding.get(key):
                return str(shown)
    return ""


def concepts(values: object) -> str:
    """Return several CodeableConcepts in words, joined with commas."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        return ""
    return ", ".join(filter(None, (concept(value) for value in values)))


def code_of(value: object, *systems: str) -> str:
    """Return the first code of a CodeableConcept, of one of these systems where any is named."""
    if not isinstance(value, Mapping):
        return ""
    for coding in items(value, "coding"):
        if coding.get("code") and (not systems or coding.get("system") in systems):
            return str(coding["code"])
    return ""


def human_name(resource: Json) -> str:
    """Return the name in use of a person: official or usual first, never an old one while there is another."""
    names = items(resource, "name")
    order = {"usual": 0, "official": 1, "": 2, "nickname": 4, "anonymous": 5, "maiden": 6, "old": 7}
    for name in sorted(names, key=lambda entry: order.get(str(entry.get("use", "")), 3)):
        if text := name.get("text"):
            return str(text)
        parts = [*name.get("prefix", ()), *name.get("given", ()), name.get("family", ""), *name.get("suffix", ())]
        if shown := " ".join(str(part) for part in parts if part):
            return shown
    return ""


def party_name(resource: Json) -> str:
    """Return the name of a person or an organisation."""
    name = resource.get("name")
    return name if isinstance(name, str) else human_name(resource)


def identifier(resource: Json, system: str) -> str:
    """Return the value of the first identifier of a system."""
    for entry in items(resource, "identifier"):
        if entry.get("system") == system and entry.get("value"):
            return str(entry["value"])
    return ""


def nhs_number(digits: str) -> str:
    """Return an NHS number as it is shown, 3-3-4."""
    plain = "".join(char for char in digits if char.isdigit())
    return f"{plain[:3]} {plain[3:6]} {plain[6:]}" if len(plain) == _NHS_NUMBER_DIGITS else digits


def address_lines(value: Json) -> tuple[str, ...]:
    """Return an Address line by line."""
    if text := value.get("text"):
        return tuple(str(text).splitlines())
    lines = [*value.get("line", ()), value.get("city"), value.get("district"), value.get("postalCode")]
    return tuple(str(line) for line in lines if line)


def reference(value: object) -> str:
    """Return the literal reference of a Reference, `Patient/1`."""
    # A dict first: the check against the abstract class takes longer than all else, and a log has many thousands.
    return str(value.get("reference", "")) if isinstance(value, dict | Mapping) else ""


def display(value: object) -> str:
    """Return what a Reference says of its target, as its author wrote it."""
    if not isinstance(value, Mapping):
        return ""
    named = value.get("identifier")
    return str(value.get("display") or (named.get("value", "") if isinstance(named, Mapping) else ""))


def displays(values: object) -> tuple[str, ...]:
    """Return what several References say of their targets, each once."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        return ()
    return tuple(dict.fromkeys(filter(None, (display(value) for value in values))))


def number(value: object) -> str:
    """Return a decimal as it was written, without an exponent."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value) if isinstance(value, int | float) else ""


def unit(value: Json) -> str:
    """Return the unit of a Quantity as people write it: `µmol/L` for `umol/L`, `kg/m²` for `kg/m2`."""
    written = str(value.get("unit") or value.get("code") or "")
    return _UNITS.get(written, written)


def quantity(value: object) -> str:
    """Return a Quantity, `< 5 mg/L`."""
    if not isinstance(value, Mapping):
        return ""
    shown = (value.get("comparator"), number(value.get("value")), unit(value))
    return " ".join(str(part) for part in shown if part)


def items(resource: Json, key: str) -> list[Json]:
    """Return the objects of a repeating element; empty where it is absent or malformed."""
    found = resource.get(key)
    return [entry for entry in found if isinstance(entry, dict | Mapping)] if isinstance(found, list) else []


def first(values: Iterable[str]) -> str:
    """Return the first text that is not empty, else ""."""
    return next(filter(None, values), "")


def listed(parts: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`, in the language of the page; the words are ours."""
    return language.listed(parts, page_language())


def listed_names(parts: Sequence[str]) -> str:
    """Return the same of names, or of words from a record: they stay as they are."""
    return language.listed(parts, page_language(), are_names=True)
