"""The four kinds of information that a patient can share or hide, in plain words (privacy labels)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fhir_server.portal.models.words import Json, items

SYSTEM: Final = "https://fhir-server.example.org/CodeSystem/privacy-label"


@dataclass(frozen=True, slots=True)
class Label:
    """One kind of information.

    Attributes:
        code: Code of the CodeSystem privacy-label.
        name: What it is called on pages.
        meaning: One sentence on what falls under it.
    """

    code: str
    name: str
    meaning: str


LABELS: Final = (
    Label(
        "general", "General health", "Most of your record: letters, blood tests, appointments, medicines and allergies."
    ),
    Label("mental-health", "Mental health", "What mental health services wrote, such as letters and appointments."),
    Label("sexual-health", "Sexual health", "What sexual health clinics wrote, such as test results and letters."),
    Label("social-care", "Social care", "What your council's social care team wrote, such as care plans."),
)
BY_CODE: Final = {label.code: label for label in LABELS}


def in_order(codes: Iterable[str]) -> tuple[Label, ...]:
    """Return the labels of these codes in the order in which pages list them; unknown codes are left out."""
    wanted = set(codes)
    return tuple(label for label in LABELS if label.code in wanted)


def of_resource(resource: Json) -> tuple[Label, ...]:
    """Return the labels that a resource carries."""
    meta = resource.get("meta")
    if not isinstance(meta, dict):
        return ()
    return in_order(str(tag.get("code")) for tag in items(meta, "security") if tag.get("system") == SYSTEM)
