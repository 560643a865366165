"""One part of a record on a page of its own: conditions, medicines, allergies, vaccinations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flask import render_template

from fhir_server.portal.models.freshness import freshness
from fhir_server.portal.models.summary import Entry, summary
from fhir_server.portal.views.record import clinical
from fhir_server.portal.views.whose import open_record


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a record.

    Attributes:
        title: What it is called.
        types: Resource types that it is made of.
        pile: Name of the part in a `Summary`.
        since: Word before the date of an entry.
        now: Heading of what still holds.
        past: Heading of what does not.
        help: What a reader should know about it.
        empty: Why it may be empty.
    """

    title: str
    types: tuple[str, ...]
    pile: str
    since: str
    now: str
    past: str
    help: str
    empty: str


SECTIONS: Final = {
    "conditions": Section(
        "Health conditions",
        ("Condition",),
        "conditions",
        "Since",
        "Conditions now",
        "Conditions in the past",
        "What doctors and nurses have recorded as a condition or problem.",
        "No health conditions are recorded here. They appear when a practice or hospital sends them.",
    ),
    "medicines": Section(
        "Medicines",
        ("MedicationRequest", "MedicationStatement"),
        "medicines",
        "Since",
        "Medicines now",
        "Medicines no longer taken",
        "Do not start, stop or change a medicine because of what is here. Ask a pharmacist or your doctor first.",
        "No medicines are recorded here. Medicines bought in a shop, and those given in hospital, are often missing.",
    ),
    "allergies": Section(
        "Allergies",
        ("AllergyIntolerance",),
        "allergies",
        "Recorded",
        "Allergies known now",
        "Allergies in the past",
        "Tell everybody who treats you about your allergies, even if they are listed here.",
        "No allergies are recorded here. That does not mean there are none.",
    ),
    "vaccinations": Section(
        "Vaccinations",
        ("Immunization",),
        "vaccinations",
        "Given",
        "Vaccinations",
        "",
        "What was given, and when.",
        "No vaccinations are recorded here. Older ones, and those given in a pharmacy or abroad, are often missing.",
    ),
}


def conditions(patient_id: str = "") -> str:
    """Show health conditions."""
    return _page("conditions", patient_id)


def medicines(patient_id: str = "") -> str:
    """Show medicines."""
    return _page("medicines", patient_id)


def allergies(patient_id: str = "") -> str:
    """Show allergies."""
    return _page("allergies", patient_id)


def vaccinations(patient_id: str = "") -> str:
    """Show vaccinations."""
    return _page("vaccinations", patient_id)


def _page(name: str, patient_id: str) -> str:
    section = SECTIONS[name]
    record = open_record(patient_id)
    resources = clinical(record, section.types)
    entries: tuple[Entry, ...] = getattr(summary(resources), section.pile)
    return render_template(
        "portal/record/section.html",
        record=record,
        section=section,
        now=[entry for entry in entries if entry.active],
        past=[entry for entry in entries if not entry.active],
        sources=freshness(resources, record.reference),
    )
