"""Letters: a DocumentReference with its PDF in a Binary, and the same words as a text alternative.

Comes in: a person, today and a number of letters. Goes out: (author, resource) pairs. Must not know: results, consents.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seed_data import directory
from seed_data.clock import instant, spoken, weekday
from seed_data.codes import (
    GENERAL,
    LOINC,
    PRACTICE_SETTING,
    SEXUAL_HEALTH,
    SNOMED,
    coding,
    concept,
    labelled,
    reference,
)
from seed_data.letter_texts import LetterText
from seed_data.letter_texts_community import COMMUNITY_TEXTS
from seed_data.letter_texts_hospital import HOSPITAL_TEXTS
from seed_data.pdf import letter_pdf
from seed_data.profiles import PROFILES

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from seed_data.model import Resource
    from seed_data.population import Person

_FOUR_YEARS_DAYS = 4 * 365
_COLUMNS = 88
_TEXTS = HOSPITAL_TEXTS | COMMUNITY_TEXTS
_DISCHARGE = (("18842-5", "Discharge summary"), ("373942005", "Discharge summary"))
_CONSULTATION = (("11488-4", "Consult note"), ("371530004", "Clinical consultation report"))


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter before it is written down."""

    stem: str
    department: directory.Department
    organisation: directory.Organisation
    writer: directory.Professional
    text: LetterText
    seen_on: dt.date
    sent_on: dt.date

    @property
    def title(self) -> str:
        """Return the title as lists show it."""
        return f"{self.text.title}, {spoken(self.sent_on)}"


def _clinics(person: Person) -> tuple[str, ...]:
    """Return the departments that write, most telling first, with the practice in the round."""
    own = dict.fromkeys(clinic for key in person.profiles for clinic in PROFILES[key].clinics)
    return (*own, directory.practice_department(person.practice))


def _plan(person: Person, today: dt.date, count: int) -> Iterator[Letter]:
    clinics = _clinics(person)
    reach = min(_FOUR_YEARS_DAYS, (today - person.born).days - 40)
    rng = person.rng("letters")
    for turn in range(count):
        clinic = clinics[turn % len(clinics)]
        seen_on = weekday(today - dt.timedelta(days=9 + int(reach * (turn + rng.random() * 0.5) / count)))
        yield Letter(
            stem=f"{person.slug}-letter-{count - turn:02d}",
            department=directory.DEPARTMENTS[clinic],
            organisation=directory.organisation_of(clinic),
            writer=directory.professional_of(clinic),
            text=_TEXTS.get(clinic, _TEXTS["practice"]),
            seen_on=seen_on,
            sent_on=weekday(seen_on + dt.timedelta(days=2), step=1),
        )


def _paragraphs(person: Person, letter: Letter, rng: random.Random) -> list[str]:
    findings = rng.sample(letter.text.findings, k=min(2, len(letter.text.findings)))
    parts = [rng.choice(letter.text.openings), *findings, rng.choice(letter.text.plans)]
    words = {
        "given": person.given,
        "when": spoken(letter.seen_on),
        "months": rng.choice(("three", "four", "six", "twelve")),
    }
    return [part.format(**words) for part in parts]


def _lines(person: Person, letter: Letter) -> list[str]:
    """Return the letter below its heading, wrapped to the page."""
    greeting = f"Dear {person.name}" if person.profiles[0] != "child" else f"To the family of {person.name}"
    head = [
        f"{letter.department.name}, {', '.join(letter.organisation.address)}",
        f"Telephone {letter.organisation.phone}",
        "",
        spoken(letter.sent_on),
        "",
        person.name,
        f"{person.street}, {person.town}, {person.postcode}",
        f"Date of birth {spoken(person.born)}    NHS number {_spaced(person.nhs_number)}",
        "",
        letter.text.title,
        "",
        greeting + ",",
        "",
    ]
    body: list[str] = []
    for paragraph in _paragraphs(person, letter, person.rng(letter.stem)):
        body += [*textwrap.wrap(paragraph, _COLUMNS), ""]
    foot = ["Yours sincerely,", "", letter.writer.name, letter.writer.job]
    # What a sexual health clinic writes goes to the patient only.
    if letter.department.label != SEXUAL_HEALTH and letter.organisation.id != person.practice:
        foot += ["", f"Copy to: {directory.ORGANISATIONS[person.practice].name}"]
    return [*head, *body, *foot]


def _spaced(number: str) -> str:
    return f"{number[:3]} {number[3:6]} {number[6:]}"


def _attachment(data: bytes, content_type: str, letter: Letter) -> dict[str, Any]:
    return {
        "contentType": content_type,
        "language": "en-GB",
        "size": len(data),
        "hash": base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode(),
        "title": letter.title,
        "creation": instant(letter.sent_on, 12),
    }


def _document(person: Person, letter: Letter, pdf: bytes, text: bytes) -> Resource:
    (loinc, category), (snomed, display) = _DISCHARGE if letter.department.id == "emergency" else _CONSULTATION
    setting = concept(PRACTICE_SETTING, letter.department.setting, letter.department.setting_display)
    return (
        {"resourceType": "DocumentReference", "id": letter.stem}
        | labelled(_sent_label(person, letter))
        | {
            "identifier": [{"system": f"https://{letter.organisation.id}.example.org/letters", "value": letter.stem}],
            "status": "current",
            "docStatus": "final",
            "type": {
                "coding": [coding(LOINC, loinc, category), coding(SNOMED, snomed, display)],
                "text": letter.text.title,
            },
            "category": [concept(LOINC, loinc, category)],
            "subject": reference(person.ref, person.name),
            "date": instant(letter.sent_on, 12, 30),
            "author": [
                reference(letter.writer.ref, letter.writer.name),
                reference(letter.organisation.ref, letter.organisation.name),
            ],
            "custodian": reference(letter.organisation.ref, letter.organisation.name),
            "description": letter.title,
            "content": [
                {"attachment": _attachment(pdf, "application/pdf", letter) | {"url": f"Binary/{letter.stem}"}},
                {
                    "attachment": _attachment(text, "text/plain", letter)
                    | {"data": base64.b64encode(text).decode(), "title": f"{letter.title} (text)"}
                },
            ],
            "context": {
                "period": {"start": letter.seen_on.isoformat(), "end": letter.seen_on.isoformat()},
                "practiceSetting": setting,
            },
        }
    )


def _sent_label(person: Person, letter: Letter) -> str | None:
    """Return the label the sender puts on; one sender in the demo also labels its ordinary letters."""
    if letter.department.label:
        return letter.department.label
    return GENERAL if person.position == 0 and letter.organisation.id == directory.ACUTE else None


def letters(person: Person, today: dt.date, count: int) -> Iterator[tuple[str, Resource]]:
    """Yield (author, resource) of `count` letters, newest first, each DocumentReference followed by its Binary."""
    for letter in _plan(person, today, count):
        lines = _lines(person, letter)
        pdf = letter_pdf(title=letter.title, heading=letter.organisation.name, lines=lines, made_on=letter.sent_on)
        text = "\n".join([letter.organisation.name, *lines, ""]).encode()
        yield letter.organisation.ref, _document(person, letter, pdf, text)
        yield (
            letter.organisation.ref,
            {"resourceType": "Binary", "id": letter.stem}
            | labelled(_sent_label(person, letter))
            | {
                "contentType": "application/pdf",
                "securityContext": reference(f"DocumentReference/{letter.stem}"),
                "data": base64.b64encode(pdf).decode(),
            },
        )
