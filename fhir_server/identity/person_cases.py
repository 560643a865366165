"""Two records of one person, a death, and taking either back: one person proposes, another one decides.

The service desk sees no record. Whoever proposes types number or id and date of birth of each record; both have to be
the record's, and wrong ones are counted.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from fhir_server.access.ownership import is_dead
from fhir_server.identity import joining, limits
from fhir_server.identity.accounts import Role
from fhir_server.identity.limits import Limit
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import accounts, belonging, directory, person_cases, resources
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store
from fhir_server.store.person_cases import CaseKind, CaseState, PersonCase

__all__ = ["CaseKind", "CaseState", "PersonCase", "Proposal", "Typed"]

SHORTEST_EVIDENCE: Final = 20
LONGEST_EVIDENCE: Final = 1_000
WRONG = Limit("person-case", 20, timedelta(hours=1))
"""Per person of the desk: numbers and dates of birth that are nobody's."""
_NHS_NUMBER: Final = "https://fhir.nhs.uk/Id/nhs-number"
_MOST_ID: Final = 64
_DIGITS: Final = 10
_EARLIEST: Final = date(1900, 1, 1)
_UNKNOWN: Final = "No record has this number or id and this date of birth"


@dataclass(frozen=True, slots=True)
class Typed:
    """A record as somebody names it: NHS number or `Patient/…`, and date of birth (`YYYY-MM-DD`)."""

    number: str
    birth_date: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody proposes; `other` and `day` where the kind needs them."""

    kind: CaseKind
    patient: Typed
    other: Typed | None
    day: str
    evidence: str


def propose(
    store: Store, desk: Account, typed: Proposal, now: datetime, record: Callable[[Session, PersonCase], None]
) -> PersonCase:
    """Take a proposal; nothing happens before somebody else agrees.

    A wrong number counts although nothing is kept of the rest.

    Args:
        store: Where it is kept.
        desk: Who proposes.
        typed: What.
        now: Aware UTC.
        record: Writes the AuditEvent, in the transaction that keeps the proposal.

    Raises:
        FhirError: FORBIDDEN (403) for other roles; THROTTLED (429) after many wrong numbers; INVALID_VALUE (400) naming
            the field; CONFLICT (409) where a proposal about one of the records waits; BUSINESS_RULE (422) where it does
            not fit what the records are now.
    """
    if desk.role != Role.SERVICE_DESK:
        raise FhirError(Kind.FORBIDDEN, "Only the service desk can propose this")
    evidence = " ".join(typed.evidence.split())
    if not SHORTEST_EVIDENCE <= len(evidence) <= LONGEST_EVIDENCE:
        text = f"Say how you established it, in {SHORTEST_EVIDENCE} to {LONGEST_EVIDENCE:,} characters"
        raise FhirError(Kind.INVALID_VALUE, text, ("evidence",))
    day = _day(typed, now)
    with store.write() as session:
        is_allowed = limits.allow(session, now, (WRONG, desk.id))
        patient = _record(session, typed.patient)
        other = _record(session, typed.other) if typed.other else None
        is_known = patient is not None and (typed.other is None or other is not None)
        if is_allowed and is_known:
            limits.give_back(session, (WRONG, desk.id))
    if not is_allowed:
        raise FhirError(Kind.THROTTLED, "Too many wrong numbers. Wait an hour and try again")
    if patient is None or (typed.other is not None and other is None):
        raise FhirError(Kind.INVALID_VALUE, _UNKNOWN, ("number" if patient is None else "other",))
    new = PersonCase(
        id=str(uuid.uuid4()),
        kind=typed.kind,
        patient=f"Patient/{patient['id']}",
        other=f"Patient/{other['id']}" if other else "",
        day=day,
        evidence=evidence,
        proposed_by=desk.id,
        proposed_at=now,
    )
    with store.write() as session:
        new = _fitting(session, new)
        if person_cases.is_waiting(session, tuple(filter(None, (new.patient, new.other)))):
            raise FhirError(Kind.CONFLICT, "A proposal about this record waits for a decision", ("number",))
        person_cases.add(session, new)
        record(session, new)
    return new


def open_cases(session: Session, *, after: str = "", limit: int = 100) -> tuple[PersonCase, ...]:
    """Return what nobody has decided, oldest first."""
    return person_cases.open_ones(session, after=after, limit=limit)


def proposer(session: Session, case: PersonCase) -> str:
    """Return the name of who proposed a case, "" where the account is gone."""
    account = accounts.by_id(session, case.proposed_by)
    return account.name if account else ""


def found(session: Session, case_id: str) -> PersonCase:
    """Return one case.

    Raises:
        FhirError: NOT_FOUND (404).
    """
    case = person_cases.by_id(session, case_id)
    if case is None:
        raise FhirError(Kind.NOT_FOUND, "There is no such proposal")
    return case


def decide(session: Session, person: Account, case_id: str, *, approved: bool, now: datetime) -> PersonCase:
    """Decide a case; what it brings about is the caller's, in the same transaction.

    Raises:
        FhirError: FORBIDDEN (403) for other roles and for who proposed it; NOT_FOUND (404) for one that is unknown or
            decided; BUSINESS_RULE (422) where the records have changed so that it fits no more.
    """
    if person.role not in {Role.SERVICE_DESK, Role.ADMIN}:
        raise FhirError(Kind.FORBIDDEN, "Only the service desk and administrators decide this")
    case = found(session, case_id)
    if case.proposed_by == person.id:
        raise FhirError(Kind.FORBIDDEN, "Somebody else has to decide this: you proposed it")
    joining.lock(session, *(each.partition("/")[2] for each in (case.patient, case.other) if each))
    state = CaseState.DONE if approved else CaseState.REFUSED
    if case.state is not CaseState.OPEN or not person_cases.decide(session, case_id, state, by=person.id, now=now):
        raise FhirError(Kind.NOT_FOUND, "There is no such proposal, or somebody has decided it")
    return _fitting(session, case) if approved else case


def _day(typed: Proposal, now: datetime) -> str:
    """Return the day of death of a proposal that needs one."""
    if typed.kind is not CaseKind.DEATH:
        return ""
    try:
        day = date.fromisoformat(typed.day)
    except ValueError:
        raise FhirError(Kind.INVALID_VALUE, "Enter the day of death", ("day",)) from None
    if not _EARLIEST <= day <= now.date():
        raise FhirError(Kind.INVALID_VALUE, "The day of death must be in the past", ("day",))
    return day.isoformat()


def _fitting(session: Session, case: PersonCase) -> PersonCase:
    """Return a case that fits what the records are now; one that takes a merge back with its other record.

    Raises:
        FhirError: BUSINESS_RULE (422) naming the field.
    """
    patient = _current(session, case.patient)
    wrong = ""
    if case.kind is CaseKind.MERGE:
        wrong = _wrong_merge(case, patient, _current(session, case.other))
    elif case.kind is CaseKind.UNMERGE:
        into = _joined_to(patient)
        if not into or person_cases.last_done(session, CaseKind.MERGE, case.patient) is None:
            wrong = "This record was not joined to another one here"
        elif _joined_to(_current(session, into)):
            wrong = "The record it was joined to was joined to a third one. Take that back first"
        case = _with_other(case, into)
    elif _joined_to(patient):
        wrong = "This record was joined to another one. Use that one"
    elif is_dead(patient) is (case.kind is CaseKind.DEATH):
        wrong = "This death is recorded already" if case.kind is CaseKind.DEATH else "No death is recorded"
    elif case.kind is CaseKind.DEATH and case.day < str(patient.get("birthDate", "")):
        wrong = "The day of death is before the date of birth"
    if wrong:
        raise FhirError(Kind.BUSINESS_RULE, wrong, ("number",))
    return case


def _wrong_merge(case: PersonCase, patient: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    if case.patient == case.other:
        return "This is one record already: a record cannot be joined to itself"
    if _joined_to(patient) or _joined_to(other):
        return "One of these records was joined to another one already"
    if any(link.get("type") == "replaces" for link in patient.get("link", ())):
        return "Another record was joined to the one that is to end. Join them the other way round"
    if is_dead(patient) != is_dead(other):
        return "A death is recorded in one of these records only. Put that right first"
    return ""


def _with_other(case: PersonCase, other: str) -> PersonCase:
    its = {name: getattr(case, name) for name in PersonCase.__dataclass_fields__}
    return PersonCase(**{**its, "other": other})


def _joined_to(patient: Mapping[str, Any]) -> str:
    """Return the record that a Patient was joined to, "" for none."""
    links = [link for link in patient.get("link", ()) if link.get("type") == "replaced-by"]
    return str(links[0].get("other", {}).get("reference", "")) if links else ""


def _record(session: Session, typed: Typed) -> dict[str, Any] | None:
    """Return the Patient with this number or id and this date of birth, None for none and for doubt."""
    number = typed.number.replace(" ", "")
    reference = number if number.startswith("Patient/") and len(number) <= _MOST_ID + len("Patient/") else ""
    if not reference and number.isascii() and number.isdigit() and len(number) == _DIGITS:
        keys = set(belonging.keys_with_identifier(session, "Patient", _NHS_NUMBER, number))
        reference = directory.reference_of(session, keys.pop(), "Patient") if len(keys) == 1 else ""
    patient = _current(session, reference) if reference else {}
    is_right = bool(patient) and patient.get("birthDate") == typed.birth_date
    return patient if is_right else None


def _current(session: Session, reference: str) -> dict[str, Any]:
    stored = resources.current(session, "Patient", reference.removeprefix("Patient/"))
    if stored is None or stored.deleted or stored.content is None:
        return {}
    patient: dict[str, Any] = json.decode(stored.content, len(stored.content) + 1)
    return patient
