"""Whose record it is: the banner above every page of a record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fhir_server import web
from fhir_server.portal.models.words import (
    NHS_NUMBER,
    Json,
    address_lines,
    human_name,
    identifier,
    items,
    moment,
    nhs_number,
)


@dataclass(frozen=True, slots=True)
class Contact:
    """Next of kin or another contact.

    Attributes:
        name: Their name.
        relationship: What they are to the person, in words.
        phones: Telephone numbers as recorded.
    """

    name: str
    relationship: str
    phones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """A Patient as pages show it.

    Attributes:
        id: Logical id.
        name: Name in use.
        born: `4 March 1980`, "" where unknown.
        age: `45 years old`, `died 3 May 2024`, "" where unknown.
        nhs_number: Shown 3-3-4, "" where none.
        address: Lines of the first current address.
        phones: Telephone numbers.
        emails: E-mail addresses.
        practices: General practice as recorded.
        contacts: Next of kin.
        gender: Administrative gender in words.
    """

    id: str
    name: str
    born: str
    age: str
    nhs_number: str
    address: tuple[str, ...]
    phones: tuple[str, ...]
    emails: tuple[str, ...]
    practices: tuple[str, ...]
    contacts: tuple[Contact, ...]
    gender: str


def person(resource: Json, today: date) -> Person:
    """Return a Patient resource as pages show it."""
    born = moment(resource.get("birthDate"))
    addresses = [entry for entry in items(resource, "address") if entry.get("use") != "old"]
    return Person(
        id=str(resource.get("id", "")),
        name=human_name(resource) or "Name not recorded",
        born=born.day if born else "",
        age=_age(resource, today),
        nhs_number=nhs_number(identifier(resource, NHS_NUMBER)),
        address=address_lines(addresses[0]) if addresses else (),
        phones=_telecom(resource, "phone"),
        emails=_telecom(resource, "email"),
        practices=tuple(
            str(entry["display"]) for entry in items(resource, "generalPractitioner") if entry.get("display")
        ),
        contacts=tuple(contact(entry) for entry in items(resource, "contact")),
        gender=str(resource.get("gender", "")),
    )


def _age(resource: Json, today: date) -> str:
    died = moment(resource.get("deceasedDateTime"))
    if died or resource.get("deceasedBoolean") is True:
        return web.say("died %(day)s") % {"day": died.day} if died else web.say("has died")
    text = resource.get("birthDate")
    try:
        born = date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        born = None
    if born is None or born > today:
        return ""
    months = (today.year - born.year) * 12 + today.month - born.month - (today.day < born.day)
    if months < 24:  # noqa: PLR2004 - below two years people count months
        return web.say_many("%(count)s month old", "%(count)s months old", months) % {"count": months}
    return web.say("%(count)s years old") % {"count": months // 12}


def _telecom(resource: Json, system: str) -> tuple[str, ...]:
    entries = (
        entry for entry in items(resource, "telecom") if entry.get("system") == system and entry.get("use") != "old"
    )
    return tuple(str(entry["value"]) for entry in entries if entry.get("value"))


def contact(entry: Json) -> Contact:
    """Return a `Patient.contact` or a RelatedPerson."""
    name = entry.get("name")
    relations = [str(text) for relation in items(entry, "relationship") if (text := _relation(relation))]
    return Contact(
        human_name({"name": [name]} if isinstance(name, dict) else entry) or "Name not recorded",
        ", ".join(relations),
        _telecom(entry, "phone"),
    )


def _relation(relation: Json) -> str:
    codings = items(relation, "coding")
    return str(relation.get("text") or next((coding["display"] for coding in codings if coding.get("display")), ""))
