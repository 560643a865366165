"""The shapes of `/api/v1` for the service desk's messages and cases."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from fhir_server.admin.parsing import Asked
from fhir_server.identity.person_cases import LONGEST_EVIDENCE, SHORTEST_EVIDENCE, CaseKind

_NUMBER = validate.Length(1, 80)


def _said(text: str) -> dict[str, str]:
    return {"description": text}


class ContactMessage(Schema):
    """A message to the service desk."""

    id = fields.String()
    name = fields.String()
    email = fields.String(metadata=_said("As they typed it: nobody has checked that it is theirs"))
    topic = fields.String()
    body = fields.String()
    sent_at = fields.DateTime()


class ContactMessages(Schema):
    """A page of messages that nobody has dealt with, oldest first."""

    messages = fields.List(fields.Nested(ContactMessage))
    next = fields.String(metadata=_said("Value of `after` for the next page; absent on the last"))


class NewPersonCase(Asked):
    """A proposal about somebody's records."""

    kind = fields.String(
        required=True,
        validate=validate.OneOf(tuple(CaseKind)),
        metadata=_said("`merge`, `unmerge`, `death`, or `alive` for a death that was recorded wrongly"),
    )
    number = fields.String(
        required=True, validate=_NUMBER, metadata=_said("NHS number or `Patient/…`; of a merge, the one that ends")
    )
    birth_date = fields.Date(required=True, metadata=_said("Date of birth in that record"))
    other_number = fields.String(validate=_NUMBER, metadata=_said("The record that stays; for `merge` only"))
    other_birth_date = fields.Date(metadata=_said("Date of birth in the record that stays"))
    day = fields.Date(metadata=_said("Day of death; for `death` only"))
    evidence = fields.String(
        required=True,
        validate=validate.Length(SHORTEST_EVIDENCE, LONGEST_EVIDENCE),
        metadata=_said("How it was established; nothing about health"),
    )


class Address(Asked):
    """Whom to help."""

    email = fields.String(required=True, validate=validate.Length(1, 320), metadata=_said("E-mail address"))


class PersonCase(Schema):
    """A proposal."""

    id = fields.String()
    kind = fields.String()
    patient = fields.String(metadata=_said("`Patient/…`; of a merge, the one that ends"))
    other = fields.String(metadata=_said("`Patient/…` that stays, or empty"))
    day = fields.String()
    evidence = fields.String()
    state = fields.String(metadata=_said("`open`, `done` or `refused`"))
    proposed_by = fields.String(metadata=_said("Account id"))
    proposed_at = fields.DateTime()
    decided_by = fields.String()
    decided_at = fields.DateTime(allow_none=True)


class PersonCases(Schema):
    """A page of proposals, oldest first."""

    cases = fields.List(fields.Nested(PersonCase))
    next = fields.String(metadata=_said("Value of `after` for the next page; absent on the last"))
