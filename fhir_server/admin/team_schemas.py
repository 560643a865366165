"""The shapes of `/api/v1` for care teams and professionals."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from fhir_server.admin.parsing import Asked
from fhir_server.identity.care_teams import LONGEST_NAME


def _said(text: str) -> dict[str, str]:
    return {"description": text}


class TeamName(Asked):
    """What a team is called."""

    name = fields.String(required=True, validate=validate.Length(1, LONGEST_NAME), metadata=_said("Patients see it"))


class NewMember(Asked):
    """Whom to add."""

    account_id = fields.String(required=True, metadata=_said("`id` of a professional of the organisation"))


class Member(Schema):
    """A member of a team."""

    role = fields.String(metadata=_said("`PractitionerRole/…`; when the role ends, so does the membership"))
    name = fields.String()


class Team(Schema):
    """A care team."""

    id = fields.String(metadata=_said("Logical id of the CareTeam, which Consents may name"))
    name = fields.String()
    organization = fields.String()
    members = fields.List(fields.Nested(Member))


class Teams(Schema):
    """The care teams of an organisation, by name."""

    teams = fields.List(fields.Nested(Team))


class NewProfessional(Asked):
    """A colleague to invite."""

    given = fields.String(required=True)
    family = fields.String(required=True)
    email = fields.String(required=True, metadata=_said("Of work; the link is sent there"))
    job = fields.String(required=True)
    number = fields.String(required=True, metadata=_said("SDS user id (12 digits) or GMC number (7 digits)"))


class Invited(Schema):
    """An invitation of a professional."""

    id = fields.String()


class InvitedProfessional(Schema):
    """A professional who has a link and has not used it yet."""

    id = fields.String(metadata=_said("Of the invitation, for sending it again or cancelling it"))
    name = fields.String()
    email = fields.String()
    job = fields.String()
    practitioner = fields.String(metadata=_said("`Practitioner/…`"))
    invited_at = fields.DateTime(attribute="asked_at")
    expires_at = fields.DateTime(attribute="token_expires_at", metadata=_said("From here on the link does not work"))


class InvitedProfessionals(Schema):
    """The invited professionals of an organisation who have not come yet, oldest first."""

    invitations = fields.List(fields.Nested(InvitedProfessional))


class Professional(Schema):
    """A professional of the organisation who can sign in."""

    id = fields.String()
    name = fields.String()
    email = fields.String(metadata=_said("Empty for whom the organisation's own system only named in a role"))
    reference = fields.String(metadata=_said("`Practitioner/…`"))
    may_break_glass = fields.Boolean()


class Professionals(Schema):
    """The professionals of an organisation, by name."""

    professionals = fields.List(fields.Nested(Professional))
