"""The access log in plain words: one AuditEvent. `audit` groups them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from fhir_server import web
from fhir_server.portal.models.words import (
    Json,
    Moment,
    display,
    first,
    items,
    moment,
    reference,
)

_OPERATORS: Final = frozenset({"operator", "system"})
_EMERGENCY_ROLE: Final = "13"
_DIRECTORY: Final = frozenset({"Organization", "Practitioner"})
_DATA_ROLES: Final = frozenset({"4", "24"})

DETAILS: Final = "your details"
_INFORMATION: Final = {
    "Patient": DETAILS,
    "Observation": "test results and measurements",
    "DiagnosticReport": "test reports",
    "DocumentReference": "letters",
    "Binary": "letters",
    "Composition": "letters",
    "Appointment": "appointments",
    "Encounter": "hospital and clinic visits",
    "Condition": "health conditions",
    "AllergyIntolerance": "allergies",
    "MedicationRequest": "medicines",
    "MedicationStatement": "medicines",
    "MedicationDispense": "medicines",
    "Immunization": "vaccinations",
    "Procedure": "operations and procedures",
    "Flag": "alerts",
    "CarePlan": "care plans",
    "Communication": "messages about appointments",
    "RelatedPerson": "family and carers",
    "Consent": "sharing choices",
    "AuditEvent": "the access log",
    "Provenance": "where information came from",
    "Organization": "the directory of organisations and staff",
    "Practitioner": "the directory of organisations and staff",
    "PractitionerRole": "the directory of organisations and staff",
    "Location": "the directory of organisations and staff",
    "HealthcareService": "the directory of organisations and staff",
    "Task": "requests that wait for an answer",
}
_PURPOSE: Final = {
    "TREAT": "For your care",
    "ETREAT": "Emergency treatment",
    "BTG": "Emergency access",
    "PATRQT": "At your request",
    "FAMRQT": "At your family's request",
    "PATADMIN": "Running the service",
    "HOPERAT": "Running the service",
    "HPAYMT": "Payment",
    "COC": "For your care",
    "HCOMPL": "To check that the rules were kept",
    "CAREMGT": "For your care",
    "HRESCH": "Research",
}
_VERB: Final = {"C": "Added", "R": "Looked at", "U": "Changed", "D": "Deleted", "E": "Looked at"}
REVIEWED: Final = "Reviewed the emergency access"
SOUGHT: Final = "Asked for emergency access"
STARTED: Final = "Started emergency access"
_SPECIAL: Final = {
    "$break-glass": SOUGHT,
    "$end-break-glass": "Ended emergency access",
    "$close-emergency-review": REVIEWED,
    "$merge": "Joined two records",
    "$unmerge": "Took apart two records that were joined",
    "110127": STARTED,
    "110138": "Ended emergency access",
    "110122": "Signed in",
    "110123": "Signed out",
    "110114": "Signed in",
    "110106": "Took a copy",
    "export": "Took a copy",
    "$export": "Asked for a copy",
    "$export-file": "Took a copy",
    "$access-log-proof": "Took a copy of the access log",
    "$dispute-access": "Asked the privacy officer about an entry",
    "$access-disputes": "Looked at the answers of the privacy officer",
    "$answer-dispute": "Answered what you asked about an entry",
    "$answer-appointment-request": "Answered what you asked about an appointment",
    "$disable-sharing": "Switched all sharing off",
    "$enable-sharing": "Switched sharing on again",
}
_VERDICT: Final = {
    "appropriate": "and found it appropriate",
    "inappropriate": "and found that it should not have happened",
    "enquiry": "and is looking into it further",
}
_EMERGENCY_SUBTYPES: Final = frozenset(
    {"110127", "110138", "$break-glass", "$end-break-glass", "$close-emergency-review"}
)
_SWITCHES: Final = ("$disable-sharing", "$enable-sharing")
_EMERGENCY_PURPOSES: Final = frozenset({"BTG"})


@dataclass(frozen=True, slots=True)
class Access:
    """One AuditEvent.

    Attributes:
        id: Logical id.
        at: When, None where malformed.
        who: Name of who asked.
        actor: Their literal reference.
        organization: For whom they asked.
        app: Program they used.
        action: What they did, as a verb.
        information: Kinds of information, in words.
        why: Purpose, in words.
        reason: Reason that was given for an emergency access, or for switching sharing off or on.
        refused: Whether it was refused.
        emergency: Whether it was part of an emergency access.
        own: Whether it was the patient.
    """

    id: str
    at: Moment | None
    who: str
    actor: str
    organization: str
    app: str
    action: str
    information: tuple[str, ...]
    why: str
    reason: str
    refused: bool
    emergency: bool
    own: bool


def parties(events: Iterable[Json]) -> frozenset[str]:
    """Return what events name but do not spell out: references of organisations and professionals, and ids of apps."""
    agents = [agent for event in events for agent in items(event, "agent")]
    references = {reference(agent.get("who")) for agent in agents if not _spoken(agent)}
    in_directory = {target for target in references if target.partition("/")[0] in _DIRECTORY}
    return frozenset(in_directory | {_client(agent) for agent in agents} - {""})


def access(event: Json, patient: str, names: Mapping[str, str]) -> Access:
    """Return one AuditEvent in words.

    Args:
        event: The AuditEvent.
        patient: Literal reference of the patient whose log it is.
        names: Names of `parties`.
    """
    agents = items(event, "agent")
    asked = next((agent for agent in agents if agent.get("requestor") is True), agents[0] if agents else {})
    entities = items(event, "entity")
    queries = [text for entity in entities if "query" in entity and (text := _query(entity))]
    codes = {str(tag.get("code")) for tag in items(event, "subtype")} | {_type_code(event), _operation(queries)}
    purposes = _purposes(event, agents)
    actor = reference(asked.get("who"))
    action = next((_SPECIAL[code] for code in codes if code in _SPECIAL), _VERB.get(str(event.get("action")), "Used"))
    return Access(
        id=str(event.get("id", "")),
        at=moment(event.get("recorded")),
        who=first((_spoken(asked), names.get(actor, ""), _nameless(asked))),
        actor=actor,
        organization=_organization(agents, asked, names),
        app=first(names.get(_client(agent), _client(agent)) for agent in agents),
        action=" ".join(filter(None, (action, _verdict(queries)))),
        information=_information(entities) if not codes & set(_SPECIAL) else (),
        why=next((web.say(_PURPOSE[code]) for code in purposes if code in _PURPOSE), ""),
        reason=_reason(entities, queries),
        refused=str(event.get("outcome", "0")) != "0",
        emergency=bool(codes & _EMERGENCY_SUBTYPES or set(purposes) & _EMERGENCY_PURPOSES),
        own=actor == patient,
    )


def _type_code(event: Json) -> str:
    kind = event.get("type")
    return str(kind.get("code", "")) if isinstance(kind, dict) else ""


def _purposes(event: Json, agents: list[Json]) -> list[str]:
    stated = items(event, "purposeOfEvent") + [purpose for agent in agents for purpose in items(agent, "purposeOfUse")]
    return [str(coding.get("code")) for purpose in stated for coding in items(purpose, "coding")]


def _organization(agents: list[Json], asked: Json, names: Mapping[str, str]) -> str:
    for agent in agents:
        target = reference(agent.get("who"))
        if agent is not asked and target.startswith("Organization/"):
            return first((_spoken(agent), names.get(target, "")))
    return ""


def _nameless(agent: Json) -> str:
    return (
        web.say("The operator of this service")
        if agent.get("name") in _OPERATORS
        else reference(agent.get("who")) or web.say("Not known")
    )


def _spoken(agent: Json) -> str:
    """Return the name an agent was recorded with; a bare reference or role is no name."""
    target = reference(agent.get("who"))
    return first(
        text for text in (str(agent.get("name") or ""), display(agent.get("who"))) if text not in {target, *_OPERATORS}
    )


def _client(agent: Json) -> str:
    """Return the id of the app that an agent stands for."""
    who = agent.get("who")
    named = who.get("identifier") if isinstance(who, dict) else None
    if isinstance(named, dict) and str(named.get("system", "")).endswith("/client"):
        return str(named.get("value", ""))
    return ""


def _information(entities: list[Json]) -> tuple[str, ...]:
    types: dict[str, None] = {}
    for entity in entities:
        if _role(entity) in _DATA_ROLES:
            types[reference(entity.get("what")).partition("/")[0] or str(entity.get("name", ""))] = None
            if "query" in entity:
                types[_queried(_query(entity))] = None
    types.pop("", None)
    if len(types) > 1:
        types.pop("Patient", None)
    return tuple(dict.fromkeys(_INFORMATION.get(kind, "other information") for kind in types))


def _queried(text: str) -> str:
    """Return the resource type that a recorded query asked for."""
    return text.partition("?")[0].partition("/")[0] if text[:1].isupper() else ""


def _query(entity: Json) -> str:
    query = entity.get("query")
    if not isinstance(query, str):
        return ""
    try:
        return base64.b64decode(query, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _operation(queries: list[str]) -> str:
    """Return the name of the operation that a recorded query called, `$break-glass`."""
    paths = (text.partition("?")[0] for text in queries)
    return next((f"${path.partition('$')[2]}" for path in paths if "$" in path), "")


def _verdict(queries: list[str]) -> str:
    """Return how a review of an emergency access ended, "" for any other event."""
    called = (text.partition("?") for text in queries if "$close-emergency-review?" in text)
    return next((_VERDICT.get(query.partition("outcome=")[2], "") for _, _, query in called), "")


def _role(entity: Json) -> str:
    role = entity.get("role")
    return str(role.get("code", "")) if isinstance(role, dict) else ""


def _reason(entities: list[Json], queries: list[str]) -> str:
    # A page of results has hundreds of entities: what few have is asked first.
    described = (entity for entity in entities if "description" in entity and _role(entity) == _EMERGENCY_ROLE)
    given = first(str(entity["description"] or "") for entity in described)
    return given or first(_stated(text) for text in queries)


def _stated(query: str) -> str:
    """Return the reason that somebody gave the server for switching sharing off or on."""
    path, _, parameters = query.partition("?")
    return dict(parse_qsl(parameters)).get("reason", "") if path.endswith(_SWITCHES) else ""


def why_words(code: str) -> str:
    """Return a purpose of use in words."""
    return _PURPOSE.get(code, code)
