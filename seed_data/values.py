"""Numbers that hang together: one person's laboratory values at a moment of the last five years.

Comes in: a person and the share of the five years that has passed. Goes out: analyte → value. Must not know: FHIR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seed_data.analytes import ANALYTES
from seed_data.clock import age_years
from seed_data.profiles import PROFILES

if TYPE_CHECKING:
    import datetime as dt
    import random

    from seed_data.population import Person

EGFR_CEILING = 90
_EGFR_ADULT_AGE = 18
_CREATININE_UMOL_PER_MG_DL = 88.42
_MALE_FACTOR = {
    "haemoglobin": 1.08,
    "red-cells": 1.08,
    "haematocrit": 1.07,
    "creatinine": 1.18,
    "hdl": 0.87,
    "ferritin": 1.5,
}


def trends_of(person: Person) -> dict[str, tuple[float, float]]:
    """Return the trends of all of a person's conditions; the first condition to name an analyte wins."""
    merged: dict[str, tuple[float, float]] = {}
    for key in reversed(person.profiles):
        merged |= PROFILES[key].trends
    return merged


def personal_normals(person: Person) -> dict[str, float]:
    """Return the person's own steady level of each analyte, a little off the population's."""
    rng = person.rng("normals")
    male = person.gender == "male"
    return {
        key: row.normal * rng.gauss(1, row.spread / 2) * (_MALE_FACTOR.get(key, 1) if male else 1)
        for key, row in ANALYTES.items()
    }


def ckd_epi_2021(creatinine_umol_l: float, age: int, *, female: bool) -> float:
    """Return eGFR in mL/min/1.73 m² by the 2021 CKD-EPI creatinine equation."""
    kappa, alpha = (0.7, -0.241) if female else (0.9, -0.302)
    ratio = creatinine_umol_l / _CREATININE_UMOL_PER_MG_DL / kappa
    return float(142 * min(ratio, 1) ** alpha * max(ratio, 1) ** -1.2 * 0.9938**age * (1.012 if female else 1))


def drift(ends: tuple[float, float], passed: float) -> float:
    """Return the level of a trend: most of a change under treatment comes early, so the curve is bent."""
    before, now = ends
    return before + (now - before) * float(passed**0.7)


def sample(
    person: Person, on: dt.date, passed: float, normals: dict[str, float], rng: random.Random
) -> dict[str, float]:
    """Return every analyte at one visit, rounded as reported; derived ones agree with what they derive from."""
    trends = trends_of(person)
    values = {}
    for key, row in ANALYTES.items():
        level = drift(trends[key], passed) if key in trends else normals[key]
        values[key] = max(level * rng.gauss(1, row.spread), 10**-row.digits)
    # A red cell count is free; the other indices follow from haemoglobin and the mean cell volume.
    values["mch"] = min(33.5, values["mcv"] * 0.332)
    values["red-cells"] = values["haemoglobin"] / values["mch"]
    values["haematocrit"] = values["red-cells"] * values["mcv"] / 1000
    values["neutrophils"] = values["white-cells"] * 0.58
    rounded = {key: tidy(value, ANALYTES[key].digits) for key, value in values.items()}
    rounded["egfr"] = tidy(
        ckd_epi_2021(rounded["creatinine"], age_years(person.born, on), female=person.gender != "male"), 0
    )
    rounded["non-hdl"] = tidy(rounded["cholesterol"] - rounded["hdl"], 1)
    rounded["ldl"] = tidy(max(rounded["non-hdl"] - rounded["triglycerides"] / 2.2, 0.6), 1)
    return rounded


def tidy(value: float, digits: int) -> float:
    """Return a value rounded to its reported decimals, an int where there are none."""
    return round(value, digits) if digits else round(value)


def is_adult(person: Person, on: dt.date) -> bool:
    """Tell whether eGFR may be reported: the equation holds from 18 years."""
    return age_years(person.born, on) >= _EGFR_ADULT_AGE
