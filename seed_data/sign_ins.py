"""Who can sign in to the demo, which systems connect, and which emergency accesses already happened.

Comes in: today. Goes out: accounts, clients and past emergencies. Must not know: how passwords or keys are stored.
The passwords are published on purpose: they open the demo only.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from seed_data import directory
from seed_data.clock import utc
from seed_data.demographics import related_id
from seed_data.model import Account, PastEmergency, SeedClient

if TYPE_CHECKING:
    from seed_data.model import Role

_WORDS = "quiet canal boat lantern"


def _account(
    number: int, role: Role, name: str, email: str, reference: str | None, organization: str | None = None
) -> Account:
    return Account(role, name, email, f"{_WORDS} {number}", reference, organization)


def _staff(number: int, who: str, *, may_break_glass: bool) -> Account:
    row = directory.STAFF[who]
    return Account(
        role="professional",
        name=row.name,
        email=f"{who.replace('-', '.')}@example.org",
        password=f"{_WORDS} {number}",
        reference=row.ref,
        organization=directory.organisation_of(row.department).ref,
        may_break_glass=may_break_glass,
    )


def accounts() -> tuple[Account, ...]:
    """Return the demo accounts, at least one per role; most patients have none, so that they can be invited."""
    acute = directory.ORGANISATIONS[directory.ACUTE].ref
    return (
        _account(1, "patient", "Amelia Hart", "amelia.hart@example.org", "Patient/amelia-hart"),
        _account(2, "patient", "Desmond Clarke", "desmond.clarke@example.org", "Patient/desmond-clarke"),
        _account(3, "patient", "Arjun Patel", "arjun.patel@example.org", "Patient/arjun-patel"),
        _account(4, "carer", "Thomas Hart", "thomas.hart@example.org", f"RelatedPerson/{related_id('Thomas Hart')}"),
        _account(5, "carer", "Grace Okafor", "grace.okafor@example.org", f"RelatedPerson/{related_id('Grace Okafor')}"),
        _staff(6, "priya-raman", may_break_glass=True),
        _staff(7, "yasmin-haddad", may_break_glass=True),
        _staff(8, "helen-ashworth", may_break_glass=True),
        _staff(9, directory.RECEPTIONIST, may_break_glass=False),
        _account(10, "coordinator", "Nadia Lowe", "nadia.lowe@example.org", None, acute),
        _account(11, "service-desk", "Gareth Pugh", "gareth.pugh@example.org", None),
        _account(12, "service-desk", "Ifeoma Obi", "ifeoma.obi@example.org", None),
        _account(13, "privacy-officer", "Ruth Castellan", "ruth.castellan@example.org", None, acute),
        _account(14, "privacy-officer", "Imtiaz Malik", "imtiaz.malik@example.org", None, acute),
        _account(15, "admin", "Sandra Voss", "sandra.voss@example.org", None),
        _account(16, "developer", "Mina Kovac", "mina.kovac@example.org", None),
    )


def emergencies(today: dt.date) -> tuple[PastEmergency, ...]:
    """Return three emergency accesses, each of them over: last night's, which waits for its review, and two older."""
    acute = directory.ORGANISATIONS[directory.ACUTE].ref
    rows = (
        (
            "priya-raman",
            "amelia-hart",
            1,
            22,
            "Collapsed at home, brought in unconscious; allergies and medicines unknown.",
            "",
        ),
        (
            "yasmin-haddad",
            "george-whitcombe",
            71,
            3,
            "Found confused in the street at night, could not say what he takes.",
            "The notes of the emergency department agree: nobody could be asked.",
        ),
        (
            "priya-raman",
            "margaret-oakes",
            140,
            14,
            "Severe breathlessness, on an anticoagulant; needed the latest heart results.",
            "Admitted by ambulance; the heart results were used in her treatment.",
        ),
    )
    made = []
    for who, patient, days, hour, reason, note in rows:
        started_at = utc(today - dt.timedelta(days=days), hour, 17)
        ended_at = started_at + dt.timedelta(minutes=60 if days > 100 else 34)
        made.append(
            PastEmergency(
                f"Practitioner/{who}", f"Patient/{patient}", acute, "ETREAT", reason, started_at, ended_at,
                verdict="appropriate" if note else "", note=note,
                reviewed_at=ended_at + dt.timedelta(days=1, hours=9) if note else None,
            )
        )  # fmt: skip
    return tuple(made)


def clients() -> tuple[SeedClient, ...]:
    """Return the feeds of the trusts and the council, the systems of the practices, and one public app."""
    feeds = tuple(
        SeedClient(f"epr-{key}", f"Record system of {row.name}", "backend", row.ref, "system/*.cruds")
        for key, row in directory.ORGANISATIONS.items()
        if key not in directory.PRACTICES
    )
    systems = tuple(
        SeedClient(f"gp-{key}", f"Practice system of {directory.ORGANISATIONS[key].name}", "backend",
                   directory.ORGANISATIONS[key].ref, "system/*.cruds")
        for key in directory.PRACTICES
    )  # fmt: skip
    app = SeedClient(
        "demo-app",
        "Heartbeat Diary (demo app)",
        "public",
        None,
        "launch/patient openid fhirUser offline_access patient/*.rs",
        ("http://localhost:8000/demo-app/callback",),
    )
    return (*feeds, *systems, app)
