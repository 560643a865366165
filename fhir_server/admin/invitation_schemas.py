"""The shapes of invitations and of requests for an account in `/api/v1`."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from fhir_server.admin.parsing import Asked
from fhir_server.admin.schemas import PAGE_LIMIT
from fhir_server.identity.invitations import State
from fhir_server.identity.parents import Evidence

_LINE = validate.Length(max=320)
_ID = validate.Length(max=64)


def _said(text: str) -> dict[str, str]:
    return {"description": text}


class NewInvitation(Asked):
    """Whom to invite."""

    given = fields.String(required=True, validate=_LINE, metadata=_said("First names"))
    family = fields.String(required=True, validate=_LINE, metadata=_said("Last name"))
    birth_date = fields.String(required=True, validate=_LINE, metadata=_said("`YYYY-MM-DD`"))
    nhs_number = fields.String(required=True, validate=_LINE, metadata=_said("Ten digits"))
    email = fields.String(load_default="", validate=_LINE, metadata=_said("Empty where a letter is to be printed"))
    mobile = fields.String(required=True, validate=_LINE, metadata=_said("For the code by text message"))


class Invitation(Schema):
    """An invitation; neither link nor code."""

    id = fields.String()
    patient = fields.String(metadata=_said("`Patient/…`"))
    given = fields.String()
    family = fields.String()
    email = fields.String()
    state = fields.String(metadata=_said("`waiting`, `locked`, `expired`, `cancelled` or `completed`"))
    organization = fields.String()
    created_at = fields.DateTime()
    expires_at = fields.DateTime()
    reminded_at = fields.DateTime(allow_none=True)


class InvitationQuery(Schema):
    """Which invitations to list."""

    state = fields.String(validate=validate.OneOf(tuple(State)))
    text = fields.String(load_default="", validate=validate.Length(max=100), metadata=_said("Part of name or address"))
    after = fields.String(
        load_default="", validate=validate.Length(max=64), metadata=_said("`next` of the page before")
    )
    count = fields.Integer(load_default=100, validate=validate.Range(1, PAGE_LIMIT))


class Invitations(Schema):
    """A page of invitations, newest first."""

    invitations = fields.List(fields.Nested(Invitation))
    next = fields.String(metadata=_said("Value of `after` for the next page; absent on the last"))


class NewParentInvitation(Asked):
    """Which parent to invite, and for which child."""

    given = fields.String(required=True, validate=_LINE, metadata=_said("First names of the child"))
    family = fields.String(required=True, validate=_LINE, metadata=_said("Last name of the child"))
    birth_date = fields.String(required=True, validate=_LINE, metadata=_said("Of the child, `YYYY-MM-DD`"))
    nhs_number = fields.String(required=True, validate=_LINE, metadata=_said("Of the child, ten digits"))
    name = fields.String(required=True, validate=_LINE, metadata=_said("Full name of the parent"))
    email = fields.String(required=True, validate=_LINE, metadata=_said("Of the parent"))
    mobile = fields.String(required=True, validate=_LINE, metadata=_said("Of the parent, for the code"))
    evidence = fields.String(
        required=True,
        validate=validate.OneOf(tuple(Evidence)),
        metadata=_said("What was seen of their parental responsibility"),
    )
    may_act = fields.Boolean(load_default=False, metadata=_said("Whether they may also add to the record"))


class ParentInvitation(Schema):
    """An invitation of a parent; neither link nor code, nor whose record."""

    id = fields.String()
    name = fields.String()
    email = fields.String()
    state = fields.String(metadata=_said("`waiting`, `locked`, `expired`, `completed` or `ended`"))
    organization = fields.String()
    created_at = fields.DateTime()
    expires_at = fields.DateTime()


class ParentInvitations(Schema):
    """A page of invitations of parents, newest first."""

    invitations = fields.List(fields.Nested(ParentInvitation))
    next = fields.String(metadata=_said("Value of `after` for the next page; absent on the last"))


class InvitationsFile(Schema):
    """A file of people to invite, and how far it is."""

    id = fields.String()
    uploaded_at = fields.DateTime()
    finished_at = fields.DateTime(allow_none=True)
    row_count = fields.Integer()
    waiting = fields.Integer()
    invited = fields.Integer()
    duplicate = fields.Integer()
    refused = fields.Integer()


class AccountRequest(Schema):
    """A professional's request for an account."""

    id = fields.String()
    name = fields.String()
    email = fields.String()
    job = fields.String()
    organization_name = fields.String()
    registration = fields.String()
    reason = fields.String()
    asked_at = fields.DateTime()
    state = fields.String(metadata=_said("`new` or `checked`"))
    evidence = fields.String()
    practitioner = fields.String()
    organization = fields.String()


class Check(Asked):
    """What the service desk saw, and whom the directory has."""

    evidence = fields.String(required=True, metadata=_said("How they checked who it is"))
    practitioner = fields.String(required=True, validate=_LINE, metadata=_said("`Practitioner/…` of the person"))
    organization = fields.String(required=True, validate=_LINE, metadata=_said("`Organization/…` where they work"))


class PageQuery(Schema):
    """Which page of a list."""

    after = fields.String(
        load_default="", validate=validate.Length(max=64), metadata=_said("`next` of the page before")
    )
    count = fields.Integer(load_default=100, validate=validate.Range(1, PAGE_LIMIT))


class AccountRequests(Schema):
    """A page of requests that nobody has decided, oldest first."""

    requests = fields.List(fields.Nested(AccountRequest))
    next = fields.String(metadata=_said("Value of `after` for the next page; absent on the last"))
