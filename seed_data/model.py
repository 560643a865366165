"""Shapes that the demo data is handed over in: plain FHIR JSON and a few frozen records around it.

Comes in: nothing. Goes out: the types a loader reads. Must not know: the server, its database or its settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

Resource: TypeAlias = dict[str, Any]

Role = Literal[
    "patient", "carer", "professional", "coordinator", "service-desk", "privacy-officer", "admin", "developer"
]


@dataclass(frozen=True, slots=True)
class AuthoredBundle:
    """A transaction Bundle of at most 200 `PUT Type/id` entries, and the organisation whose own data it is.

    Attributes:
        author: reference of the writing organisation, `Organization/<id>`.
        bundle: the FHIR Bundle; references inside are relative.
    """

    author: str
    bundle: Resource


@dataclass(frozen=True, slots=True)
class Account:
    """A demo sign-in.

    Attributes:
        role: which part of the portal opens.
        name: shown to people.
        email: reserved domain, never deliverable.
        password: in clear, since it is printed for whoever tries the demo.
        reference: `Patient/x`, `Practitioner/y` or `RelatedPerson/z`; None for staff without a directory entry.
        organization: `Organization/<id>` of staff, else None.
        may_break_glass: whether the role allows emergency access.
    """

    role: Role
    name: str
    email: str
    password: str
    reference: str | None = None
    organization: str | None = None
    may_break_glass: bool = False


@dataclass(frozen=True, slots=True)
class PastEmergency:
    """An emergency access that already ended; instants are aware UTC, the reason has at least 20 characters.

    Where a verdict is given (a code of emergency-outcome), a privacy officer closed its review then, with the note.
    """

    practitioner: str
    patient: str
    organization: str
    reason_code: str
    reason: str
    started_at: dt.datetime
    ended_at: dt.datetime
    verdict: str = ""
    note: str = ""
    reviewed_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class SeedClient:
    """A SMART client to register: a public app, or the backend system of one organisation."""

    client_id: str
    name: str
    kind: Literal["public", "backend"]
    organization: str | None
    scope: str
    redirect_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seed:
    """Everything the demo starts with, in load order: directory, bundles, consents, then accounts and the rest.

    Attributes:
        directory: Organization, Location, HealthcareService, Practitioner and PractitionerRole, targets first.
        bundles: re-iterable and lazy, so a large population streams; a patient's first bundle holds the Patient.
        consents: at most one active Consent per (patient, grantee), loaded by the trusted operator.
        accounts: at least one per role.
        emergencies: past emergency accesses.
        clients: SMART clients.
    """

    directory: tuple[Resource, ...]
    bundles: Iterable[AuthoredBundle]
    consents: tuple[Resource, ...]
    accounts: tuple[Account, ...]
    emergencies: tuple[PastEmergency, ...]
    clients: tuple[SeedClient, ...]
