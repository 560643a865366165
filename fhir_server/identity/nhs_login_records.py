"""The record of a person that NHS login vouches for: by NHS number, then by date of birth and surname.

INVARIANT: the match runs over every record, whoever may see it; what comes of it is told only to the person whose
NHS number it is, and nothing of a record but its reference and name leaves this module.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.access.ownership import is_dead
from fhir_server.spec import json
from fhir_server.store import belonging, directory, resources
from fhir_server.store.database import Session

_NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
_VERIFICATION = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
_VERIFIED = {"01", "number-present-and-verified"}


@dataclass(frozen=True, slots=True)
class Record:
    """A record that may be linked.

    Attributes:
        reference: `Patient/…`.
        name: As people read it.
        birth_date: `YYYY-MM-DD`, or less where less is known.
        families: Every surname of the record that is not an old one, as `_plain` returns it.
    """

    reference: str
    name: str
    birth_date: str
    families: frozenset[str]

    def is_of(self, birth_date: str, family: str) -> bool:
        """Return whether date of birth and surname are the record's; case, accents, hyphens and spaces aside."""
        return bool(_plain(family)) and self.birth_date == birth_date and _plain(family) in self.families


def by_number(session: Session, nhs_number: str, *, traced: bool = True) -> Record | None:
    """Return the one living person's record with this NHS number, None where there is none or doubt.

    Args:
        session: A transaction.
        nhs_number: Ten digits.
        traced: Only a number whose status says that it was verified; not needed of somebody who was seen in person.
    """
    keys = set(belonging.keys_with_identifier(session, "Patient", _NHS_NUMBER, nhs_number))
    if len(keys) != 1:
        return None
    reference = directory.reference_of(session, keys.pop(), "Patient")
    stored = resources.current(session, "Patient", reference.partition("/")[2]) if reference else None
    if stored is None or stored.deleted or stored.content is None:
        return None
    patient = json.decode(stored.content, len(stored.content) + 1)
    if patient.get("active") is False or is_dead(patient) or (traced and not _is_verified(patient, nhs_number)):
        return None
    names = [name for name in patient.get("name", ()) if name.get("use") not in {"old", "maiden"}]
    families = frozenset(_plain(name["family"]) for name in names if name.get("family"))
    return Record(reference, _shown(names), patient.get("birthDate", ""), families - {""})


def _is_verified(patient: Mapping[str, Any], nhs_number: str) -> bool:
    """Return whether the number's status says that it was traced (UK Core; nhs.md §1)."""
    for identifier in patient.get("identifier", ()):
        if identifier.get("system") != _NHS_NUMBER or identifier.get("value") != nhs_number:
            continue
        for extension in identifier.get("extension", ()):
            codings = extension.get("valueCodeableConcept", {}).get("coding", ())
            if extension.get("url") == _VERIFICATION and any(coding.get("code") in _VERIFIED for coding in codings):
                return True
    return False


def _shown(names: list[Mapping[str, Any]]) -> str:
    official = next((name for name in names if name.get("use") == "official"), names[0] if names else {})
    text = official.get("text") or " ".join([*official.get("given", ()), official.get("family", "")])
    return str(text).strip() or "Unnamed"


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in letters if letter.isalnum())
