"""`Task/[id]/$answer-appointment-request`: the organisation that booked an appointment answers what a patient asked.

A coordinator sees of a record the Task and nothing else, and writes nothing into one but this answer: a Communication
of the organisation's, `inResponseTo` the request, with the labels of the request (ADR 0026).
"""

from __future__ import annotations

from typing import Any, Final

from fhir_server.access.principal import Caller
from fhir_server.identity import carers
from fhir_server.interactions import appointment_requests, writing
from fhir_server.interactions.appointment_requests import ANSWERS, ASKING, code_of, concept
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.operations import subjects
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import instant_text
from fhir_server.store import resources
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.resources import Version

LONGEST_TEXT: Final = 500
_ANOTHER_TIME: Final = "another-time"


def answer(job: Job, interaction: Interaction) -> Outcome:
    """Answer in the record of the patient, who is told that there is something new; close the Task and return it.

    Raises:
        FhirError: FORBIDDEN (403) for anybody but a coordinator; NOT_FOUND (404) for a request to another organisation
            and an unknown one alike; INVALID_VALUE (400) for answer or text; BUSINESS_RULE (422) for a request that is
            answered or taken back.
    """
    is_coordinator = job.principal.caller is Caller.STAFF and job.principal.role == "coordinator"
    if not is_coordinator or not job.principal.scopes.allows("u", "Task"):
        raise FhirError(Kind.FORBIDDEN, "Requests about appointments are answered by the organisation's coordinators")
    given = subjects.parameters(job, interaction, "answer", "text")
    code, text = _checked(given)
    task = _request(job, interaction.id)
    # Of two answers at once the second waits, and finds the first.
    appointment_requests.lock(job, task.patient)
    task = _request(job, interaction.id)
    body = json.decode(task.content or b"", len(task.content or b"") + 1)
    if body["status"] != "requested":
        raise FhirError(Kind.BUSINESS_RULE, "This request is answered or taken back already", ("Task.status",))
    _store_answer(job, task, body, code, text)
    appointment_requests.close(job, task, "completed", code)
    carers.tell(job.session, str(body["for"]["reference"]), job.context.now())
    stored = _request(job, interaction.id)
    return Outcome(200, stored.content or b"", "Task", stored.id, stored.version)


def _checked(given: dict[str, Any]) -> tuple[str, str]:
    code, text = str(given.get("answer", "")), str(given.get("text", "")).strip()
    if code not in ANSWERS:
        raise subjects.invalid("answer", f"must be one of {', '.join(sorted(ANSWERS))}")
    if len(text) > LONGEST_TEXT or (code == _ANOTHER_TIME and not text):
        least = 1 if code == _ANOTHER_TIME else 0
        raise subjects.invalid("text", f"must have {least} to {LONGEST_TEXT} characters")
    return code, text


def _request(job: Job, logical_id: str) -> Version:
    found = resources.get(job.session, job.decision.readable, "Task", logical_id)
    body = json.decode(found.content, len(found.content) + 1) if found is not None and found.content else {}
    if found is None or code_of((body.get("code", {}),)) not in ASKING:
        raise FhirError(Kind.NOT_FOUND, f"Task/{logical_id} is not known")
    return found


def _store_answer(job: Job, task: Version, body: dict[str, Any], code: str, text: str) -> None:
    asked_id = str(body["basedOn"][0]["reference"]).partition("/")[2]
    asked = resources.current(job.session, "Communication", asked_id)
    content = json.decode(asked.content, len(asked.content) + 1) if asked is not None and asked.content else {}
    # A request whose Communication was deleted is as sensitive as can be.
    marks = (content.get("meta") or {}).get("security") or body["meta"]["security"]
    now_us = to_us(job.context.now())
    version = asked.version if asked is not None else 1
    communication = {
        "resourceType": "Communication",
        "id": job.context.new_id(),
        "meta": {"security": marks},
        "identifier": [appointment_requests.answer_identifier(asked_id, str(version))],
        "inResponseTo": [{"reference": f"Communication/{asked_id}"}],
        "status": "completed",
        "category": [concept(code)],
        "subject": {"reference": body["for"]["reference"]},
        "about": [body["focus"]],
        "sent": instant_text(from_us(now_us)),
        "recipient": [{"reference": body["for"]["reference"]}],
        "sender": body["owner"],
        **({"payload": [{"contentString": text}]} if text else {}),
    }
    stored = writing.assemble(job, communication, version=1, author=task.author, updated_at=now_us)
    resources.put(job.session, stored)
    job.trace.touch(stored.patients, stored.type, stored.id, stored.version)


OPERATION: Final = Operation("answer-appointment-request", ("Task",), ("instance",), writes=True, run=answer)
