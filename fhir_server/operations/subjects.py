"""Who may ask who can see what, about whom, and in which words: shared by the operations that explain sharing.

They answer the patient, a full proxy (a person who may read the patient's Consents) and the privacy officer. A token
that may not read Consents is refused whatever it asks about; to a person who is none of these, hidden and absent are
one answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fhir_server.access import labels, purposes
from fhir_server.access.decide import gate, gate_of
from fhir_server.access.principal import Caller
from fhir_server.access.verdict import Record, verdict
from fhir_server.access.visibility import Gate
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.validate import validate
from fhir_server.spec.values import instant_text, parse_reference
from fhir_server.store import belonging, grants, resources
from fhir_server.store.grants import EmergencyAccess
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import key_of_reference, type_key

ACTOR_TYPES = (
    "Practitioner", "PractitionerRole", "Organization", "RelatedPerson", "CareTeam", "Group", "Device", "Patient",
)  # fmt: skip
_EARLIEST, _LATEST = to_us(datetime.min.replace(tzinfo=UTC)), to_us(datetime.max.replace(tzinfo=UTC))
_ASKING = frozenset({Caller.PATIENT, Caller.RELATED, Caller.OPERATOR})


@dataclass(frozen=True, slots=True)
class Named:
    """A Consent that whoever asks can read: its id and content."""

    id: str
    content: Mapping[str, Any]


def parameters(job: Job, interaction: Interaction, *allowed: str) -> dict[str, Any]:
    """Return the parameters of a call by name: text from the query, a value or resource from a Parameters body.

    Raises:
        FhirError: 400 or 422 naming a parameter that is unknown or repeated, or a body that is no Parameters.
    """
    pairs: list[tuple[str, Any]] = list(interaction.query)
    if interaction.resource is not None:
        if interaction.resource.get("resourceType") != "Parameters":
            raise FhirError(Kind.MALFORMED, "The body must be a Parameters resource", ("Parameters",))
        validate(job.definitions, dict(interaction.resource))
        pairs += [(str(item.get("name")), _value(item)) for item in interaction.resource.get("parameter", ())]
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in allowed:
            raise invalid(name[:64], f"is not a parameter here; allowed: {', '.join(allowed)}")
        if name in found:
            raise invalid(name, "may be given once")
        found[name] = value
    return found


def _value(item: Mapping[str, Any]) -> Any:
    if "resource" in item:
        return item["resource"]
    value = next((value for name, value in item.items() if name.startswith("value")), "")
    return value.get("reference", "") if isinstance(value, Mapping) else value


def actor_of(job: Job, given: Mapping[str, Any], *, required: bool) -> str:
    """Return the literal reference of the `actor` parameter, "" where it is not required and absent.

    Raises:
        FhirError: INVALID_VALUE (400) where it is missing, or no reference to one that can be an actor.
    """
    text = given.get("actor", "")
    if not text and not required:
        return ""
    found = parse_reference(str(text), job.context.fhir_base)
    if found.type not in ACTOR_TYPES or not found.id or not isinstance(text, str):
        raise invalid("actor", f"must be a reference to one of {', '.join(ACTOR_TYPES)}, such as Practitioner/1")
    return f"{found.type}/{found.id}"


def purpose_of(given: Mapping[str, Any]) -> str:
    """Return the `purpose` parameter, TREAT unless given.

    Raises:
        FhirError: INVALID_VALUE (400) for a code that no caller can have.
    """
    text = given.get("purpose", purposes.DEFAULT)
    try:
        purposes.check(str(text))
    except ValueError as error:
        raise invalid("purpose", str(error)) from error
    return str(text)


def invalid(name: str, text: str) -> FhirError:
    """Return the refusal of a parameter."""
    return FhirError(Kind.INVALID_VALUE, f"{name} {text}", (f"Parameters.parameter.where(name = '{name}')",))


def check_caller(job: Job, resource_type: str) -> None:
    """Refuse a caller of a kind that never gets an answer, and a token that may not read the type or Consents.

    Raises:
        FhirError: FORBIDDEN (403), whatever is asked about.
    """
    if job.principal.caller not in _ASKING and not is_officer(job):
        raise FhirError(Kind.FORBIDDEN, "Only the patient, a full proxy and the privacy officer may ask this")
    for kind in (resource_type, "Consent"):
        gate(job.principal, "r", kind)


def patient_asked_about(job: Job, interaction: Interaction) -> int:
    """Return the key of the patient whose sharing is asked about, noted for the access log.

    Raises:
        FhirError: NOT_FOUND (404) for a record that does not exist for whoever asks, or whose Consents they may not
            read; GONE (410) for a Patient that was deleted and visible.
    """
    if is_officer(job):
        stored = resources.current(job.session, "Patient", interaction.id)
    else:
        stored = resources.get(job.session, job.decision.readable, "Patient", interaction.id)
    if stored is None or not may_ask(job, (stored.key,)):
        raise not_found(interaction)
    job.trace.touch((stored.key,), "Patient", interaction.id, stored.version)
    if stored.deleted:
        raise FhirError(Kind.GONE, f"Patient/{interaction.id} was deleted")
    return stored.key


def not_found(interaction: Interaction) -> FhirError:
    """Return the answer for what does not exist for whoever asks: that of a read."""
    return FhirError(Kind.NOT_FOUND, f"{interaction.type}/{interaction.id} is not known")


def is_officer(job: Job) -> bool:
    """Return whether a privacy officer asks."""
    return job.principal.caller is Caller.STAFF and job.principal.role == "privacy-officer"


def may_ask(job: Job, patients: Iterable[int]) -> bool:
    """Return whether whoever asks may know who can see the record of every one of these patients.

    INVARIANT: whoever may not read a patient's Consents may not learn what they say in other words either.
    """
    return is_officer(job) or all(reads_consents(job, job.decision.readable, patient) for patient in patients)


def reads_consents(job: Job, visibility: Gate, patient: int) -> bool:
    """Return whether a Consent of this patient would exist for a gate: the patient's own, or a full proxy's."""
    consent = Record(type_key("Consent"), (patient,), labels.GENERAL, labels.NORMAL, 0)
    return verdict(visibility, consent, grants.of_patients(job.session, (patient,))).visible


def consents_of(job: Job, patients: Iterable[int]) -> dict[int, Named]:
    """Return the Consents of these patients that count now or later and that whoever asks can read, by key."""
    visibility = Gate(to_us(job.context.now()), everything=True) if is_officer(job) else job.decision.readable
    keys = dict.fromkeys(grant.consent for grant in grants.of_patients(job.session, tuple(patients)))
    named: dict[int, Named] = {}
    for key, logical_id in belonging.ids_of(job.session, keys).items():
        stored = resources.get(job.session, visibility, "Consent", logical_id)
        if stored is not None and stored.content is not None:
            named[key] = Named(logical_id, json.decode(stored.content, len(stored.content) + 1))
    return named


def gate_of_actor(
    job: Job, actor: str, purpose: str, emergencies: Iterable[EmergencyAccess] = (), *, exact: bool = False
) -> Gate:
    """Return the reading gate of an actor.

    Args:
        job: The transaction and the instant.
        actor: Literal reference.
        purpose: What the access is for.
        emergencies: Emergency accesses that are running; those of this actor count.
        exact: Look at content for criteria that need it, also where no grant of the actor has such a criterion now.
    """
    own = key_of_reference(actor)
    found = gate_of(job.session, actor, purpose, job.context.now())
    running = tuple(dict.fromkeys(access.patient for access in emergencies if access.practitioner == own))
    return replace(found, emergencies=running, rare=exact or found.rare)


def period(start_us: int, end_us: int) -> dict[str, str]:
    """Return a Period; an end that is open, or beyond any date, is left out."""
    ends = {"start": start_us, "end": end_us}
    return {name: instant_text(from_us(at_us)) for name, at_us in ends.items() if _EARLIEST <= at_us <= _LATEST}
