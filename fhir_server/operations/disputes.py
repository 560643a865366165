"""A patient does not recognise an entry of their access log: a Task asks the privacy office (access.md §7).

`Patient/[id]/$dispute-access` asks, `Patient/[id]/$access-disputes` tells where each question stands,
`Task/[id]/$answer-dispute` answers. Nobody but a privacy officer reads the Task; the patient reads the answer by the
second operation and is told by e-mail that there is one, no more.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import orjson

from fhir_server.access.decide import gate
from fhir_server.access.principal import Caller
from fhir_server.identity import carers, limits
from fhir_server.identity.limits import Limit
from fhir_server.interactions import audit, past_the_gate, writing
from fhir_server.interactions.audit_search import readable_for
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.operations import subjects
from fhir_server.operations.reviews import OUTCOME_SYSTEM, TASK_SYSTEM, Verdict, has_code, named_officer, verdict_of
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import instant_text, parse_reference
from fhir_server.store import events, resources
from fhir_server.store.events import Criteria, StoredEvent
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import key_of_reference, reference_key

DISPUTE: Final = "review-disputed-access"
ANSWER: Final = "answer"
WITHIN: Final = timedelta(days=28)
LONGEST_TEXT: Final = 2000
ASKING: Final = Limit("dispute-access", 20, timedelta(days=1))
"""Per patient."""
_MOST_LISTED: Final = 200
_IDS: Final = uuid.UUID("5b1a7f0c-51b5-4f35-93f5-1f3e5a9d0c41")
_PURPOSE: Final = "HOPERAT"


def dispute(job: Job, interaction: Interaction) -> Outcome:
    """Ask the privacy office about an entry of the caller's own access log; returns the same as `listed` of it.

    Raises:
        FhirError: FORBIDDEN (403) for anybody but a patient, and for a token without scopes to read AuditEvents and
            to create Tasks; NOT_FOUND (404) for another's record or entry and an unknown one alike; INVALID_VALUE
            (400) naming a parameter; BUSINESS_RULE (422) for an entry that was asked about before; THROTTLED (429).
    """
    given = subjects.parameters(job, interaction, "event", "text")
    _own_log(job, interaction, "c")
    text = _text(given, "text")
    event = _event(job, str(given.get("event", "")))
    now = job.context.now()
    # One entry is asked about once: the id says so, whichever of two requests comes first.
    logical_id = str(uuid.uuid5(_IDS, event.id))
    job.session.lock(reference_key("Task", logical_id))
    if resources.current(job.session, "Task", logical_id) is not None:
        raise FhirError(Kind.BUSINESS_RULE, "You have asked about this entry already", ("Parameters.parameter",))
    if not limits.allow(job.session, now, (ASKING, f"Patient/{interaction.id}")):
        raise FhirError(Kind.THROTTLED, "You have asked many questions today. Try again tomorrow")
    at_us = to_us(now)
    task = {
        "resourceType": "Task",
        "id": logical_id,
        "status": "requested",
        "intent": "order",
        "priority": "routine",
        "code": {"coding": [{"system": TASK_SYSTEM, "code": DISPUTE}]},
        **({"description": text} if text else {}),
        "focus": {"reference": f"AuditEvent/{event.id}"},
        "for": {"reference": f"Patient/{interaction.id}"},
        "authoredOn": instant_text(from_us(at_us)),
        "lastModified": instant_text(from_us(at_us)),
        "requester": {"reference": job.principal.subject},
        "restriction": {"period": {"end": instant_text(from_us(to_us(now + WITHIN)))}},
    }
    resources.put(job.session, writing.assemble(job, task, version=1, author=0, updated_at=at_us))
    return Outcome(201, _document([task]), "Parameters")


def listed(job: Job, interaction: Interaction) -> Outcome:
    """Return the questions of a patient about their access log, newest first, as Parameters.

    Raises:
        FhirError: FORBIDDEN (403) for anybody but a patient; NOT_FOUND (404) for another's record and an unknown one.
    """
    subjects.parameters(job, interaction)
    _own_log(job, interaction, "r")
    about = (("patient", f"Patient/{interaction.id}"), ("code", f"{TASK_SYSTEM}|{DISPUTE}"))
    # INVARIANT: only what `_document` lets out of it, and only Tasks of this patient's own asking.
    tasks = [task for _, task in past_the_gate.current(job, "Task", about, _MOST_LISTED)]
    return Outcome(200, _document(sorted(tasks, key=lambda task: str(task["authoredOn"]), reverse=True)), "Parameters")


def answer(job: Job, interaction: Interaction) -> Outcome:
    """Answer a question about an entry; the patient reads the answer, and is told that there is one. Returns the Task.

    One answered with `enquiry` can be answered once more, when the enquiry is over.

    Raises:
        FhirError: FORBIDDEN (403) for anybody but a privacy officer and for the one whose access it was; NOT_FOUND
            (404) for an unknown question; INVALID_VALUE (400) for outcome or text; BUSINESS_RULE (422) for one that is
            answered.
    """
    if not subjects.is_officer(job) or not job.principal.scopes.allows("u", "Task"):
        raise FhirError(Kind.FORBIDDEN, "Questions about the access log are answered by privacy officers")
    given = subjects.parameters(job, interaction, "outcome", "text")
    answered = _Answer(str(given.get("outcome", "")), _text(given, "text", required=True))
    if answered.verdict not in set(Verdict):
        raise subjects.invalid("outcome", f"must be one of {', '.join(Verdict)}")
    old = resources.get(job.session, job.decision.readable, "Task", interaction.id)
    task = json.decode(old.content, len(old.content) + 1) if old is not None and old.content else {}
    if old is None or not is_dispute(task):
        raise FhirError(Kind.NOT_FOUND, f"Task/{interaction.id} is not a question about an access log")
    patient = str(task["for"]["reference"])
    if _is_own(job, str(task["focus"]["reference"]).partition("/")[2]):
        job.trace.touch((key_of_reference(patient),))
        raise FhirError(Kind.FORBIDDEN, "A question about an access is answered by somebody else")
    if verdict_of(task) not in {"", Verdict.ENQUIRY}:
        raise FhirError(Kind.BUSINESS_RULE, "This question is answered already", ("Task.businessStatus",))
    stored = writing.replace_version(job, old, _answered(job, task, answered))
    events.append(job.session, _on_the_patients_log(job, interaction, answered, patient))
    carers.tell(job.session, patient, job.context.now())
    return replace(stored, status=200)


@dataclass(frozen=True, slots=True)
class _Answer:
    verdict: str
    text: str


def is_dispute(task: Mapping[str, Any]) -> bool:
    """Return whether a Task is a question of a patient about their access log."""
    return has_code(task.get("code"), TASK_SYSTEM, (DISPUTE,))


def _own_log(job: Job, interaction: Interaction, right: str) -> None:
    """Let nobody but the patient whose log it is go on, and put the request on that log."""
    patient = reference_key("Patient", interaction.id)
    job.trace.touch((patient,), "Patient", interaction.id)
    gate(job.principal, "s", "AuditEvent")
    if job.principal.caller is not Caller.PATIENT or not job.principal.scopes.allows(right, "Task"):
        raise FhirError(Kind.FORBIDDEN, "Only the patient may ask about entries of the access log")
    if job.principal.subject != f"Patient/{interaction.id}" or readable_for(job.principal).patient != patient:
        raise FhirError(Kind.NOT_FOUND, f"Patient/{interaction.id} is not known")


def _event(job: Job, text: str) -> StoredEvent:
    reference = parse_reference(text, job.context.fhir_base)
    if reference.type != "AuditEvent" or not reference.id:
        raise subjects.invalid("event", "must be a reference to an AuditEvent, such as AuditEvent/1")
    found = events.search(job.session, readable_for(job.principal), Criteria(id=((reference.id,),)), limit=1)
    if not found:
        raise FhirError(Kind.NOT_FOUND, f"AuditEvent/{reference.id} is not known")
    return found[0]


def _text(given: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    text = str(given.get(name, "")).strip()
    if len(text) > LONGEST_TEXT or (required and not text):
        raise subjects.invalid(name, f"must have {1 if required else 0} to {LONGEST_TEXT} characters")
    return text


def _document(tasks: list[dict[str, Any]]) -> bytes:
    entries = {"parameter": [_entry(task) for task in tasks]} if tasks else {}
    return json.encode({"resourceType": "Parameters", **entries})


def _entry(task: Mapping[str, Any]) -> dict[str, Any]:
    verdict = verdict_of(task)
    answers = [each for each in task.get("output", ()) if has_code(each.get("type"), TASK_SYSTEM, (ANSWER,))]
    part: list[dict[str, Any]] = [
        {"name": "event", "valueReference": task["focus"]},
        {"name": "asked", "valueInstant": task["authoredOn"]},
    ]
    if task.get("description"):
        part.append({"name": "text", "valueString": task["description"]})
    if verdict:
        part += [{"name": "outcome", "valueCode": verdict}, {"name": "answered", "valueInstant": task["lastModified"]}]
    part += [{"name": "answer", "valueString": each["valueString"]} for each in answers]
    return {"name": "dispute", "part": part}


def _is_own(job: Job, event_id: str) -> bool:
    """Return whether the access that is asked about was the caller's, by reference or by name."""
    found = events.search(job.session, readable_for(job.principal), Criteria(id=((event_id,),)), limit=1)
    agents = orjson.loads(found[0].content).get("agent", ()) if found else ()
    named = {str(agent.get("name", "")).casefold() for agent in agents if agent.get("requestor")}
    references = {str(agent.get("who", {}).get("reference", "")) for agent in agents if agent.get("requestor")}
    return job.principal.subject in references or job.principal.name.casefold() in named


