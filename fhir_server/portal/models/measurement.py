"""Measurements that people enter themselves: what may be entered, its limits, and the Observation it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from fhir_server.portal.forms import about
from fhir_server.portal.models import labels
from fhir_server.portal.models.words import LONDON, Json

_LOINC: Final = "http://loinc.org"
_UCUM: Final = "http://unitsofmeasure.org"
_WHOLE: Final = "%(what)s must be a whole number"
_ONE_PLACE: Final = "%(what)s must be a number with at most one decimal place"


@dataclass(frozen=True, slots=True)
class Field:
    """One number to enter.

    Attributes:
        name: Name of the form field.
        label: What the page asks.
        unit: Unit as people read it.
        ucum: Unit as UCUM.
        low: Least plausible value.
        high: Greatest plausible value.
        loinc: Code of the number.
        display: Display of that code.
        places: Greatest number of decimal places.
    """

    name: str
    label: str
    unit: str
    ucum: str
    low: int
    high: int
    loinc: str
    display: str
    places: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One measurement that can be entered; several fields make components of one Observation."""

    code: str
    title: str
    loinc: str
    display: str
    fields: tuple[Field, ...]


def _one(code: str, title: str, loinc: str, display: str, field: tuple[str, str, str, int, int, int]) -> Kind:
    """Return a measurement of one number: (what the page asks, unit, unit as UCUM, least, greatest, places)."""
    label, unit, ucum, low, high, places = field
    return Kind(code, title, loinc, display, (Field(code, label, unit, ucum, low, high, loinc, display, places),))


KINDS: Final = (
    Kind(
        "blood-pressure",
        "Blood pressure",
        "85354-9",
        "Blood pressure",
        (
            Field("systolic", "Top number (systolic)", "mmHg", "mm[Hg]", 50, 280, "8480-6", "Systolic blood pressure"),
            Field(
                "diastolic",
                "Bottom number (diastolic)",
                "mmHg",
                "mm[Hg]",
                20,
                180,
                "8462-4",
                "Diastolic blood pressure",
            ),
        ),
    ),
    _one("weight", "Weight", "29463-7", "Body weight", ("Weight in kilograms", "kg", "kg", 1, 400, 1)),
    _one("height", "Height", "8302-2", "Body height", ("Height in centimetres", "cm", "cm", 30, 250, 1)),
    _one("pulse", "Pulse", "8867-4", "Heart rate", ("Beats in a minute", "beats/minute", "/min", 20, 250, 0)),
    _one(
        "temperature", "Temperature", "8310-5", "Body temperature", ("Temperature in degrees", "°C", "Cel", 30, 45, 1)
    ),
    _one(
        "oxygen",
        "Oxygen level",
        "59408-5",
        "Oxygen saturation by pulse oximetry",
        ("Oxygen level in per cent", "%", "%", 50, 100, 0),
    ),
    _one(
        "blood-sugar",
        "Blood sugar",
        "14743-9",
        "Glucose in capillary blood by glucometer",
        ("Blood sugar", "mmol/L", "mmol/L", 1, 35, 1),
    ),
    _one("peak-flow", "Peak flow", "19935-6", "Peak flow", ("Best of three blows", "L/min", "L/min", 40, 900, 0)),
)
BY_CODE: Final = {kind.code: kind for kind in KINDS}


def amount(field: Field, text: str) -> Decimal | str:
    """Return the number a person typed, or what is wrong with it in words."""
    try:
        value = Decimal(text.strip().replace(",", "."))
    except InvalidOperation:
        example = (field.low + field.high) // 2
        return about("Enter %(what)s as a number, for example %(example)s", field.label, example=example)
    if not value.is_finite() or not field.low <= value <= field.high:
        bounds = {"low": field.low, "high": field.high, "unit": field.unit}
        return about("%(what)s must be between %(low)s and %(high)s %(unit)s", field.label, **bounds)
    if -int(value.as_tuple().exponent) > field.places:
        return about(_ONE_PLACE if field.places else _WHOLE, field.label)
    return value


def observation(
    kind: Kind, values: Mapping[str, Decimal], *, patient: Json, taken: datetime | date, by: Json | None = None
) -> dict[str, Any]:
    """Return the Observation of a measurement at home: performed by the patient, or by family (`by`) in their place."""
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        # A patient has no organisation that a label could come from; without one nobody else could see it.
        "meta": {"security": [{"system": labels.SYSTEM, "code": "general"}]},
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                        "display": "Vital Signs",
                    }
                ]
            }
        ],
        "code": _code(kind.loinc, kind.display),
        "subject": dict(patient),
        "effectiveDateTime": taken.astimezone(LONDON).isoformat(timespec="seconds")
        if isinstance(taken, datetime)
        else taken.isoformat(),
        "performer": [dict(by or patient)],
    }
    if len(kind.fields) == 1:
        field = kind.fields[0]
        return resource | {"valueQuantity": _quantity(field, values[field.name])}
    components = [
        {"code": _code(field.loinc, field.display), "valueQuantity": _quantity(field, values[field.name])}
        for field in kind.fields
    ]
    return resource | {"component": components}


def _code(loinc: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": _LOINC, "code": loinc, "display": display}], "text": display}


def _quantity(field: Field, value: Decimal) -> dict[str, Any]:
    return {"value": value, "unit": field.unit, "system": _UCUM, "code": field.ucum}
