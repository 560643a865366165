"""`/api/v1` for the service desk, as on its pages: messages; joined records and deaths, which take two people."""

from __future__ import annotations

from datetime import date
from typing import Any

from fhir_server.admin import desk_schemas as schemas
from fhir_server.admin.door import door
from fhir_server.admin.invitation_schemas import PageQuery
from fhir_server.admin.paging import parted
from fhir_server.admin.rights import audit, audit_unchanged, person_of
from fhir_server.admin.schemas import Refusal
from fhir_server.identity import account_requests, desk_help, person_cases
from fhir_server.identity.person_cases import CaseKind, PersonCase, Proposal, Typed
from fhir_server.operations import deciding_cases
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.accounts import Account
from fhir_server.web import context

_DESK = ("service-desk",)
_DECIDERS = ("service-desk", "admin")

blueprint = door("desk", __name__, "Messages, joined records and deaths", lambda: person_of(*_DECIDERS))


@blueprint.route("/contact-messages", methods=["GET"])
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, schemas.ContactMessages)
@blueprint.alt_response(422, schema=Refusal)
def list_contact_messages(query: dict[str, Any]) -> dict[str, Any]:
    """List messages to the service desk that nobody has dealt with, oldest first."""
    principal, _ = person_of(*_DECIDERS)
    with context().store.read() as session:
        found = account_requests.open_messages(session, after=query["after"], limit=query["count"] + 1)
    listed, more = parted(found, query["count"])
    audit_unchanged(principal, f"{len(listed)} messages")
    return {"messages": listed} | more


@blueprint.route("/contact-messages/<message_id>/close", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def close_contact_message(message_id: str) -> None:
    """Take a message that was dealt with off the queue."""
    here, (principal, account) = context(), person_of(*_DESK)
    with here.store.write() as session:
        account_requests.close_message(session, message_id, account, here.now())
        audit(session, principal, f"message {message_id[:36]}", status=204)


@blueprint.route("/person-cases", methods=["GET"])
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, schemas.PersonCases)
@blueprint.alt_response(422, schema=Refusal)
def list_person_cases(query: dict[str, Any]) -> dict[str, Any]:
    """List proposals that nobody has decided, oldest first."""
    principal, _ = person_of(*_DECIDERS)
    with context().store.read() as session:
        found = person_cases.open_cases(session, after=query["after"], limit=query["count"] + 1)
    listed, more = parted(found, query["count"])
    audit_unchanged(principal, f"{len(listed)} cases")
    return {"cases": listed} | more


@blueprint.route("/person-cases", methods=["POST"])
@blueprint.arguments(schemas.NewPersonCase)
@blueprint.response(201, schemas.PersonCase)
@blueprint.alt_response(409, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def propose_person_case(new: dict[str, Any]) -> tuple[PersonCase, int]:
    """Propose that two records are one person's, that somebody died, or to take either back."""
    here, (principal, account) = context(), person_of(*_DESK)
    case = person_cases.propose(
        here.store,
        account,
        _proposal(new),
        here.now(),
        lambda session, case: audit(session, principal, case.about, status=201),
    )
    return case, 201


@blueprint.route("/person-cases/<case_id>/approve", methods=["POST"])
@blueprint.response(200, schemas.PersonCase)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def approve_person_case(case_id: str) -> PersonCase:
    """Agree to what somebody else proposed, and carry it out."""
    return _decide(case_id, approved=True)


@blueprint.route("/person-cases/<case_id>/refuse", methods=["POST"])
@blueprint.response(200, schemas.PersonCase)
@blueprint.alt_response(404, schema=Refusal)
def refuse_person_case(case_id: str) -> PersonCase:
    """Turn down what somebody else proposed."""
    return _decide(case_id, approved=False)


@blueprint.route("/addresses/resend", methods=["POST"])
@blueprint.arguments(schemas.Address)
@blueprint.response(204)
@blueprint.alt_response(422, schema=Refusal)
def resend_messages(sent: dict[str, Any]) -> None:
    """Send again what waits for an e-mail address; the answer does not tell whether there was anything."""
    here, (principal, account) = context(), person_of(*_DESK)
    email = _address(account, sent["email"])
    with here.store.write() as session:
        desk_help.send_again(session, email, here.now())
        audit(session, principal, f"address {email}", status=204)


@blueprint.route("/addresses/unlock", methods=["POST"])
@blueprint.arguments(schemas.Address)
@blueprint.response(204)
@blueprint.alt_response(422, schema=Refusal)
def unlock_account(sent: dict[str, Any]) -> None:
    """Give whoever is at an e-mail address their tries back; the answer does not tell whether there were any."""
    here, (principal, account) = context(), person_of(*_DESK)
    email = _address(account, sent["email"])
    with here.store.write() as session:
        desk_help.unlock(session, email, here.now())
        audit(session, principal, f"address {email}", status=204)


def _address(account: Account, typed: str) -> str:
    here = context()
    with here.store.write() as session:
        return desk_help.checked(session, account, typed, here.now())


def _decide(case_id: str, *, approved: bool) -> PersonCase:
    here, (principal, account) = context(), person_of(*_DECIDERS)
    deciding_cases.decide(here, principal, account, case_id, approved=approved)
    with here.store.read() as session:
        return person_cases.found(session, case_id)


def _proposal(new: dict[str, Any]) -> Proposal:
    kind = CaseKind(new["kind"])
    for name, wanted in (
        ("other_number", CaseKind.MERGE),
        ("other_birth_date", CaseKind.MERGE),
        ("day", CaseKind.DEATH),
    ):
        if (name in new) is not (kind is wanted):
            raise FhirError(Kind.INVALID_VALUE, f"{name}: for {wanted} it is needed, for nothing else allowed", (name,))
    other = Typed(new["other_number"], new["other_birth_date"].isoformat()) if kind is CaseKind.MERGE else None
    day: date | None = new.get("day")
    patient = Typed(new["number"], new["birth_date"].isoformat())
    return Proposal(kind, patient, other, day.isoformat() if day else "", new["evidence"])
