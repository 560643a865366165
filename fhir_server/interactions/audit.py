"""Build AuditEvents: what `perform` writes for every interaction, sign-in and emergency access.

The shape is IHE BALP's (https://profiles.ihe.net/ITI/BALP/): one event per patient, who asked on whose behalf,
through which application, why, what was touched (type, id, version), the query, the outcome, the request. Never
content of a record.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from fhir_server.access.principal import Principal
from fhir_server.interactions import audit_parts as parts
from fhir_server.interactions.audit_parts import Agent, Entity, agent_of
from fhir_server.interactions.audit_search import read_interaction, search_interaction
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.spec.outcome import FhirError
from fhir_server.store.events import Event
from fhir_server.store.instants import to_us
from fhir_server.store.keys import NONE, key_of_reference, reference_key

__all__ = [
    "Agent",
    "Emergency",
    "Entity",
    "administration_event",
    "agent_of",
    "decision_event",
    "disclosure_events",
    "emergency_event",
    "login_event",
    "read_interaction",
    "search_interaction",
]

EMERGENCY_STARTED = "110127"
EMERGENCY_STOPPED = "110138"
LOGIN = "110122"
LOGOUT = "110123"
CONSENT_DECISION = "AuthZ-Consent"
BREAK_GLASS = "BTG"

_REFUSED_FROM = 400
_FAILED_FROM = 500

_REST = parts.coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest")
_APPLICATION_ACTIVITY = parts.coding(parts.DICOM, "110100")
_SECURITY_ALERT = parts.coding(parts.DICOM, "110113")
_USER_AUTHENTICATION = parts.coding(parts.DICOM, "110114")
_SUBTYPE = {code: parts.coding("http://hl7.org/fhir/restful-interaction", code.value) for code in Code}
_ACTION = {
    Code.READ: "R",
    Code.VREAD: "R",
    Code.HISTORY: "R",
    Code.HISTORY_TYPE: "R",
    Code.HISTORY_SYSTEM: "R",
    Code.CAPABILITIES: "R",
    Code.CREATE: "C",
    Code.UPDATE: "U",
    Code.PATCH: "U",
    Code.DELETE: "D",
}
_EXECUTE = "E"
_VARIANT = "89ab"
_PROFILE = {
    Code.READ: "Read",
    Code.VREAD: "Read",
    Code.CREATE: "Create",
    Code.UPDATE: "Update",
    Code.PATCH: "Update",
    Code.DELETE: "Delete",
    Code.SEARCH: "Query",
    Code.SEARCH_SYSTEM: "Query",
}


@dataclass(frozen=True, slots=True)
class Emergency:
    """An emergency access as recorded at its start and end.

    Attributes:
        grant_id: Id of the grant.
        patient: Key of the patient.
        patient_id: Logical id of the patient.
        reason_system: System of the reason's code.
        reason_code: Code of the reason.
        reason: The person's own words, shown to the patient.
    """

    grant_id: str
    patient: int
    patient_id: str
    reason_system: str
    reason_code: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the events of one request have in common."""

    type: bytes
    subtype: bytes
    kind: str
    action: str
    outcome: str
    description: str = ""
    purpose: str = ""
    profile: str = ""


