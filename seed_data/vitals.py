"""Vital signs taken at the practice: blood pressure, weight, height, BMI, pulse, oxygen saturation.

Comes in: a person and today. Goes out: Observation resources with category vital-signs. Must not know: laboratories.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from seed_data.clock import age_years, instant, weekday
from seed_data.codes import HL7, LOINC, coding, concept, quantity, reference
from seed_data.directory import ORGANISATIONS
from seed_data.values import drift, tidy, trends_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seed_data.model import Resource
    from seed_data.population import Person

_ADULT_YEARS = 18
_FIVE_YEARS_DAYS = 5 * 365
_LUNGS = frozenset({"asthma", "copd", "heart-failure"})
_HEADLINE_CHECKS = 10


def _simple(loinc: str, name: str, value: float, unit: str, ucum: str) -> dict[str, Any]:
    return {"code": concept(LOINC, loinc, name), "valueQuantity": quantity(value, unit, ucum)}


def _blood_pressure(systolic: int, diastolic: int) -> dict[str, Any]:
    parts = (("8480-6", "Systolic blood pressure", systolic), ("8462-4", "Diastolic blood pressure", diastolic))
    return {
        "code": concept(LOINC, "85354-9", "Blood pressure"),
        "component": [
            {"code": concept(LOINC, loinc, name), "valueQuantity": quantity(value, "mmHg", "mm[Hg]")}
            for loinc, name, value in parts
        ],
    }


def _child_size(age: float) -> tuple[float, float]:
    """Return a plausible (height in cm, weight in kg) of a child."""
    if age < 2:
        return 52 + 18 * age, 3.6 + 4.4 * age
    return 77 + 6.3 * age, 8 + 2.3 * age + 0.06 * age * age


def _bodies(person: Person, on: dt.date, passed: float) -> Iterator[tuple[str, dict[str, Any]]]:
    rng = person.rng(f"vitals/{on.isoformat()}")
    steady = person.rng("body")
    adult = age_years(person.born, on) >= _ADULT_YEARS
    height = steady.gauss(175 if person.gender == "male" else 162, 6)
    weight = height * height / 10_000 * (steady.uniform(21, 28) + 3 * ("diabetes" in person.profiles) * (1 - passed))
    if not adult:
        height, weight = _child_size((on - person.born).days / 365.25)
    height, weight = tidy(height, 0), tidy(weight * rng.gauss(1, 0.008), 1)
    if adult:
        trends = trends_of(person)
        systolic = drift(trends.get("systolic", (steady.uniform(112, 128),) * 2), passed) + rng.gauss(0, 4)
        diastolic = drift(trends.get("diastolic", (steady.uniform(68, 80),) * 2), passed) + rng.gauss(0, 3)
        yield "bp", _blood_pressure(round(systolic), round(diastolic))
    yield "weight", _simple("29463-7", "Body weight", weight, "kg", "kg")
    yield "height", _simple("8302-2", "Body height", height, "cm", "cm")
    yield "bmi", _simple("39156-5", "Body mass index", tidy(weight / (height / 100) ** 2, 1), "kg/m2", "kg/m2")
    if _LUNGS & set(person.profiles):
        yield "pulse", _simple("8867-4", "Heart rate", round(rng.gauss(76, 6)), "beats/min", "/min")
        yield "oxygen", _simple("2708-6", "Oxygen saturation", min(99, round(rng.gauss(96, 1.2))), "%", "%")


def vitals(person: Person, today: dt.date) -> Iterator[tuple[str, Resource]]:
    """Yield (author, resource) of the checks at the practice, oldest first."""
    practice = ORGANISATIONS[person.practice]
    rng = person.rng("checks")
    number = (
        _HEADLINE_CHECKS
        if person.position == 0
        else 1 + (person.profiles != ("well",)) + ("hypertension" in person.profiles)
    )
    reach = min(_FIVE_YEARS_DAYS, (today - person.born).days - 30)
    for turn in reversed(range(number)):
        back = 20 + int(reach * 0.95 * (turn + rng.random() * 0.3) / number)
        day = weekday(today - dt.timedelta(days=back))
        passed = max(0.0, 1 - back / _FIVE_YEARS_DAYS)
        for key, body in _bodies(person, day, passed):
            yield (
                practice.ref,
                {
                    "resourceType": "Observation",
                    "id": f"{person.slug}-{day:%Y%m%d}-{key}",
                    "status": "final",
                    "category": [{"coding": [coding(HL7 + "observation-category", "vital-signs", "Vital Signs")]}],
                    "subject": reference(person.ref, person.name),
                    "effectiveDateTime": instant(day, 9 + turn % 7, 15),
                    "performer": [reference(practice.ref, practice.name)],
                }
                | body,
            )
