"""Who asks.

A `Principal` is built on the server from a token or a session, once per request; no header ever adds to it. Its
subjects closure (the person, their roles and organisations) is computed from stored directory resources.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from fhir_server.access.scopes import Scopes

PRIVACY_OFFICER: Final = "privacy-officer"
"""The role of who reviews how records were used."""


class Caller(Enum):
    """The kind of caller; decides which rules of access.md §2 apply."""

    PATIENT = "patient"
    RELATED = "related"
    PROFESSIONAL = "professional"
    ORGANIZATION = "organization"
    DEVICE = "device"
    OPERATOR = "operator"
    STAFF = "staff"
    """A signed-in person without clinical rights: coordinator, service desk, privacy officer, administrator."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of one request.

    Attributes:
        caller: Kind of caller.
        subject: Literal reference: `Patient/1`, `Practitioner/2`, `RelatedPerson/3`, `Organization/4`, or `system`,
            `account:<id>`.
        actors: Keys of the subjects closure: the subject itself, its PractitionerRoles, Organizations, CareTeams,
            Groups.
        organizations: Keys of the organisations the caller belongs to (own data).
        organization: Literal reference of the organisation acted for, or "".
        scopes: SMART scopes of the token; a portal session has all of its user.
        patient: Launch patient (`Patient/1`) that patient-level scopes are bound to, or "".
        purpose: Code of v3-PurposeOfUse, `TREAT` unless told otherwise.
        client_id: OAuth client, or `portal`.
        role: Account role (`patient`, `professional`, `coordinator`, `privacy-officer`, …) or "".
        name: Display name for audit and messages.
        trusted: The operator's own system: consent does not filter it; every use is audited as such.
        may_break_glass: A human professional whose role allows emergency access.
        auth_time: When the person signed in, aware UTC.
        session_id: Opaque id of the portal session or OAuth grant; an emergency access ends with it.
        in_emergency: An emergency access may be running; False only where it was looked up in this request,
            or `as_of` holds.
        as_of: The epoch in which the caller was looked up for an earlier request; None where it was for this one.
        has_rare: A grant to the caller may have a criterion on content; False only where it was looked up in this
            request, or `as_of` holds. One that comes meanwhile is treated as `Gate.rare` says: towards less.
    """

    caller: Caller
    subject: str
    actors: tuple[int, ...]
    organizations: tuple[int, ...]
    organization: str
    scopes: Scopes
    patient: str
    purpose: str
    client_id: str
    role: str
    name: str
    trusted: bool
    may_break_glass: bool
    auth_time: datetime
    session_id: str
    in_emergency: bool = True
    has_rare: bool = True
    as_of: int | None = None
