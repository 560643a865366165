"""What a patient asks about an appointment, put before the organisation that booked it: a Task that is its own data.

The request itself is a Communication of the patient's, which shows to whom it is shared with (ADR 0026). Whoever writes
it, takes it back or answers it, by whichever door: the Task follows, in the transaction of that write.

INVARIANT: whose booking it is, the stored Appointment says, never what somebody sends; and the Task tells what a
booking desk needs to find the booking and to answer: who, when and with whom, and the message. Not what it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from fhir_server.access import labels
from fhir_server.access.decide import author_of
from fhir_server.access.ownership import APPOINTMENT_REQUEST
from fhir_server.access.principal import Caller
from fhir_server.access.visibility import Gate
from fhir_server.interactions import past_the_gate, writing
from fhir_server.interactions.job import Job
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec import json
from fhir_server.spec.values import date_interval, instant_text, parse_reference
from fhir_server.store import accounts, directory, resources
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import hash64, reference_key
from fhir_server.store.resources import NewVersion, Version

ASKING: Final = frozenset({"change", "cancel"})
ANSWERS: Final = frozenset({"accepted", "another-time", "declined"})
"""Codes of CodeSystem/appointment-request: what is asked, and what is answered."""
_TAKEN_BACK: Final = frozenset({"stopped", "not-done", "entered-in-error"})
_CALLED_OFF: Final = frozenset({"proposed", "cancelled", "noshow", "fulfilled", "entered-in-error"})
_FAMILY: Final = frozenset({Caller.PATIENT, Caller.RELATED})
_WITH: Final = ("Practitioner/", "PractitionerRole/", "Location/", "HealthcareService/")
_COORDINATOR: Final = "coordinator"
_MOST: Final = 50
_EVERYTHING: Final = Gate(0, everything=True)


def settle(job: Job) -> None:
    """Open, replace or close the Tasks of what this transaction wrote that asks about an appointment, or answers."""
    is_familys = job.principal.caller in _FAMILY
    for communication, new in job.pending.communications:
        code = code_of(communication.get("category", ()))
        if is_familys and new.author == author_of(job.principal):
            _asked(job, communication, code, new)
        elif code in ANSWERS and not is_familys:
            _answered(job, communication, code, new)
    for old in job.pending.withdrawn:
        _close_all(job, ("based-on", f"Communication/{old.id}"), (old.patient,), "cancelled")
    for booked, new in job.pending.bookings:
        _rebooked(job, booked, new)
    for old in job.pending.unbooked:
        _close_all(job, ("focus", f"Appointment/{old.id}"), (old.patient,), "completed")


def code_of(concepts: Iterable[Mapping[str, Any]]) -> str:
    """Return the code of CodeSystem/appointment-request among CodeableConcepts, "" where there is none."""
    codings = (coding for concept in concepts for coding in concept.get("coding", ()))
    return next((str(each.get("code", "")) for each in codings if each.get("system") == APPOINTMENT_REQUEST), "")


def answer_identifier(request_id: str, version: str) -> dict[str, str]:
    """Return what the one answer to a version of a request is found by."""
    return {"system": APPOINTMENT_REQUEST, "value": f"urn:appointment-request:{request_id}:{version}"}


def concept(code: str) -> dict[str, Any]:
    """Return a CodeableConcept of CodeSystem/appointment-request."""
    return {"coding": [{"system": APPOINTMENT_REQUEST, "code": code}]}


def close(job: Job, task: Version, status: str, code: str = "") -> None:
    """Store the next version of a Task that is over: `cancelled`, or `completed` with the code of the answer."""
    body = _content(task)
    body |= {"status": status, "lastModified": instant_text(job.context.now())}
    stored = writing.assemble(
        job,
        body | ({"businessStatus": concept(code)} if code else {}),
        version=task.version + 1,
        author=task.author,
        updated_at=max(to_us(job.context.now()), task.updated_at + 1000),
    )
    resources.put(job.session, stored)
    job.trace.touch(stored.patients, stored.type, stored.id, stored.version)


def lock(job: Job, patient: int) -> None:
    """Let the requests of one patient, and what is answered, come one after the other."""
    job.session.lock(hash64(f"appointment-requests|{patient}"))
    job.pending.flush(job.session)


def _asked(job: Job, communication: Mapping[str, Any], code: str, new: NewVersion) -> None:
    """Close the Tasks of what this asked before, and of others about its appointment; open one for what it asks now."""
    if len(new.patients) != 1:
        return
    if new.version > 1:
        _close_all(job, ("based-on", f"Communication/{new.id}"), new.patients, "cancelled")
    if code not in ASKING or communication.get("status") in _TAKEN_BACK:
        return
    lock(job, new.patients[0])
    subject = _first(job, (communication.get("subject", {}),), "Patient")
    about = _first(job, communication.get("about", ()), "Appointment")
    if reference_key("Patient", subject) != new.patients[0]:
        return
    appointment = resources.get(job.session, _seen(job), "Appointment", about) if about else None
    if appointment is None or appointment.content is None or appointment.patient != new.patients[0]:
        return
    _close_all(job, ("focus", f"Appointment/{about}"), new.patients, "cancelled")
    _open(job, communication, code, appointment, new)


def _open(job: Job, communication: Mapping[str, Any], code: str, appointment: Version, new: NewVersion) -> None:
    booked = _content(appointment)
    start = str(booked.get("start", ""))
    organization = directory.organization_content(job.session, appointment.author) if appointment.author else None
    is_ahead = bool(start) and date_interval(start)[0] > to_us(job.context.now())
    if organization is None or not is_ahead or booked.get("status") in _CALLED_OFF:
        return
    owner = json.decode(organization, len(organization) + 1)
    found = _task(job, communication, code, booked, owner)
    now_us = to_us(job.context.now())
    task = writing.assemble(job, found, version=1, author=appointment.author, updated_at=now_us)
    resources.put(job.session, task)
    job.trace.touch(new.patients, task.type, task.id, 1)
    _tell_coordinators(job, f"Organization/{owner['id']}")


def _tell_coordinators(job: Job, organization: str) -> None:
    """Tell an organisation's coordinators that there is something new, and not what, or of whom."""
    for account in accounts.with_role(job.session, _COORDINATOR):
        if account.active and account.organization == organization:
            queue(job.session, Notice.NEWS, account.email, job.context.now())


