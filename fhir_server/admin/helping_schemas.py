"""The shapes of `/api/v1` for who helps people sign in."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from fhir_server.admin.parsing import Asked
from fhir_server.identity.resets import LONGEST_REASON, SHORTEST_REASON

_LINE = validate.Length(max=320)


def _said(text: str) -> dict[str, str]:
    return {"description": text}


class NewAccountReset(Asked):
    """Whose account to open again, and how it was checked that it is theirs."""

    email = fields.String(required=True, validate=_LINE, metadata=_said("Address that the account has"))
    new_email = fields.String(
        load_default="", validate=_LINE, metadata=_said("Only where they cannot read their e-mails any more")
    )
    reason = fields.String(
        required=True,
        metadata=_said(f"How you checked who it is, in {SHORTEST_REASON} to {LONGEST_REASON:,} characters"),
    )


class AskedAccountReset(Schema):
    """What asking answers."""

    id = fields.String()
    code = fields.String(metadata=_said("To tell the person by voice or in person; shown this once"))


class AccountReset(Schema):
    """A request to open an account again; neither code nor link."""

    id = fields.String()
    account_id = fields.String()
    name = fields.String(metadata=_said("Whose account it is"))
    email = fields.String()
    new_email = fields.String(metadata=_said("Address that replaces the account's, empty to keep it"))
    reason = fields.String()
    requested_by = fields.String(metadata=_said("Account id"))
    requested_at = fields.DateTime()
    expires_at = fields.DateTime(metadata=_said("From here on it cannot be decided"))


class AccountResets(Schema):
    """The requests that nobody has decided, oldest first."""

    resets = fields.List(fields.Nested(AccountReset))


class SignInProblem(Schema):
    """A sign-in with another service that could not be linked; not whose."""

    id = fields.String()
    reason = fields.String()
    found_at = fields.DateTime(metadata=_said("When it happened first"))
    seen_at = fields.DateTime(metadata=_said("When it happened last"))


class SignInProblems(Schema):
    """Sign-ins that nobody has dealt with, oldest first."""

    problems = fields.List(fields.Nested(SignInProblem))
