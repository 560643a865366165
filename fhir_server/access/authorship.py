"""Whom patients and family may name as having said, measured or signed something: themselves.

What a person writes into a record is theirs, and readers rely on it: a measurement that names a nurse was sent by
whoever that nurse works for, never by the patient. Feeds and professionals name whom they speak for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_server.access.principal import Caller, Principal
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import parse_reference
from fhir_server.store.keys import reference_key

_FAMILY = frozenset({Caller.PATIENT, Caller.RELATED})
_SAID_BY = {
    "Communication": ("sender",),
    "Consent": ("performer",),
    "DocumentReference": ("author", "authenticator", "custodian"),
    "Observation": ("performer",),
    "QuestionnaireResponse": ("author", "source"),
}
"""Elements of what patients and family write that say who stands for it; those of an Appointment: `requests`."""


def check(principal: Principal, resource: Mapping[str, Any], patients: Sequence[int], fhir_base: str) -> None:
    """Refuse what names somebody else as its author; nothing has to be named.

    Args:
        principal: Whoever writes it.
        resource: The resource, valid R4, which is the writer's own data.
        patients: Keys of the patients whose record it is part of: a carer may say that the patient measured.
        fhir_base: Service base URL without trailing slash.

    Raises:
        FhirError: FORBIDDEN (403) naming the element and what is allowed.
    """
    if principal.caller not in _FAMILY:
        return
    for path, reference in _named(resource, str(resource["resourceType"])):
        found = parse_reference(str(reference.get("reference", "")), fhir_base)
        if f"{found.type}/{found.id}" == principal.subject:
            continue
        of_carer = principal.caller is Caller.RELATED and found.type == "Patient"
        if not (of_carer and reference_key("Patient", str(found.id)) in patients):
            allowed = principal.subject + (" or the patient" if principal.caller is Caller.RELATED else "")
            text = f"{path} must be {allowed}: who writes something stands for it"
            raise FhirError(Kind.FORBIDDEN, text, (path,))


def _named(resource: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield where somebody is named as the author of a resource, of a note on it or of what it contains."""
    for name in _SAID_BY.get(str(resource["resourceType"]), ()):
        value = resource.get(name, ())
        if isinstance(value, Mapping):
            yield f"{path}.{name}", value
            continue
        for index, each in enumerate(value):
            yield f"{path}.{name}[{index}]", each
    for index, note in enumerate(resource.get("note", ())):
        if "authorReference" in note:
            yield f"{path}.note[{index}].authorReference", note["authorReference"]
    for index, inner in enumerate(resource.get("contained", ())):
        yield from _named(inner, f"{path}.contained[{index}]")
