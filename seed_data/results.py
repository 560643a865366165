"""Laboratory reports: panels over five years whose values follow each person's conditions.

Comes in: a person, today and a number of results. Goes out: DiagnosticReport and Observation resources by author.
Must not know: letters, consents, storage.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seed_data import directory
from seed_data.analytes import ANALYTES, PANELS, Panel, size
from seed_data.clock import instant, weekday
from seed_data.codes import (
    GENERAL,
    HL7,
    LOINC,
    MENTAL_HEALTH,
    SEXUAL_HEALTH,
    SNOMED,
    coding,
    concept,
    hl7,
    labelled,
    quantity,
    reference,
)
from seed_data.profiles import PROFILES
from seed_data.values import EGFR_CEILING, is_adult, personal_normals, sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seed_data.model import Resource
    from seed_data.population import Person

FIVE_YEARS_DAYS = 5 * 365
_MAX_VISITS = 14
_TELLING_SHARE = 0.65
# Tried in this order where a visit has room, so the last ones, with one result each, always make the number exact.
_FILLERS = ("ue", "lft", "lipids", "tft", "crp", "ferritin", "vitamin-d", "hba1c")
_INTERPRETATION = {"H": "High", "L": "Low", "N": "Normal", "POS": "Positive", "NEG": "Negative"}
# Who writes results of each label: pathology of the hospital, or the specialist service that keeps them to itself.
_DEPARTMENT = {GENERAL: "pathology", MENTAL_HEALTH: "adult-mental-health", SEXUAL_HEALTH: "sexual-health"}


@dataclass(frozen=True, slots=True)
class Visit:
    """One taking of blood: the day and the panels asked for."""

    day: dt.date
    panels: tuple[str, ...]


def _wishes(person: Person) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the panels that show how each condition goes, and the others asked for now and then."""
    telling = dict.fromkeys(PROFILES[key].core[0] for key in person.profiles if PROFILES[key].core) or {"fbc": None}
    others = dict.fromkeys(
        panel
        for key in person.profiles
        for panel in (*PROFILES[key].core, *PROFILES[key].extra)
        if panel not in telling
    )
    return tuple(telling), tuple(others)


def plan(person: Person, today: dt.date, count: int) -> tuple[Visit, ...]:
    """Return visits, oldest first, that together give exactly `count` results.

    Visits are evenly spread with some jitter. Telling panels come at every visit, so that trends show; what is left of
    the number goes to the other panels, the newest visit first.
    """
    telling, others = _wishes(person)
    number = max(1, min(_MAX_VISITS, round(_TELLING_SHARE * count / sum(map(size, telling)))))
    rng = person.rng("visits")
    reach = min(FIVE_YEARS_DAYS, (today - person.born).days - 60)
    backs = (12 + int(reach * (turn + rng.random() * 0.4) / max(number - 0.6, 1)) for turn in range(number))
    days = [weekday(today - dt.timedelta(days=back)) for back in backs]
    chosen: list[list[str]] = [[] for _ in days]
    left = count
    for names in (telling, others, *((filler,) for filler in _FILLERS)):
        for day, panels in zip(days, chosen, strict=True):
            left = _add(names, person, day, panels, left)
    if left:
        raise ValueError(f"{left} results of {person.slug} do not fit in {number} visits")
    visits = [Visit(day, tuple(panels)) for day, panels in zip(days, chosen, strict=True) if panels]
    return tuple(sorted(visits, key=lambda visit: visit.day))


def _analytes(name: str, person: Person, day: dt.date) -> tuple[str, ...]:
    """Return what a panel reports at that age: the eGFR equation holds for adults only."""
    keys = PANELS[name].analytes
    return keys if is_adult(person, day) else tuple(key for key in keys if key != "egfr")


def _add(names: tuple[str, ...], person: Person, day: dt.date, panels: list[str], left: int) -> int:
    """Add each panel that fits and is not there yet, and return how many results are left to place."""
    for name in names:
        cost = len(_analytes(name, person, day)) or 1
        if cost <= left and name not in panels:
            panels.append(name)
            left -= cost
    return left