def disclosure_events(  # noqa: PLR0913 - everything an event says, all but three by keyword
    interaction: Interaction,
    principal: Principal,
    context: Context,
    *,
    status: int,
    patients: Mapping[int, str],
    entities: Sequence[tuple[str, str, int] | tuple[str, str, int, tuple[int, ...]]] = (),
    error: FhirError | None = None,
    break_glass_grant_id: str | None = None,
    consents: Iterable[str] = (),
) -> list[Event]:
    """Return the events of one interaction, one per patient, or one about nobody's record.

    Args:
        interaction: The request.
        principal: Who asked.
        context: Clock, ids, base URL, request id, address.
        status: HTTP status of the answer.
        patients: Key → logical id of each patient whose record was touched or, in a refused request, aimed at, even
            when the caller is told 404.
        entities: Resources disclosed or written, as `Entity` or (type, id, version); each is named in the events of its
            own patients, and one whose patients are not given only where there is one event.
        error: The refusal, if any; its kind is recorded, its diagnostics are not.
        break_glass_grant_id: Id of the emergency access it happened under, which makes the purpose `BTG`.
        consents: Logical ids of the Consents that decided.
    """
    agent = agent_of(principal, context)
    code = interaction.code
    action = _ACTION.get(code, _EXECUTE)
    shape = _Shape(
        type=_REST,
        subtype=_SUBTYPE[code],
        kind=code.value,
        action=action,
        outcome=_outcome(status),
        description=f"{status} {error.kind.issue_code}" if error else "",
        purpose=BREAK_GLASS if break_glass_grant_id else principal.purpose,
        # A BALP profile describes successes, and asks for the caller's network address.
        profile=_PROFILE.get(code, "") if status < _REFUSED_FROM and agent.address and agent.client_id else "",
    )
    is_query = action == _EXECUTE
    named = [Entity(*entity) for entity in entities]
    if not named and interaction.type and not is_query:
        named = [Entity(interaction.type, interaction.id)]
    tail = [parts.query_entity(interaction)] if is_query or interaction.conditional or interaction.if_none_exist else []
    if context.request_id:
        tail.append(parts.request_entity(context.request_id))
    if break_glass_grant_id:
        tail.append(parts.emergency_entity(break_glass_grant_id))
    tail += [parts.consent_entity(consent) for consent in consents]
    of_each: dict[int, list[Entity]] = {patient: [] for patient in patients}
    for entity in named:
        for patient in of_each.keys() & entity.patients:
            of_each[patient].append(entity)
    events, frame = [], _frame(shape, agent, context, of_patient=bool(patients))
    for patient, patient_id in patients.items() or ((NONE, ""),):
        # INVARIANT: one patient's log never names another patient's resource.
        touched = named if len(patients) <= 1 else of_each[patient]
        listed = [parts.patient_entity(patient_id)] if patient_id else []
        listed += [parts.data_entity(entity, result=is_query) for entity in touched]
        key = reference_key(touched[0].type, touched[0].id) if len(touched) == 1 and touched[0].id else NONE
        events.append(frame.event(patient, [*listed, *tail], key))
    return events


def emergency_event(emergency: Emergency, agent: Agent, context: Context, *, started: bool) -> Event:
    """Return the event of an emergency access that starts (DICOM 110127) or ends (110138)."""
    kind = EMERGENCY_STARTED if started else EMERGENCY_STOPPED
    shape = _Shape(_SECURITY_ALERT, parts.coding(parts.DICOM, kind), kind, _EXECUTE, "0", purpose=BREAK_GLASS)
    reason_code = "|".join(part for part in (emergency.reason_system, emergency.reason_code) if part)
    entities = [
        parts.patient_entity(emergency.patient_id),
        parts.emergency_entity(emergency.grant_id, emergency.reason, reason_code),
    ]
    return _event(shape, agent, context, patient=emergency.patient, entities=[*entities, *_request(context)])


def login_event(
    agent: Agent, context: Context, *, succeeded: bool, reason: str = "", patient_id: str = "", started: bool = True
) -> Event:
    """Return the event of a sign-in (DICOM 110122) or, where not `started`, a sign-out (110123).

    Args:
        agent: Who signed in; without a reference where the account is unknown.
        context: Clock, ids, base URL, request id, address.
        succeeded: Whether they are in.
        reason: Why not, a fixed sentence of ours.
        patient_id: The patient whose own account it is, so that it shows in their log.
        started: False for a sign-out.
    """
    kind = LOGIN if started else LOGOUT
    outcome = "0" if succeeded else "4"
    shape = _Shape(_USER_AUTHENTICATION, parts.coding(parts.DICOM, kind), kind, _EXECUTE, outcome, reason)
    entities = [parts.patient_entity(patient_id)] if patient_id else []
    patient = reference_key("Patient", patient_id) if patient_id else NONE
    return _event(shape, agent, context, patient=patient, entities=[*entities, *_request(context)])


def administration_event(
    principal: Principal, context: Context, *, action: str, description: str, status: int
) -> Event:
    """Return the event of a use of the administration API: about clients and accounts, nobody's record."""
    subtype = parts.coding(parts.ADMINISTRATION, action)
    refusal = str(status) if status >= _REFUSED_FROM else ""
    shape = _Shape(_APPLICATION_ACTIVITY, subtype, action, _EXECUTE, _outcome(status), refusal, principal.purpose)
    subject = [parts.subject_entity(description)] if description else []
    agent = agent_of(principal, context)
    return _event(shape, agent, context, patient=NONE, entities=[*subject, *_request(context)])


def stranger_event(agent: Agent, context: Context, *, action: str, description: str, reason: str = "") -> Event:
    """Return the event of an act that needs no account, such as a message to the service desk: from where, no more.

    With a `reason`, a fixed sentence of ours, it is that of a refusal.
    """
    outcome = "4" if reason else "0"
    subtype = parts.coding(parts.ADMINISTRATION, action)
    shape = _Shape(_APPLICATION_ACTIVITY, subtype, action, _EXECUTE, outcome, reason)
    entities = [parts.subject_entity(description), *_request(context)]
    return _event(shape, agent, context, patient=NONE, entities=entities)


