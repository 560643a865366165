"""`/api/v1` for coordinators and administrators: invitations, files of them, requests for an account.

The same functions as the pages, with the same rights: a coordinator's program sees its organisation's alone.
"""

from __future__ import annotations

from typing import Any

from flask import Response, make_response, request

from fhir_server.access.principal import Principal
from fhir_server.admin import invitation_schemas as schemas
from fhir_server.admin.door import door
from fhir_server.admin.paging import parted
from fhir_server.admin.rights import audit, audit_unchanged, person_of
from fhir_server.admin.schemas import Refusal
from fhir_server.identity import account_requests, invitation_files, invitations
from fhir_server.identity.invitations import Invitation, Person
from fhir_server.operations.inviting import invite as invite_person
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web import context

_COORDINATOR = ("coordinator",)
_INVITERS = ("coordinator", "admin")
_DESK = ("service-desk",)
_DECIDERS = ("service-desk", "admin")

blueprint = door("people", __name__, "Invitations and requests for accounts", lambda: person_of(*_INVITERS, *_DECIDERS))


@blueprint.route("/invitations", methods=["GET"])
@blueprint.arguments(schemas.InvitationQuery, location="query")
@blueprint.response(200, schemas.Invitations)
@blueprint.alt_response(422, schema=Refusal)
def list_invitations(query: dict[str, Any]) -> dict[str, Any]:
    """List invitations, newest first: a coordinator's organisation's, an administrator's everybody's."""
    here, (principal, account) = context(), person_of(*_INVITERS)
    state = invitations.State(query["state"]) if "state" in query else None
    with here.store.read() as session:
        found = invitations.listed(
            session,
            _organization(principal, account.organization),
            here.now(),
            state=state,
            text=query["text"],
            after=query["after"],
            limit=query["count"] + 1,
        )
    listed, more = parted(found, query["count"])
    audit_unchanged(principal, f"{len(listed)} invitations")
    return {"invitations": [_shown(one) for one in listed]} | more