def _answered(job: Job, task: Mapping[str, Any], given: _Answer) -> dict[str, Any]:
    said = {"type": {"coding": [{"system": TASK_SYSTEM, "code": ANSWER}]}, "valueString": given.text}
    return {
        **task,
        "status": "completed",
        "businessStatus": {"coding": [{"system": OUTCOME_SYSTEM, "code": given.verdict}]},
        "lastModified": instant_text(job.context.now()),
        "owner": named_officer(job.principal),
        "output": [*task.get("output", ()), said],
    }


def _on_the_patients_log(job: Job, interaction: Interaction, given: _Answer, patient: str) -> list[events.Event]:
    """Return the event that is on the patient's log; the event of the Task itself is about nobody's record."""
    told = replace(interaction, query=(("outcome", given.verdict),), resource=None)
    officer = replace(job.principal, purpose=_PURPOSE)
    patients = {key_of_reference(patient): patient.partition("/")[2]}
    return audit.disclosure_events(told, officer, job.context, status=200, patients=patients)


OPERATIONS: Final = (
    Operation("access-disputes", ("Patient",), ("instance",), writes=False, run=listed),
    Operation("answer-dispute", ("Task",), ("instance",), writes=True, run=answer),
    Operation("dispute-access", ("Patient",), ("instance",), writes=True, run=dispute),
)