def _task(
    job: Job, communication: Mapping[str, Any], code: str, booked: Mapping[str, Any], owner: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the Task; under all four labels, so that nobody with whom less is shared sees it beside the organisation.

    Whom the organisation is told of is who the record says: its own index may know them by another name.
    """
    subject = _first(job, (communication["subject"],), "Patient")
    patient = resources.current(job.session, "Patient", subject)
    person = _content(patient) if patient is not None and patient.content else {}
    now = instant_text(from_us(to_us(job.context.now())))
    said = "\n".join(str(each["contentString"]) for each in communication.get("payload", ()) if "contentString" in each)
    actors = [each.get("actor", {}) for each in booked.get("participant", ())]
    with_whom = [str(each["display"]) for each in actors if "display" in each and _is_with(each)]
    inputs = (
        _input("start", "valueDateTime", booked["start"]),
        *(_input("with", "valueString", each) for each in with_whom),
        *(_input("booking", "valueIdentifier", each) for each in booked.get("identifier", ())),
        *(_input("birth-date", "valueDate", each) for each in (person.get("birthDate"),) if each),
        *(_input("message", "valueString", each) for each in (said,) if each),
    )
    return {
        "resourceType": "Task",
        "id": job.context.new_id(),
        "meta": {"security": [{"system": labels.SYSTEM, "code": each} for each in labels.BY_CODE]},
        "basedOn": [{"reference": f"Communication/{communication['id']}"}],
        "status": "requested",
        "intent": "order",
        "code": concept(code),
        "focus": {"reference": f"Appointment/{booked['id']}"},
        "for": {"reference": f"Patient/{subject}", "display": _name(person)},
        "authoredOn": now,
        "lastModified": now,
        "requester": _requester(job, person),
        "owner": {"reference": f"Organization/{owner['id']}", "display": str(owner.get("name", owner["id"]))},
        "restriction": {"period": {"end": booked["start"]}},
        "input": list(inputs),
    }


def _answered(job: Job, communication: Mapping[str, Any], code: str, new: NewVersion) -> None:
    """Close the Task of the request that somebody who may see it has answered."""
    request = _first(job, communication.get("inResponseTo", ()), "Communication")
    if not request or len(new.patients) != 1 or communication.get("status") in _TAKEN_BACK:
        return
    if resources.get(job.session, _seen(job), "Communication", request) is None:
        return
    _close_all(job, ("based-on", f"Communication/{request}"), new.patients, "completed", code)


def _rebooked(job: Job, booked: Mapping[str, Any], new: NewVersion) -> None:
    """Close the Tasks about an appointment that is at another time now, or off: a system that acts needs no answer."""
    named = ("focus", f"Appointment/{new.id}")
    # Looked at again once nobody else can answer meanwhile: a booking must not fail because somebody did.
    for patient in sorted({task.patient for task in _open_tasks(job, named)}):
        lock(job, patient)
        for task in _open_tasks(job, named, (patient,)):
            if patient not in new.patients or _is_elsewhen(booked, task):
                close(job, task, "completed")


def _is_elsewhen(booked: Mapping[str, Any], task: Version) -> bool:
    known = str(_content(task).get("restriction", {}).get("period", {}).get("end", ""))
    start = str(booked.get("start", ""))
    is_on = start and known and booked.get("status") not in _CALLED_OFF
    return not is_on or date_interval(start)[0] != date_interval(known)[0]


def _seen(job: Job) -> Gate:
    """Return what exists for who asks or answers; an app's scopes narrow what it is told, not what a person means."""
    return replace(job.decision.readable, scopes=None)


def _close_all(job: Job, named: tuple[str, str], patients: tuple[int, ...], status: str, code: str = "") -> None:
    for patient in patients:
        lock(job, patient)
    for task in _open_tasks(job, named, patients):
        close(job, task, status, code)


def _open_tasks(job: Job, named: tuple[str, str], patients: tuple[int, ...] = ()) -> Iterator[Version]:
    """Yield the Tasks of requests that wait, by what they name; of these patients', where some are given."""
    about = (named, ("status", "requested"), ("code", f"{APPOINTMENT_REQUEST}|"))
    for task, _ in past_the_gate.current(job, "Task", about, _MOST):
        if not patients or task.patient in patients:
            yield task


def _requester(job: Job, person: Mapping[str, Any]) -> dict[str, Any]:
    """Return who asks: the patient by the name of the record, or a carer by theirs."""
    name = _name(person) if job.principal.caller is Caller.PATIENT else job.principal.name
    return {"reference": job.principal.subject, "display": name}


def _name(person: Mapping[str, Any]) -> str:
    names = [each for each in person.get("name", ()) if each.get("use") not in {"old", "maiden", "anonymous"}]
    name = next((each for each in names if each.get("use") == "official"), names[0] if names else {})
    return str(name.get("text") or " ".join((*name.get("given", ()), str(name.get("family", "")))).strip() or "Unknown")


def _is_with(actor: Mapping[str, Any]) -> bool:
    return str(actor.get("reference", "")).startswith(_WITH)


def _first(job: Job, references: Iterable[Mapping[str, Any]], resource_type: str) -> str:
    """Return the logical id of the first reference to a type, "" where there is none."""
    found = (parse_reference(str(each.get("reference", "")), job.context.fhir_base) for each in references)
    return next((each.id for each in found if each.type == resource_type and each.id), "")


def _input(code: str, element: str, value: Any) -> dict[str, Any]:
    return {"type": concept(code), element: value}


def _content(version: Version) -> dict[str, Any]:
    return dict(json.decode(version.content, len(version.content) + 1)) if version.content else {}