@blueprint.route("/invitations", methods=["POST"])
@blueprint.arguments(schemas.NewInvitation)
@blueprint.response(201, schemas.Invitation)
@blueprint.alt_response(409, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def invite(new: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Invite a person, as the coordinators' page does.

    Their record is found by NHS number, or made where there is none.
    """
    principal, account = person_of(*_COORDINATOR)
    made = invite_person(context(), principal, account, Person(**new, patient=""))
    return _shown(made), 201, {"Location": f"/api/v1/invitations/{made.id}"}


@blueprint.route("/invitations/<invitation_id>", methods=["GET"])
@blueprint.response(200, schemas.Invitation)
@blueprint.alt_response(404, schema=Refusal)
def read_invitation(invitation_id: str) -> dict[str, Any]:
    """Read one invitation."""
    principal, account = person_of(*_INVITERS)
    with context().store.read() as session:
        found = invitations.found(session, _organization(principal, account.organization), invitation_id)
    audit_unchanged(principal, f"invitation {found.id}")
    return _shown(found)


@blueprint.route("/invitations/<invitation_id>/resend", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def resend_invitation(invitation_id: str) -> None:
    """Send a new link and a new code; the old ones no longer work."""
    here, (principal, account) = context(), person_of(*_INVITERS)
    with here.store.write() as session:
        found = invitations.found(session, _organization(principal, account.organization), invitation_id)
        invitations.resend(session, found, here.now())
        audit(session, principal, f"invitation {found.id}", status=204)


@blueprint.route("/invitations/<invitation_id>/cancel", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def cancel_invitation(invitation_id: str) -> None:
    """Cancel an invitation: link and code no longer work."""
    here, (principal, account) = context(), person_of(*_INVITERS)
    with here.store.write() as session:
        found = invitations.found(session, _organization(principal, account.organization), invitation_id)
        invitations.cancel(session, found, here.now())
        audit(session, principal, f"invitation {found.id}", status=204)


@blueprint.route("/invitation-files", methods=["POST"])
@blueprint.doc(requestBody={"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}})
@blueprint.response(202, schemas.InvitationsFile)
@blueprint.alt_response(422, schema=Refusal)
def upload_invitations() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Upload a CSV file of people to invite; the body is the file, and a worker does it line by line.

    The same file again is the file that was there.
    """
    here, (principal, account) = context(), person_of(*_COORDINATOR)
    if request.mimetype != "text/csv":
        raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, "The body must be text/csv")
    content = request.stream.read(invitation_files.MOST_BYTES + 1)
    with here.store.write() as session:
        batch, _ = invitation_files.upload(session, account, content, here.now())
        shown = _file(batch, invitation_files.counts(session, batch))
        audit(session, principal, f"file {batch.id}", status=202)
    return shown, 202, {"Location": f"/api/v1/invitation-files/{batch.id}"}


@blueprint.route("/invitation-files/<file_id>", methods=["GET"])
@blueprint.response(200, schemas.InvitationsFile)
@blueprint.alt_response(404, schema=Refusal)
def read_invitations_file(file_id: str) -> dict[str, Any]:
    """Read how far a file is."""
    principal, account = person_of(*_COORDINATOR)
    with context().store.read() as session:
        batch = invitation_files.found(session, account, file_id)
        counts = invitation_files.counts(session, batch)
    audit_unchanged(principal, f"file {batch.id}")
    return _file(batch, counts)


@blueprint.route("/invitation-files/<file_id>/report", methods=["GET"])
@blueprint.response(200, {"type": "string"}, content_type="text/csv")
@blueprint.alt_response(404, schema=Refusal)
def fetch_invitations_report(file_id: str) -> Response:
    """Fetch what came of each line, as CSV."""
    principal, account = person_of(*_COORDINATOR)
    with context().store.read() as session:
        text = invitation_files.report(session, invitation_files.found(session, account, file_id))
    audit_unchanged(principal, f"file {file_id[:36]}")
    answer = make_response(text)
    answer.headers["Content-Type"] = "text/csv; charset=utf-8"
    return answer


@blueprint.route("/account-requests", methods=["GET"])
@blueprint.arguments(schemas.PageQuery, location="query")
@blueprint.response(200, schemas.AccountRequests)
@blueprint.alt_response(422, schema=Refusal)
def list_account_requests(query: dict[str, Any]) -> dict[str, Any]:
    """List requests for an account that nobody has decided, oldest first."""
    principal, _ = person_of(*_DECIDERS)
    with context().store.read() as session:
        found = account_requests.open_requests(session, after=query["after"], limit=query["count"] + 1)
    listed, more = parted(found, query["count"])
    audit_unchanged(principal, f"{len(listed)} requests")
    return {"requests": listed} | more


@blueprint.route("/account-requests/<request_id>/check", methods=["POST"])
@blueprint.arguments(schemas.Check)
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def check_account_request(check: dict[str, str], request_id: str) -> None:
    """Keep the evidence that the service desk saw and who the person is; somebody else has to approve."""
    here, (principal, account) = context(), person_of(*_DESK)
    with here.store.write() as session:
        account_requests.check(session, account, request_id, **check, now=here.now())
        audit(session, principal, f"request {request_id[:36]}", status=204)


@blueprint.route("/account-requests/<request_id>/approve", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def approve_account_request(request_id: str) -> None:
    """Approve a request whose evidence somebody else has checked; the person gets a set-up link."""
    _decide(request_id, approved=True)


@blueprint.route("/account-requests/<request_id>/refuse", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def refuse_account_request(request_id: str) -> None:
    """Refuse a request; the person is told."""
    _decide(request_id, approved=False)


def _decide(request_id: str, *, approved: bool) -> None:
    here, (principal, account) = context(), person_of(*_DECIDERS)
    with here.store.write() as session:
        account_requests.decide(session, account, request_id, approved=approved, now=here.now())
        audit(session, principal, f"request {request_id[:36]}", status=204)


def _organization(principal: Principal, organization: str) -> str:
    """Return whose invitations a caller sees; "*" for everybody's."""
    return "*" if principal.role == "admin" else organization


def _shown(invitation: Invitation) -> dict[str, Any]:
    names = set(schemas.Invitation().fields) - {"state"}
    state = invitations.state_of(invitation, context().now())
    return {name: getattr(invitation, name) for name in names} | {"state": str(state)}


def _file(batch: invitation_files.Batch, counts: dict[str, int]) -> dict[str, Any]:
    names = ("id", "uploaded_at", "finished_at", "row_count")
    return {name: getattr(batch, name) for name in names} | counts