def _interpretation(value: float, low: float | None, high: float | None) -> str:
    if low is not None and value < low:
        return "L"
    return "H" if high is not None and value > high else "N"


def _value(key: str, value: float, gender: str) -> dict[str, Any]:
    row = ANALYTES[key]
    low, high = row.limits(gender)
    # Laboratories report a good eGFR only as "above 90".
    capped = key == "egfr" and value > EGFR_CEILING
    limits: dict[str, Any] = {}
    if low is not None:
        limits["low"] = quantity(low, row.unit, row.ucum)
    if high is not None:
        limits["high"] = quantity(high, row.unit, row.ucum)
    code = _interpretation(value, low, high)
    return {
        "valueQuantity": quantity(EGFR_CEILING if capped else value, row.unit, row.ucum, ">" if capped else None),
        "interpretation": [hl7("v3-ObservationInterpretation", code, _INTERPRETATION[code])],
        "referenceRange": [limits],
    }


def _presence(*, positive: bool) -> dict[str, Any]:
    code, display = ("260373001", "Detected") if positive else ("260415000", "Not detected")
    flag = "POS" if positive else "NEG"
    return {
        "valueCodeableConcept": concept(SNOMED, code, display),
        "interpretation": [hl7("v3-ObservationInterpretation", flag, _INTERPRETATION[flag])],
        "referenceRange": [{"text": "Not detected"}],
    }


def _head(person: Person, panel: Panel, taken_at: str) -> dict[str, Any]:
    organisation = directory.organisation_of(_DEPARTMENT[panel.label])
    return {
        "status": "final",
        "subject": reference(person.ref, person.name),
        "effectiveDateTime": taken_at,
        "performer": [reference(organisation.ref, organisation.name)],
    }


def _meta(panel: Panel) -> dict[str, Any]:
    return labelled(panel.label if panel.label != GENERAL else None)


def _report(person: Person, name: str, visit: Visit, values: dict[str, float], *, positive: bool) -> list[Resource]:
    panel, keys = PANELS[name], _analytes(name, person, visit.day)
    stem = f"{person.slug}-{visit.day:%Y%m%d}-{name}"
    taken_at, issued_at = instant(visit.day, 9, 10 + visit.day.day % 40), instant(visit.day, 17, 30)
    head = _head(person, panel, taken_at)
    category = {"coding": [coding(HL7 + "observation-category", "laboratory", "Laboratory")]}
    if keys:
        parts = [(ANALYTES[key].loinc, ANALYTES[key].name, _value(key, values[key], person.gender)) for key in keys]
    else:
        parts = [(panel.loinc, panel.name, _presence(positive=positive))]
    observations = [
        {"resourceType": "Observation", "id": f"{stem}-{number}"}
        | _meta(panel)
        | head
        | {"category": [category], "code": concept(LOINC, loinc, name), "issued": issued_at}
        | value
        for number, (loinc, name, value) in enumerate(parts, 1)
    ]
    report = (
        {"resourceType": "DiagnosticReport", "id": stem}
        | _meta(panel)
        | head
        | {
            "category": [hl7("v2-0074", "LAB", "Laboratory")],
            "code": concept(LOINC, panel.loinc, panel.name),
            "issued": issued_at,
            "result": [reference(f"Observation/{row['id']}", row["code"]["text"]) for row in observations],
        }
    )
    return [*observations, report]


def results(person: Person, today: dt.date, count: int) -> Iterator[tuple[str, Resource]]:
    """Yield (author, resource) of `count` laboratory results in their reports, oldest first."""
    if not count:
        return
    normals, rng = personal_normals(person), person.rng("results")
    visits = plan(person, today, count)
    for order, visit in enumerate(visits):
        # Some have one early positive test that was treated; every later one is clear.
        passed = 1 - (today - visit.day).days / FIVE_YEARS_DAYS
        values = sample(person, visit.day, max(passed, 0), normals, rng)
        for name in visit.panels:
            author = directory.organisation_of(_DEPARTMENT[PANELS[name].label]).ref
            yield from (
                (author, row)
                for row in _report(person, name, visit, values, positive=order == 0 and person.position % 2 == 1)
            )
