"""The sixty named people of the demo, and as many more as a larger population needs.

Comes in: today and a position. Goes out: `Person` rows. Must not know: FHIR.
Everybody is invented. NHS numbers carry the prefix 999, which is never issued, and a valid check digit.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass

from seed_data.clock import add_years
from seed_data.directory import PRACTICES
from seed_data.people import GIVEN_FEMALE, GIVEN_MALE, PEOPLE, STREETS, SURNAMES, TOWNS, Row, slug

_SPACE = 500_000
_STRIDE = 7_919
_CHECK_MODULUS = 11
_UNUSABLE_CHECK = 10
_ADULT = 18


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person; `position` is the place in the population, `slug` the stem of all ids."""

    position: int
    slug: str
    given: str
    family: str
    gender: str
    born: dt.date
    profiles: tuple[str, ...]
    practice: str
    nhs_number: str
    nhs_status: str
    street: str
    town: str
    postcode: str
    mobile: str
    language: str | None
    kin: tuple[str, str] | None

    @property
    def name(self) -> str:
        """Return given and family name."""
        return f"{self.given} {self.family}"

    @property
    def ref(self) -> str:
        """Return `Patient/<id>`."""
        return f"Patient/{self.slug}"

    @property
    def email(self) -> str:
        """Return an address in a reserved domain, ASCII only."""
        return f"{self.slug.replace('-', '.')}@example.org"

    def rng(self, purpose: str) -> random.Random:
        """Return a generator that depends on person and purpose only, so that parts do not disturb each other."""
        return random.Random(f"{self.slug}/{purpose}")


def nhs_number(position: int) -> str:
    """Return the test NHS number of a position below 500,000: 999, six digits, modulus-11 check digit."""
    if not 0 <= position < _SPACE:
        raise ValueError(f"position must be below {_SPACE}, got {position}")
    scattered = (position * _STRIDE + 1_234) % _SPACE
    # Neighbouring last digits change the weighted sum by 2, so at most one of the pair lacks a check digit.
    for candidate in (2 * scattered, 2 * scattered + 1):
        nine = f"999{candidate:06d}"
        remainder = sum(int(digit) * weight for digit, weight in zip(nine, range(10, 1, -1), strict=True))
        check = (_CHECK_MODULUS - remainder % _CHECK_MODULUS) % _CHECK_MODULUS
        if check != _UNUSABLE_CHECK:
            return f"{nine}{check}"
    raise AssertionError


def _born(row: Row, today: dt.date) -> dt.date:
    if row.born:
        return dt.date.fromisoformat(row.born)
    # Children keep their age whenever the demo is loaded.
    day = add_years(today, -(row.age_months // 12))
    return day - dt.timedelta(days=30 * (row.age_months % 12) + 11)


def _person(position: int, row: Row, today: dt.date, stem: str) -> Person:
    rng = random.Random(f"{stem}/address")
    town, outward = TOWNS[rng.randrange(len(TOWNS))]
    inward = f"{rng.randrange(1, 10)}{''.join(rng.choices('ABDEFGHJLNPQRSTUWXYZ', k=2))}"
    return Person(
        position=position,
        slug=stem,
        given=row.given,
        family=row.family,
        gender=row.gender,
        born=_born(row, today),
        profiles=row.profiles,
        practice=PRACTICES[position % 2],
        nhs_number=nhs_number(position),
        nhs_status="02" if position % 30 == 29 else "01",
        street=f"{rng.randrange(1, 180)} {STREETS[rng.randrange(len(STREETS))]}",
        town=town,
        postcode=f"{outward} {inward}",
        mobile=f"07700 {900_000 + position % 1000}",
        language=row.language,
        kin=row.kin,
    )


def _synthetic(position: int, today: dt.date) -> Person:
    model = PEOPLE[position % len(PEOPLE)]
    rng = random.Random(f"synthetic/{position}")
    given = rng.choice({"female": GIVEN_FEMALE, "male": GIVEN_MALE}.get(model.gender, GIVEN_FEMALE + GIVEN_MALE))
    family = rng.choice(SURNAMES)
    born = _born(model, today) - dt.timedelta(days=rng.randrange(0, 300 if model.age_months else 1500))
    row = Row(given, family, model.gender, born.isoformat(), model.profiles, language=model.language)
    return _person(position, row, today, f"{slug(family)}-{position + 1:06d}")


def person_at(position: int, today: dt.date) -> Person:
    """Return the person at a position; the first sixty are the named ones."""
    if position < len(PEOPLE):
        row = PEOPLE[position]
        return _person(position, row, today, slug(f"{row.given} {row.family}"))
    return _synthetic(position, today)
