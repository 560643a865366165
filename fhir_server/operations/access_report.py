"""`Patient/[id]/$access-report`: who can see what now, and by which Consent (interfaces.md §6).

Whoever a Consent in force names, anyone where one names nobody, organisations by what they wrote, emergencies that are
running, the patient. What each can see is counted by the gate in SQL, over rows that whoever asks can see as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.access import labels, purposes
from fhir_server.access.visibility import Gate
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.operations import subjects
from fhir_server.operations.counting import TYPES, counts, parts
from fhir_server.operations.subjects import Named
from fhir_server.spec import json
from fhir_server.store import directory, grants, tallies
from fhir_server.store.grants import EmergencyAccess, Grant
from fhir_server.store.keys import NONE, key_of_reference

ANYONE: Final = "anyone"
_MOST_ACTORS: Final = 200
_POLICY_DENY: Final = "https://profiles.ihe.net/ITI/PCF/Policy-deny"
_POLICY_BREAK_GLASS_ONLY: Final = "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only"
_AUTHOR_TYPES: Final = ("Organization", "Practitioner")


@dataclass(frozen=True, slots=True)
class _Record:
    """One patient's record and all that decides about it.

    Attributes:
        key: Of the patient.
        reference: Literal reference of the patient.
        purpose: What access is for.
        consents: Active Consents that whoever asks can read, by key.
        grants: Their grants that are in force.
        emergencies: Running emergency accesses.
    """

    key: int
    reference: str
    purpose: str
    consents: Mapping[int, Named]
    grants: Sequence[Grant]
    emergencies: Sequence[EmergencyAccess]


def report(job: Job, interaction: Interaction) -> Outcome:
    """Return `policy` and one `access` for each actor, as Parameters.

    Raises:
        FhirError: NOT_FOUND (404) for a record that does not exist for whoever asks, or whose Consents they may not
            read; FORBIDDEN (403) for a kind of caller or token that never gets an answer; INVALID_VALUE (400) naming a
            parameter.
    """
    given = subjects.parameters(job, interaction, "actor", "purpose")
    only, purpose = subjects.actor_of(job, given, required=False), subjects.purpose_of(given)
    subjects.check_caller(job, "Patient")
    patient = subjects.patient_asked_about(job, interaction)
    now_us = job.decision.readable.at_us
    consents = subjects.consents_of(job, (patient,))
    in_force = [
        grant
        for grant in grants.of_patients(job.session, (patient,))
        if grant.consent in consents and grant.valid_from <= now_us < grant.valid_to
    ]
    record = _Record(
        patient, f"Patient/{interaction.id}", purpose, consents, in_force,
        tallies.live_emergencies_on(job.session, patient, now_us),
    )  # fmt: skip
    actors = {only: _names(record).get(only, "")} if only else _actors(job, record)
    listed = list(actors.items())[:_MOST_ACTORS]
    off = any(grant.blocks_emergency for grant in in_force)
    parameters: list[dict[str, Any]] = [
        {"name": "policy", "valueUri": _POLICY_DENY if off else _POLICY_BREAK_GLASS_ONLY},
        {"name": "purpose", "valueCode": purpose},
        *({"name": "access", "part": list(_access(job, record, actor, name))} for actor, name in listed),
    ]
    if len(actors) > len(listed):
        parameters.append({"name": "truncated", "valueBoolean": True})
    return Outcome(200, json.encode({"resourceType": "Parameters", "parameter": parameters}), "Parameters")


def _actors(job: Job, record: _Record) -> dict[str, str]:
    """Return whom to report on, the patient first: literal reference and the name a Consent gives them, if any."""
    named = _names(record)
    keys = {key_of_reference(reference): reference for reference in named}
    found = {record.reference: ""}
    found |= {keys[grant.actor]: named[keys[grant.actor]] for grant in record.grants if grant.actor in keys}
    if any(grant.actor == NONE and grant.permit for grant in record.grants):
        found[ANYONE] = "Anyone who is signed in"
    for author in tallies.authors(job.session, job.decision.readable, record.key, TYPES):
        reference = _author(job, author)
        if reference:
            found.setdefault(reference, named.get(reference, ""))
    for access in record.emergencies:
        found.setdefault(access.practitioner_reference, "")
    return found


def _author(job: Job, key: int) -> str:
    """Return the reference of an author who sees own data: an organisation, or a professional without one."""
    for kind in _AUTHOR_TYPES:
        reference = directory.reference_of(job.session, key, kind)
        if reference and key_of_reference(reference) == key:
            return reference
    return ""


def _names(record: _Record) -> dict[str, str]:
    """Return the names that the Consents give to whom they name, by literal reference."""
    return {
        str(actor["reference"]["reference"]): str(actor["reference"].get("display", ""))
        for consent in record.consents.values()
        for provision in _provisions(consent.content)
        for actor in provision.get("actor", ())
        if actor.get("reference", {}).get("reference")
    }


def _provisions(consent: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    waiting = [consent.get("provision", {})]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.get("provision", ())


def _access(job: Job, record: _Record, actor: str, name: str) -> Iterator[dict[str, Any]]:
    gate = _gate(job, record, actor)
    reference = {} if actor == ANYONE else {"reference": actor}
    yield {"name": "actor", "valueReference": reference | ({"display": name} if name else {})}
    seen = counts(job, gate, record.key)
    permits = [grant for grant in record.grants if grant.permit and grant.actor in {NONE, *gate.actors}]
    for reason in _reasons(job, record, gate, permits, seen=bool(seen)):
        yield {"name": "reason", "valueCode": reason}
    for key in dict.fromkeys(grant.consent for grant in permits):
        yield {"name": "consent", "valueReference": {"reference": f"Consent/{record.consents[key].id}"}}
    yield from _scope(record, gate, permits)
    for access in _own(record, actor):
        yield {"name": "emergency", "valuePeriod": subjects.period(access.started_at, access.expires_at)}
    yield from ({"name": "count", "part": part} for part in parts(seen))


def _gate(job: Job, record: _Record, actor: str) -> Gate:
    """Return the gate of an actor; of somebody whom nothing names, for anyone."""
    if actor == ANYONE:
        nobody = f"Practitioner/{job.context.new_id()}"
        return subjects.gate_of_actor(job, nobody, record.purpose)
    return subjects.gate_of_actor(job, actor, record.purpose, record.emergencies)


def _own(record: _Record, actor: str) -> list[EmergencyAccess]:
    return [access for access in record.emergencies if access.practitioner_reference == actor]


def _reasons(job: Job, record: _Record, gate: Gate, permits: Sequence[Grant], *, seen: bool) -> Iterator[str]:
    """Yield why the actor sees something at all, as codes."""
    if gate.own == record.key:
        yield "owner"
        return
    if permits:
        yield "consent"
    if not gate.own and subjects.reads_consents(job, gate, record.key):
        yield "full-proxy"
    if record.key in gate.emergencies:
        yield "emergency"
    if seen and gate.organizations and counts(job, _author_gate(gate), record.key):
        yield "own-data"


def _author_gate(gate: Gate) -> Gate:
    """Return what of a gate lets own data through, and nothing else."""
    return Gate(gate.at_us, organizations=gate.organizations)


def _scope(record: _Record, gate: Gate, permits: Sequence[Grant]) -> Iterator[dict[str, Any]]:
    """Yield the labels, purposes and the period that the permissions of an actor cover."""
    denied = [grant for grant in record.grants if not grant.permit and grant.actor in {NONE, *gate.actors}]
    for mask, code in labels.CODE_OF.items():
        closed = any(grant.labels & mask and not grant.rare for grant in denied)
        if any(grant.labels & mask for grant in permits) and not closed:
            yield {"name": "label", "valueCoding": {"system": labels.SYSTEM, "code": code}}
    for code in _purposes(record, permits):
        yield {"name": "purpose", "valueCoding": {"system": purposes.SYSTEM, "code": code}}
    if permits:
        period = subjects.period(min(grant.valid_from for grant in permits), max(grant.valid_to for grant in permits))
        if period:
            yield {"name": "period", "valuePeriod": period}


def _purposes(record: _Record, permits: Iterable[Grant]) -> list[str]:
    """Return the purposes that the Consents name, as they were written."""
    consents = dict.fromkeys(grant.consent for grant in permits)
    return list(
        dict.fromkeys(
            str(coding.get("code"))
            for key in consents
            for provision in _provisions(record.consents[key].content)
            for coding in provision.get("purpose", ())
            if coding.get("code")
        )
    )


OPERATION = Operation("access-report", ("Patient",), ("instance",), writes=False, run=report)