def decision_event(
    principal: Principal,
    context: Context,
    *,
    patient_id: str,
    permitted: bool,
    consents: Iterable[str],
    reason: str = "",
) -> Event:
    """Return the event of a decision by Consent that was asked for on its own (BALP `AuthZconsent`)."""
    subtype = parts.coding(f"{parts.BALP}/CodeSystem/AuthZsubType", CONSENT_DECISION)
    outcome = "0" if permitted else "8"
    shape = _Shape(_SECURITY_ALERT, subtype, CONSENT_DECISION, _EXECUTE, outcome, reason, principal.purpose)
    entities = [parts.patient_entity(patient_id), *(parts.consent_entity(consent) for consent in consents)]
    patient = reference_key("Patient", patient_id)
    return _event(
        shape, agent_of(principal, context), context, patient=patient, entities=[*entities, *_request(context)]
    )


def _outcome(status: int) -> str:
    if status < _REFUSED_FROM:
        return "0"
    return "4" if status < _FAILED_FROM else "8"


def _request(context: Context) -> list[bytes]:
    return [parts.request_entity(context.request_id)] if context.request_id else []


@dataclass(frozen=True, slots=True)
class _Frame:
    """An event but for its id, its patient and what was touched: the same in all events of one request.

    Attributes:
        shape: What the request was.
        head: Content between the id and the entities.
        recorded_at: Microseconds since the epoch, UTC.
        agent: Key of the reference of who asked.
        organization: Key of the organisation acted for, 0 for none.
    """

    shape: _Shape
    head: bytes
    recorded_at: int
    agent: int
    organization: int

    def event(self, patient: int, entities: Sequence[bytes], entity: int) -> Event:
        """Return one event."""
        event_id = _time_ordered_id(self.recorded_at)
        shape, named = self.shape, b',"entity":[%b]' % b",".join(entities) if entities else b""
        return Event(
            id=event_id,
            recorded_at=self.recorded_at,
            patient=patient,
            agent=self.agent,
            organization=self.organization,
            entity=entity,
            kind=shape.kind,
            action=shape.action,
            outcome=shape.outcome,
            # What is searched by; whoever acts for several is found by the first.
            purpose=shape.purpose.partition(" ")[0].rpartition("|")[2],
            content=b'{"resourceType":"AuditEvent","id":%b%b%b}' % (parts.quote(event_id), self.head, named),
        )


def _time_ordered_id(at_us: int) -> str:
    """Return a UUID of version 7 (RFC 9562 §5.7): what is recorded together lies together in the index of ids."""
    at, chance = f"{at_us // 1_000:012x}", os.urandom(10).hex()
    return f"{at[:8]}-{at[8:]}-7{chance[:3]}-{_VARIANT[int(chance[3], 16) & 3]}{chance[4:7]}-{chance[8:]}"


def _frame(shape: _Shape, agent: Agent, context: Context, *, of_patient: bool) -> _Frame:
    now = context.now()
    recorded = now.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z").encode()
    profile = b""
    if shape.profile:
        name = f"Patient{shape.profile}" if of_patient else shape.profile
        profile = b',"profile":["%b/StructureDefinition/IHE.BasicAudit.%b"]' % (parts.BALP.encode(), name.encode())
    head = b"".join(
        (
            b',"meta":{"versionId":"1","lastUpdated":"%b"%b}' % (recorded, profile),
            b',"type":%b,"subtype":[%b],"action":"%b"' % (shape.type, shape.subtype, shape.action.encode()),
            b',"recorded":"%b","outcome":"%b"' % (recorded, shape.outcome.encode()),
            b',"outcomeDesc":%b' % parts.quote(shape.description) if shape.description else b"",
            b',"purposeOfEvent":%b' % parts.purposes(shape.purpose) if shape.purpose else b"",
            b',"agent":%b' % parts.agents(agent, shape.action, context.fhir_base),
            b',"source":%b' % parts.source(context.fhir_base),
        )
    )
    return _Frame(
        shape,
        head,
        to_us(now),
        key_of_reference(agent.reference) if agent.reference else NONE,
        key_of_reference(agent.organization) if agent.organization else NONE,
    )


def _event(
    shape: _Shape, agent: Agent, context: Context, *, patient: int, entities: Sequence[bytes], entity: int = NONE
) -> Event:
    return _frame(shape, agent, context, of_patient=bool(patient)).event(patient, entities, entity)
