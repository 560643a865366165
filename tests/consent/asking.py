"""What requests of the comparison are made of: whom and what they name, and the form in which they are sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tests.consent.world import (
    ANN,
    BOB,
    CARER,
    GP,
    PRACTICE,
)  # fmt: skip

ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
LABELS = ("general", "mental-health", "sexual-health", "social-care")
PATIENTS = (ANN, BOB)
IDS = ("a-1", "a-2", "a-mh", "b-1", "b-2", "b-mh", "both", "drawn-0", "drawn-1", "drawn-2", "drawn-3", "nowhere")
REFERENCES = (
    *(f"Observation/{name}" for name in IDS),
    *(f"{kind}/{prefix}-{stem}{end}" for kind, stem in (
        ("DocumentReference", "doc"), ("Binary", "bin"), ("Provenance", "prov"), ("Encounter", "enc")
    ) for prefix in "ab" for end in ("", "-mh")),
    ANN, BOB, CARER, GP, PRACTICE, "Patient/nowhere", "Observation/gone", "Observation/gone-mh", "Consent/first",
    "PractitionerRole/role-0",
)  # fmt: skip
TYPES = (
    "Observation", "Patient", "Encounter", "DocumentReference", "Provenance", "Binary", "Consent", "RelatedPerson",
    "Practitioner", "PractitionerRole", "Organization", "Task",
)  # fmt: skip
PROFILES = Path(__file__).parents[2] / "profiles"
PATCH = (("Content-Type", "application/json-patch+json"),)
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)


class Request(NamedTuple):
    """One request, as a test client sends it."""

    method: str
    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def writes(self) -> bool:
        """Return whether it may change the record."""
        return self.method not in {"GET", "HEAD"} and not self.path.endswith("/_search")
