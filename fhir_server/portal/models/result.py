"""Test results and measurements in plain words: value, unit, range, what it means, who says so and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from urllib.parse import quote

from fhir_server import web
from fhir_server.portal.models.freshness import received
from fhir_server.portal.models.words import (
    Json,
    Moment,
    code_of,
    concept,
    concepts,
    displays,
    first,
    items,
    listed_names,
    moment,
    number,
    quantity,
    reference,
    unit,
)

_VITAL: Final = "vital-signs"
_LOINC: Final = "http://loinc.org"
_INTERPRETATION: Final = {
    "H": ("Above the expected range", "orange"),
    "HH": ("Well above the expected range", "red"),
    "HU": ("Well above the expected range", "red"),
    ">": ("Above what the test can measure", "orange"),
    "L": ("Below the expected range", "orange"),
    "LL": ("Well below the expected range", "red"),
    "LU": ("Well below the expected range", "red"),
    "<": ("Below what the test can measure", "orange"),
    "N": ("In the expected range", "green"),
    "A": ("Outside the expected range", "orange"),
    "AA": ("Well outside the expected range", "red"),
    "POS": ("Positive", "orange"),
    "DET": ("Detected", "orange"),
    "NEG": ("Negative", "green"),
    "ND": ("Not detected", "green"),
}
_STATUS: Final = {
    "preliminary": "Early result, may still change",
    "registered": "Waiting for the result",
    "amended": "Changed after it was first sent",
    "corrected": "Corrected after it was first sent",
    "cancelled": "Test cancelled",
    "entered-in-error": "Entered by mistake",
}
_FEW: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Range:
    """An expected range.

    Attributes:
        text: In words, `20 to 41 mmol/mol`.
        low: Lower end, None where open.
        high: Upper end, None where open.
    """

    text: str
    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """An Observation as pages show it.

    Attributes:
        id: Logical id.
        code: Code its history is found by, "" where it has none.
        name: What was measured.
        value: In words, with unit.
        number: The amount where it is one number.
        unit: Unit of the number.
        words: What the value means against the range, "" where nothing is said.
        tone: Colour of the tag.
        range: Expected range, None where none was sent.
        taken: When it was measured.
        source: Who says so.
        status: Anything unusual about its status.
        by_person: Whether the patient entered it.
        vital: Whether it is a measurement of the body, not of a laboratory.
        note: Comment sent with it.
        parts: Components such as systolic and diastolic.
        arrived: When it arrived here or changed last, None where unknown.
        before: How it compares with the time before, "" where there was none.
    """

    id: str
    code: str
    name: str
    value: str
    number: Decimal | None
    unit: str
    words: str
    tone: str
    range: Range | None
    taken: Moment | None
    source: str
    status: str
    by_person: bool
    vital: bool
    note: str
    parts: tuple[Result, ...] = ()
    arrived: datetime | None = None
    before: str = ""

    @property
    def room(self) -> str:
        """Return the path of the pages where it is found, below that of the record."""
        return "/measurements" if self.vital else "/results"

    @property
    def page(self) -> str:
        """Return the path of the page of all of them, below that of the record; "" where it has no code."""
        return f"{self.room}/{quote(self.code, safe='')}" if self.code else ""

    @property
    def plotted(self) -> str:
        """Return the numbers for a chart, separated by spaces, "" where there is none."""
        if self.taken is None:
            return ""
        numbers = [part.number for part in self.parts or (self,)]
        return " ".join(number(value) for value in numbers) if all(value is not None for value in numbers) else ""

    @property
    def is_plain(self) -> bool:
        """Return whether the value is the number and its unit, with nothing such as `<` before it."""
        return self.number is not None and self.value == f"{number(self.number)} {self.unit}".strip()

    @property
    def is_outside(self) -> bool:
        """Return whether it is said to be outside the expected range."""
        return self.tone != "green" and "expected range" in self.words

    @property
    def taken_at(self) -> datetime:
        """Return when it was measured, the epoch where unknown; for sorting."""
        return self.taken.at if self.taken else _EPOCH


def result(resource: Json) -> Result:
    """Return an Observation as pages show it."""
    performers = [reference(entry) for entry in items(resource, "performer")]
    by_person = any(entry.startswith("Patient/") for entry in performers)
    taken = moment(resource.get("effectiveDateTime") or _period_start(resource) or resource.get("issued"))
    parts = tuple(_part(entry) for entry in items(resource, "component"))
    value = _value(resource)
    words, tone = _meaning(resource)
    return Result(
        id=str(resource.get("id", "")),
        code=code_of(resource.get("code"), _LOINC) or code_of(resource.get("code")),
        name=concept(resource.get("code")) or web.say("Test"),
        value=value or _joined(parts) or _absent(resource),
        number=_number(resource),
        unit=_unit(resource) or first(part.unit for part in parts),
        words=words,
        tone=tone,
        range=_range(resource),
        taken=taken,
        source=_source(resource, by_person=by_person),
        status=_STATUS.get(str(resource.get("status")), ""),
        by_person=by_person,
        vital=any(code_of(entry) == _VITAL for entry in items(resource, "category")),
        note=first(str(entry.get("text", "")) for entry in items(resource, "note")),
        parts=parts,
        arrived=arrival.at if (arrival := received(resource)) else None,
    )


def _source(resource: Json, *, by_person: bool) -> str:
    if by_person:
        return web.say("Entered by you")
    return listed_names(displays(resource.get("performer"))) or web.say("Source not stated")


def _part(component: Json) -> Result:
    words, tone = _meaning(component)
    return Result(
        id="",
        code=code_of(component.get("code")),
        name=concept(component.get("code")),
        value=_value(component) or _absent(component),
        number=_number(component),
        unit=_unit(component),
        words=words,
        tone=tone,
        range=_range(component),
        taken=None,
        source="",
        status="",
        by_person=False,
        vital=False,
        note="",
    )


def _period_start(resource: Json) -> object:
    period = resource.get("effectivePeriod")
    return period.get("start") if isinstance(period, dict) else None


def _number(element: Json) -> Decimal | None:
    amount = element.get("valueQuantity")
    value = amount.get("value") if isinstance(amount, dict) else element.get("valueInteger")
    return Decimal(value) if isinstance(value, Decimal | int) and not isinstance(value, bool) else None


def _unit(element: Json) -> str:
    amount = element.get("valueQuantity")
    return unit(amount) if isinstance(amount, dict) else ""


def _value(element: Json) -> str:
    """Return the value in words, whichever of the eleven types it has."""
    if "valueQuantity" in element:
        return quantity(element["valueQuantity"])
    if "valueCodeableConcept" in element:
        return concept(element["valueCodeableConcept"])
    if isinstance(element.get("valueBoolean"), bool):
        return web.say("Yes") if element["valueBoolean"] else web.say("No")
    for key in ("valueString", "valueInteger", "valueTime"):
        if key in element:
            return str(element[key])
    if at := moment(element.get("valueDateTime")):
        return at.text
    return _pair(element)


def _pair(element: Json) -> str:
    pairs = (("valueRange", "low", "high", _to()), ("valueRatio", "numerator", "denominator", " : "))
    for key, left, right, between in pairs:
        if isinstance(both := element.get(key), dict):
            return between.join(filter(None, (quantity(both.get(left)), quantity(both.get(right)))))
    if isinstance(period := element.get("valuePeriod"), dict):
        ends = (moment(period.get("start")), moment(period.get("end")))
        return _to().join(end.text for end in ends if end)
    return ""


def _to() -> str:
    return f" {web.say('to')} "


def _joined(parts: tuple[Result, ...]) -> str:
    """Return two numbers of one unit the way blood pressure is written, else every part by name."""
    numbers = [part for part in parts if part.number is not None]
    if len(numbers) == len(parts) == 2 and len({part.unit for part in parts}) == 1:  # noqa: PLR2004 - a pair
        return f"{'/'.join(number(part.number) for part in parts)} {parts[0].unit}".strip()
    return ", ".join(f"{part.name}: {part.value}" for part in parts if part.value)


def _absent(element: Json) -> str:
    reason = concept(element.get("dataAbsentReason"))
    return f"{web.say('No value')}: {reason.lower()}" if reason else web.say("No value given")


def _range(element: Json) -> Range | None:
    for entry in items(element, "referenceRange"):
        low, high = _end(entry, "low"), _end(entry, "high")
        text = str(entry.get("text") or "") or _range_words(entry, low, high)
        if text:
            return Range(text, low, high)
    return None


def _end(entry: Json, key: str) -> Decimal | None:
    amount = entry.get(key)
    value = amount.get("value") if isinstance(amount, dict) else None
    return Decimal(value) if isinstance(value, Decimal | int) else None


def _range_words(entry: Json, low: Decimal | None, high: Decimal | None) -> str:
    if low is not None and high is not None:
        return f"{number(low)}{_to()}{quantity(entry['high'])}"
    if low is not None:
        return web.say("%(value)s or more") % {"value": quantity(entry["low"])}
    return web.say("%(value)s or less") % {"value": quantity(entry["high"])} if high is not None else ""


def _meaning(element: Json) -> tuple[str, str]:
    """Return (words, tone): what the laboratory said, else what value and range say together."""
    for entry in items(element, "interpretation"):
        code = code_of(entry)
        if code in _INTERPRETATION:
            return _INTERPRETATION[code]
    if said := concepts(element.get("interpretation")):
        return said, "grey"
    value, expected = _number(element), _range(element)
    amount = element.get("valueQuantity")
    if value is None or expected is None or (isinstance(amount, dict) and amount.get("comparator")):
        return "", "grey"
    if expected.high is not None and value > expected.high:
        return _INTERPRETATION["H"]
    if expected.low is not None and value < expected.low:
        return _INTERPRETATION["L"]
    bounded = expected.low is not None or expected.high is not None
    return _INTERPRETATION["N"] if bounded else ("", "grey")


def newest_first(resources: Iterable[Json]) -> tuple[Result, ...]:
    """Return Observations as pages show them, newest first; mistakes are left out."""
    shown = (result(resource) for resource in resources if resource.get("status") != "entered-in-error")
    return tuple(sorted(shown, key=lambda entry: entry.taken_at, reverse=True))


def latest_by_test(results: Iterable[Result]) -> tuple[Result, ...]:
    """Return the newest result of each test, compared with the one before, from results newest first; by name."""
    piles: dict[str, list[Result]] = {}
    for entry in results:
        piles.setdefault(entry.code or entry.name, []).append(entry)
    newest = (replace(pile[0], before=_compared(pile[0], pile[1:])) for pile in piles.values())
    return tuple(sorted(newest, key=lambda entry: entry.name.casefold()))


def lately(resources: Iterable[Json]) -> tuple[Result, ...]:
    """Return the last few of each test, from Observations newest first: what its latest is shown by, and compared with.

    Of years of results most are never looked at here; making words of each took longer than finding them.
    """
    kept: list[Json] = []
    seen: dict[str, int] = {}
    for resource in resources:
        test = code_of(resource.get("code"), _LOINC) or code_of(resource.get("code")) or concept(resource.get("code"))
        # One without a time of its own stands last wherever it belongs.
        is_dated = "effectiveDateTime" in resource or "effectivePeriod" in resource
        seen[test] = seen.get(test, 0) + is_dated
        if seen[test] <= _FEW or not is_dated:
            kept.append(resource)
    return newest_first(kept)


def compared(results: Sequence[Result]) -> tuple[Result, ...]:
    """Return results of one test, newest first, each compared with the one before it."""
    return tuple(replace(entry, before=_compared(entry, results[at + 1 :])) for at, entry in enumerate(results))


def _compared(entry: Result, older: Sequence[Result]) -> str:
    """Return how a result compares with the one before, such as `Up from 41 mmol/mol on 4 March 2025`."""
    last = next((each for each in older if each.taken is not None and each.value), None)
    if last is None or last.taken is None:
        return ""
    if entry.number is None or last.number is None or entry.unit != last.unit:
        said = web.say("Before: %(value)s on %(day)s")
    elif entry.number == last.number:
        said = web.say("Same as %(value)s on %(day)s")
    else:
        is_up = entry.number > last.number
        said = web.say("Up from %(value)s on %(day)s") if is_up else web.say("Down from %(value)s on %(day)s")
    return said % {"value": last.value, "day": last.taken.day}
