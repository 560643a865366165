"""Who has an NHS login in the demo: people as they are, people who do not match, one not known well enough.

Comes in: today. Goes out: claims. Must not know: how anybody signs in.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from seed_data.population import Person, person_at
from seed_data.sign_ins import accounts

_UNKNOWN_NUMBER = "9434765919"


@dataclass(frozen=True, slots=True)
class NhsLoginPerson:
    """One NHS login.

    Attributes:
        key: Short name for choosing.
        level: `identity_proofing_level`: P0, P5 or P9.
        note: What the demo shows with this person.
    """

    key: str
    level: str
    nhs_number: str
    birthdate: str
    family_name: str
    given_name: str
    email: str
    phone_number: str
    note: str

    @property
    def name(self) -> str:
        """Return given and family name."""
        return f"{self.given_name} {self.family_name}"


def _login(person: Person, note: str, **changed: str) -> NhsLoginPerson:
    values = {
        "key": person.slug,
        "level": "P9",
        "nhs_number": person.nhs_number,
        "birthdate": person.born.isoformat(),
        "family_name": person.family.upper(),  # as the tracing service answers it
        "given_name": person.given,
        "email": person.email,
        "phone_number": "+44" + person.mobile.replace(" ", "")[1:],
        "note": note,
    }
    return NhsLoginPerson(**(values | changed))


def people(today: dt.date) -> tuple[NhsLoginPerson, ...]:
    """Return everybody of the demo who has an NHS login."""
    found = [person_at(position, today) for position in range(60)]
    with_account = {account.reference for account in accounts()}
    adults = [person for person in found if (today - person.born).days > 20 * 365 and person.nhs_status == "01"]
    known = [person for person in adults if person.ref in with_account]
    new = [person for person in adults if person.ref not in with_account]
    unverified = next(person for person in found if person.nhs_status != "01")
    return (
        *(_login(person, "has an account here, with a password") for person in known),
        *(_login(person, "has a record here, and no account yet") for person in new[:4]),
        _login(new[4], "is known to P5 only: proves their identity on the way", level="P5"),
        _login(new[5], "has another surname in the record", family_name="Elsewhere"),
        _login(new[6], "has no record here", key="no-record", nhs_number=_UNKNOWN_NUMBER),
        _login(unverified, "has a record whose NHS number was never traced"),
    )
