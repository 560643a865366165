"""`Task/[id]/$close-emergency-review`: the privacy officer's verdict on an emergency access (access.md §6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from fhir_server.interactions import audit, writing
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.operations.reviews import OUTCOME_SYSTEM, Verdict, is_review, named_officer, verdict_of
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.validate import validate
from fhir_server.spec.values import instant_text
from fhir_server.store import accounts, events, resources
from fhir_server.store.keys import key_of_reference

ROLE: Final = "privacy-officer"
LONGEST_NOTE: Final = 2000
_COMPLIANCE: Final = "HCOMPL"
_FINAL: Final = frozenset({Verdict.APPROPRIATE, Verdict.INAPPROPRIATE})


@dataclass(frozen=True, slots=True)
class Closing:
    """A verdict, and why; the note stays with the privacy office."""

    verdict: Verdict
    note: str


def close(job: Job, interaction: Interaction) -> Outcome:
    """Close a review, and say so on the patient's log: the verdict, not the note. Returns the Task.

    A review closed for enquiry can be closed once more, when the enquiry is over.

    Raises:
        FhirError: FORBIDDEN (403) for anybody but a privacy officer and for the professional whose access it was;
            NOT_FOUND (404) for an unknown review; INVALID_VALUE (400) for an outcome or note; BUSINESS_RULE (422) for a
            review that is closed.
    """
    if job.principal.role != ROLE or not job.principal.scopes.allows("u", "Task"):
        raise FhirError(Kind.FORBIDDEN, "Reviews of emergency access are for privacy officers")
    closing = _closing(job, interaction.resource)
    old = resources.get(job.session, job.decision.readable, "Task", interaction.id)
    task = json.decode(old.content, len(old.content) + 1) if old is not None and old.content else {}
    if old is None or not is_review(task):
        raise FhirError(Kind.NOT_FOUND, f"Task/{interaction.id} is not a review of an emergency access")
    patient = str(task.get("for", {}).get("reference", ""))
    if _is_own(job, str(task.get("requester", {}).get("reference", ""))):
        job.trace.touch((key_of_reference(patient),))
        raise FhirError(Kind.FORBIDDEN, "An emergency access is reviewed by somebody else")
    if verdict_of(task) in _FINAL:
        raise FhirError(Kind.BUSINESS_RULE, "This review is closed already", ("Task.businessStatus",))
    stored = writing.replace_version(job, old, _closed(job, task, closing))
    events.append(job.session, _on_the_patients_log(job, interaction, closing, patient))
    return replace(stored, status=200)


def _closing(job: Job, resource: Mapping[str, Any] | None) -> Closing:
    if resource is None or resource.get("resourceType") != "Parameters":
        raise FhirError(Kind.MALFORMED, "The body must be a Parameters resource", ("Parameters",))
    validate(job.definitions, dict(resource))
    values = {str(item.get("name")): item for item in resource.get("parameter", ())}
    code = str(values.get("outcome", {}).get("valueCode", ""))
    note = str(values.get("note", {}).get("valueString", "")).strip()
    if code not in set(Verdict):
        text = f"outcome must be one of {', '.join(Verdict)}"
        raise FhirError(Kind.INVALID_VALUE, text, ("Parameters.parameter.where(name = 'outcome')",))
    if not note or len(note) > LONGEST_NOTE:
        text = f"note must have 1 to {LONGEST_NOTE} characters"
        raise FhirError(Kind.INVALID_VALUE, text, ("Parameters.parameter.where(name = 'note')",))
    return Closing(Verdict(code), note)


def _is_own(job: Job, practitioner: str) -> bool:
    """Return whether the access to be judged was the caller's own, under this account or another of the same name."""
    if job.principal.subject == practitioner:
        return True
    names = {account.name.casefold() for account in accounts.by_reference(job.session, practitioner)}
    return job.principal.name.casefold() in names


def _closed(job: Job, task: Mapping[str, Any], closing: Closing) -> dict[str, Any]:
    now = instant_text(job.context.now())
    who = named_officer(job.principal)
    return {
        **task,
        "status": "completed",
        "businessStatus": {"coding": [{"system": OUTCOME_SYSTEM, "code": str(closing.verdict)}]},
        "lastModified": now,
        "owner": who,
        "note": [*task.get("note", ()), {"authorReference": who, "time": now, "text": closing.note}],
    }


def _on_the_patients_log(job: Job, interaction: Interaction, closing: Closing, patient: str) -> list[events.Event]:
    """Return the event that tells the patient the verdict; the event of the Task itself is about nobody's record."""
    told = replace(interaction, query=(("outcome", str(closing.verdict)),), resource=None)
    reviewer = replace(job.principal, purpose=_COMPLIANCE)
    patients = {key_of_reference(patient): patient.partition("/")[2]}
    return audit.disclosure_events(told, reviewer, job.context, status=200, patients=patients)


OPERATION = Operation("close-emergency-review", ("Task",), ("instance",), writes=True, run=close)
