"""The Task by which somebody else judges an emergency access: what it holds, and what its end can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from fhir_server.access.principal import Principal
from fhir_server.interactions import writing
from fhir_server.interactions.audit_parts import CANONICAL
from fhir_server.interactions.job import Job
from fhir_server.operations.unusual_use import Flag
from fhir_server.spec.values import instant_text
from fhir_server.store import resources
from fhir_server.store.instants import from_us, to_us

REVIEW: Final = "review-emergency-access"
TASK_SYSTEM: Final = f"{CANONICAL}/CodeSystem/task"
FLAG_SYSTEM: Final = f"{CANONICAL}/CodeSystem/emergency-flag"
OUTCOME_SYSTEM: Final = f"{CANONICAL}/CodeSystem/emergency-outcome"
GRANT_SYSTEM: Final = f"{CANONICAL}/break-glass"
WITHIN: Final = timedelta(days=3)


class Verdict(StrEnum):
    """Codes of `CodeSystem/emergency-outcome`."""

    APPROPRIATE = "appropriate"
    INAPPROPRIATE = "inappropriate"
    ENQUIRY = "enquiry"


@dataclass(frozen=True, slots=True)
class Review:
    """What is to be judged.

    Attributes:
        patient_id: Whose record it was.
        practitioner: Literal reference of the professional.
        at: When, aware UTC.
        reason_system, reason_code, reason: What was given as reason.
        flags: What is unusual about it.
        event_id: The AuditEvent of the start, "" for an access that was refused.
        grant_id: The access, "" where it was refused.
    """

    patient_id: str
    practitioner: str
    at: datetime
    reason_system: str
    reason_code: str
    reason: str
    flags: tuple[Flag, ...]
    event_id: str = ""
    grant_id: str = ""


def ask(job: Job, review: Review) -> None:
    """Store the Task in the transaction of its cause. Nobody but a privacy officer reads it."""
    started_us = to_us(review.at)
    task = {
        "resourceType": "Task",
        "id": job.context.new_id(),
        **({"identifier": [{"system": GRANT_SYSTEM, "value": review.grant_id}]} if review.grant_id else {}),
        "status": "requested",
        "intent": "order",
        "priority": "urgent" if review.flags else "routine",
        "code": {"coding": [{"system": TASK_SYSTEM, "code": REVIEW}]},
        "description": review.reason,
        **({"focus": {"reference": f"AuditEvent/{review.event_id}"}} if review.event_id else {}),
        "for": {"reference": f"Patient/{review.patient_id}"},
        "authoredOn": instant_text(from_us(started_us)),
        "lastModified": instant_text(from_us(started_us)),
        "requester": {"reference": review.practitioner},
        "reasonCode": {"coding": [{"system": review.reason_system, "code": review.reason_code}]},
        "restriction": {"period": {"end": instant_text(from_us(to_us(review.at + WITHIN)))}},
        **({"input": [_input(flag) for flag in review.flags]} if review.flags else {}),
    }
    resources.put(job.session, writing.assemble(job, task, version=1, author=0, updated_at=started_us))


def is_review(task: Mapping[str, Any]) -> bool:
    """Return whether a Task is the review of an emergency access."""
    return has_code(task.get("code"), TASK_SYSTEM, (REVIEW,))


def verdict_of(task: Mapping[str, Any]) -> str:
    """Return the code of the verdict of a Task, "" while it has none."""
    return next((str(each) for each in Verdict if has_code(task.get("businessStatus"), OUTCOME_SYSTEM, (each,))), "")


def named_officer(principal: Principal) -> dict[str, Any]:
    """Return a Reference to a member of the privacy office, who may be an account alone."""
    if "/" in principal.subject:
        return {"reference": principal.subject, "display": principal.name}
    identifier = {"system": f"{CANONICAL}/account", "value": principal.subject}
    return {"identifier": identifier, "display": principal.name}


def _input(flag: Flag) -> dict[str, Any]:
    return {
        "type": {"coding": [{"system": TASK_SYSTEM, "code": "flag"}]},
        "valueCodeableConcept": {"coding": [{"system": FLAG_SYSTEM, "code": str(flag)}]},
    }


def has_code(concept: object, system: str, codes: Iterable[str]) -> bool:
    """Return whether a CodeableConcept has one of these codes of a system."""
    codings = concept.get("coding") or () if isinstance(concept, Mapping) else ()
    return any(coding.get("system") == system and coding.get("code") in codes for coding in codings)
