"""Put the parts together, person by person.

Comes in: today and how many people. Goes out: a `Seed`. Must not know: who loads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seed_data.appointments import appointments
from seed_data.clinical import summary
from seed_data.consents import consents
from seed_data.demographics import patient, related_person
from seed_data.directory import ORGANISATIONS, directory
from seed_data.letters import letters
from seed_data.model import AuthoredBundle, Seed
from seed_data.people import PEOPLE
from seed_data.population import person_at
from seed_data.quotas import quota
from seed_data.results import results
from seed_data.sign_ins import accounts, clients, emergencies
from seed_data.vitals import vitals

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from seed_data.model import Resource
    from seed_data.population import Person

MAX_ENTRIES = 200


def _record(person: Person, today: dt.date) -> Iterator[tuple[str, Resource]]:
    """Yield the whole record of a person as (author, resource), the Patient first."""
    practice = ORGANISATIONS[person.practice].ref
    letter_count, result_count = quota(person.position)
    yield practice, patient(person)
    related = related_person(person)
    if related:
        yield practice, related
    yield from summary(person, today)
    yield from vitals(person, today)
    yield from results(person, today, result_count)
    yield from appointments(person, today)
    yield from letters(person, today, letter_count)


def _transaction(resources: list[Resource]) -> Resource:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": row, "request": {"method": "PUT", "url": f"{row['resourceType']}/{row['id']}"}}
            for row in resources
        ],
    }


def bundles_of(person: Person, today: dt.date) -> Iterator[AuthoredBundle]:
    """Yield a person's transactions: one author each, the practice's with the Patient first.

    INVARIANT: within one author the order of `_record` is kept, so a reference never points at a later transaction.
    """
    by_author: dict[str, list[Resource]] = {}
    for author, resource in _record(person, today):
        by_author.setdefault(author, []).append(resource)
    for author, resources in by_author.items():
        for start in range(0, len(resources), MAX_ENTRIES):
            yield AuthoredBundle(author, _transaction(resources[start : start + MAX_ENTRIES]))


@dataclass(frozen=True, slots=True)
class BundleStream:
    """The transactions of a whole population, made anew at each iteration and never held together."""

    today: dt.date
    patients: int

    def __iter__(self) -> Iterator[AuthoredBundle]:
        """Yield every transaction, person after person."""
        for position in range(self.patients):
            yield from bundles_of(person_at(position, self.today), self.today)


def generate(today: dt.date, patients: int = len(PEOPLE)) -> Seed:
    """Return the demo data around a day; the same day and number give the same data.

    Args:
        today: the day that past and future are relative to.
        patients: size of the population, at least the sixty named people.

    Raises:
        ValueError: fewer than sixty patients, whom accounts, consents and emergencies refer to.
    """
    if patients < len(PEOPLE):
        raise ValueError(f"patients must be at least {len(PEOPLE)}, got {patients}")
    people = (person_at(position, today) for position in range(patients))
    return Seed(
        directory=directory(),
        bundles=BundleStream(today, patients),
        consents=tuple(consent for person in people for consent in consents(person, today)),
        accounts=accounts(),
        emergencies=emergencies(today),
        clients=clients(),
    )
