"""`/api/v1` for who helps people sign in: resets of accounts by two people and sign-ins that could not be linked.

The same functions as the pages, with the same rights.
"""

from __future__ import annotations

from typing import Any

from fhir_server.admin import helping_schemas as schemas
from fhir_server.admin.door import door
from fhir_server.admin.rights import audit, audit_unchanged, person_of
from fhir_server.admin.schemas import Refusal
from fhir_server.identity import desk_help, resets
from fhir_server.identity.resets import AccountReset, Refused
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.accounts import Account
from fhir_server.web import context, current

_DESK = ("service-desk",)
_ADMIN = ("admin",)
_EITHER = (*_DESK, *_ADMIN)

blueprint = door("helping", __name__, "Help to sign in again", lambda: person_of(*_EITHER))


@blueprint.route("/account-resets", methods=["GET"])
@blueprint.response(200, schemas.AccountResets)
def list_account_resets() -> dict[str, Any]:
    """List the requests to open an account again that nobody has decided, oldest first."""
    here, (principal, _) = context(), person_of(*_EITHER)
    with here.store.read() as session:
        found = resets.listed(session, here.now())
    audit_unchanged(principal, f"{len(found)} resets")
    return {"resets": [_shown(reset, account) for reset, account, _ in found]}


@blueprint.route("/account-resets", methods=["POST"])
@blueprint.arguments(schemas.NewAccountReset)
@blueprint.response(201, schemas.AskedAccountReset)
@blueprint.alt_response(422, schema=Refusal)
@blueprint.alt_response(429, schema=Refusal)
def ask_account_reset(new: dict[str, str]) -> tuple[dict[str, str], int]:
    """Ask to open somebody's account again; the code to tell them is in this answer and nowhere afterwards."""
    here, (principal, account) = context(), person_of(*_DESK)
    with here.store.write() as session:
        answer = resets.ask(session, current().vault, account, **new, now=here.now())
        if not isinstance(answer, Refused):
            about = f"reset {answer.reset.id} of account {answer.reset.account_id}"
            audit(session, principal, about, status=201)
    if isinstance(answer, Refused):
        # Raised after the transaction: a refusal counts among the tries.
        name = answer.field.replace("-", "_")
        kind = Kind.THROTTLED if answer.is_throttled else Kind.INVALID_VALUE
        raise FhirError(kind, f"{name}: {answer.text}", (name,))
    return {"id": answer.reset.id, "code": answer.code}, 201


@blueprint.route("/account-resets/<reset_id>/approve", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def approve_account_reset(reset_id: str) -> None:
    """Agree to a request that somebody else made; the person gets a link."""
    _decide(reset_id, approved=True)


@blueprint.route("/account-resets/<reset_id>/refuse", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def refuse_account_reset(reset_id: str) -> None:
    """Turn down a request that somebody else made."""
    _decide(reset_id, approved=False)


@blueprint.route("/sign-in-problems", methods=["GET"])
@blueprint.response(200, schemas.SignInProblems)
def list_sign_in_problems() -> dict[str, Any]:
    """List sign-ins with another service that could not be linked, the oldest 200."""
    principal, _ = person_of(*_DESK)
    with context().store.read() as session:
        found = desk_help.problems(session)
    audit_unchanged(principal, f"{len(found)} problems")
    return {"problems": found}


@blueprint.route("/sign-in-problems/<problem_id>/close", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def close_sign_in_problem(problem_id: str) -> None:
    """Take a sign-in that could not be linked off the list."""
    here, (principal, account) = context(), person_of(*_DESK)
    with here.store.write() as session:
        if not desk_help.close_problem(session, problem_id, account, here.now()):
            raise FhirError(Kind.NOT_FOUND, "There is no such problem, or somebody has closed it")
        audit(session, principal, f"conflict:{problem_id}", status=204)


def _decide(reset_id: str, *, approved: bool) -> None:
    here, (principal, account) = context(), person_of(*_ADMIN)
    with here.store.write() as session:
        resets.decide(session, account, reset_id, approved=approved, now=here.now())
        audit(session, principal, f"reset {reset_id[:36]}", status=204)


def _shown(reset: AccountReset, account: Account) -> dict[str, Any]:
    names = ("id", "account_id", "new_email", "reason", "requested_by", "requested_at", "expires_at")
    return {name: getattr(reset, name) for name in names} | {"name": account.name, "email": account.email}
