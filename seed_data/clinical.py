"""The practice's summary of a person: problems, medicines, allergies, vaccinations, alerts.

Comes in: a person and today. Goes out: (author, resource) pairs. Must not know: results, letters, consents.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from seed_data import directory
from seed_data.clock import add_years, age_years
from seed_data.codes import (
    ATC,
    HL7,
    MENTAL_HEALTH,
    SEXUAL_HEALTH,
    SNOMED,
    SOCIAL_CARE,
    coding,
    concept,
    hl7,
    labelled,
    reference,
)
from seed_data.profiles import PROFILES, HealthProfile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seed_data.model import Resource
    from seed_data.population import Person

# Specialist services keep their own record of what they treat; everything else is the practice's.
_AUTHOR = {
    MENTAL_HEALTH: directory.MENTAL,
    SEXUAL_HEALTH: directory.COMMUNITY,
    SOCIAL_CARE: directory.COUNCIL,
}
_ALLERGIES = (
    ("91936005", "Allergy to penicillin", "medication", "high", "271807003", "Rash"),
    ("91935009", "Allergy to peanut", "food", "high", "39579001", "Anaphylaxis"),
    ("418689008", "Allergy to grass pollen", "environment", "low", "70076002", "Rhinitis"),
    ("293586001", "Allergy to aspirin", "medication", "high", "56018004", "Wheezing"),
    ("91930004", "Allergy to egg", "food", "low", "247472004", "Hives"),
)
_NO_ALLERGY = ("716186003", "No known allergy")
# ATC code, vaccine, ages in years it is given at.
_CHILDHOOD = (
    ("J07CA09", "Diphtheria, tetanus, pertussis, polio, Hib and hepatitis B vaccine", 0.2),
    ("J07AH09", "Meningococcal B vaccine", 0.2),
    ("J07BH01", "Rotavirus vaccine", 0.25),
    ("J07BD52", "Measles, mumps and rubella vaccine", 1.0),
    ("J07CA02", "Diphtheria, tetanus, pertussis and polio pre-school booster", 3.5),
    ("J07BM03", "Human papillomavirus vaccine", 12.5),
)
_FLU = ("J07BB02", "Influenza vaccine, inactivated")
_COVID = ("J07BN01", "COVID-19 mRNA vaccine")
_SHINGLES = ("J07BK03", "Shingles vaccine, recombinant")
_CHILD_YEARS, _FLU_YEARS, _SHINGLES_YEARS = 18, 65, 70
_AUTUMN_MONTH, _AUTUMN_DAY = 10, 14


def _author(person: Person, label: str | None) -> directory.Organisation:
    return directory.ORGANISATIONS[_AUTHOR.get(label or "", person.practice)]


def _onset(person: Person, number: int, today: dt.date) -> dt.date:
    rng = person.rng(f"onset/{number}")
    lived_days = (today - person.born).days
    # A pregnancy is recent; everything else began before the five years of results, or in half a short life.
    before = 110 if person.profiles[number] == "pregnancy" else min(5 * 365 + rng.randrange(30, 2500), lived_days // 2)
    return today - dt.timedelta(days=before)


def _condition(person: Person, number: int, profile: HealthProfile, today: dt.date) -> Iterator[tuple[str, Resource]]:
    if profile.problem is None:
        return
    code, display = profile.problem
    author = _author(person, profile.label)
    onset = _onset(person, number, today)
    doctor = directory.professional_of(_department(person, profile))
    yield (
        author.ref,
        {"resourceType": "Condition", "id": f"{person.slug}-condition-{number + 1}"}
        | labelled(profile.label)
        | {
            "clinicalStatus": hl7("condition-clinical", "active", "Active"),
            "verificationStatus": hl7("condition-ver-status", "confirmed", "Confirmed"),
            "category": [hl7("condition-category", "problem-list-item", "Problem list item")],
            "code": concept(SNOMED, code, display),
            "subject": reference(person.ref, person.name),
            "onsetDateTime": onset.isoformat(),
            "recordedDate": onset.isoformat(),
            "recorder": reference(doctor.ref, doctor.name),
        },
    )


def _medicines(person: Person, today: dt.date) -> Iterator[tuple[str, Resource]]:
    seen: set[str] = set()
    for number, key in enumerate(person.profiles):
        profile = PROFILES[key]
        author = _author(person, profile.label)
        for medicine in profile.medicines:
            if medicine.product in seen:
                continue
            seen.add(medicine.product)
            since = _onset(person, number, today) + dt.timedelta(days=14)
            common: dict[str, Any] = {
                "status": "active",
                "medicationCodeableConcept": concept(ATC, medicine.atc, None, medicine.product),
                "subject": reference(person.ref, person.name),
            }
            stem = f"{person.slug}-medicine-{len(seen)}"
            if profile.problem:
                common["reasonReference"] = [
                    reference(f"Condition/{person.slug}-condition-{number + 1}", profile.problem[1])
                ]
            prescriber = directory.professional_of(_department(person, profile))
            yield (
                author.ref,
                {"resourceType": "MedicationRequest", "id": stem}
                | labelled(profile.label)
                | common
                | {
                    "intent": "order",
                    "authoredOn": since.isoformat(),
                    "requester": reference(prescriber.ref, prescriber.name),
                    "dosageInstruction": [{"text": medicine.dosage}],
                },
            )
    if person.rng("counter-medicine").random() < 0.25:
        yield (
            directory.ORGANISATIONS[person.practice].ref,
            {
                "resourceType": "MedicationStatement",
                "id": f"{person.slug}-medicine-counter",
                "status": "active",
                "medicationCodeableConcept": concept(ATC, "R06AE07", None, "Cetirizine 10 mg tablets"),
                "subject": reference(person.ref, person.name),
                "effectivePeriod": {"start": (today - dt.timedelta(days=200)).isoformat()},
                "informationSource": reference(person.ref, person.name),
                "dosage": [{"text": "One tablet when needed for hay fever, bought without prescription"}],
            },
        )


def _department(person: Person, profile: HealthProfile) -> str:
    return profile.clinics[0] if profile.label and profile.clinics else directory.practice_department(person.practice)


def _allergies(person: Person, today: dt.date) -> Iterator[tuple[str, Resource]]:
    rng = person.rng("allergies")
    base: dict[str, Any] = {
        "resourceType": "AllergyIntolerance",
        "id": f"{person.slug}-allergy-1",
        "clinicalStatus": hl7("allergyintolerance-clinical", "active", "Active"),
        "verificationStatus": hl7("allergyintolerance-verification", "confirmed", "Confirmed"),
    }
    doctor = directory.professional_of(directory.practice_department(person.practice))
    recorded = {
        "patient": reference(person.ref, person.name),
        "recorder": reference(doctor.ref, doctor.name),
        "recordedDate": (today - dt.timedelta(days=rng.randrange(20, 300))).isoformat(),
    }
    author = directory.ORGANISATIONS[person.practice].ref
    if person.position and rng.random() < 0.55:
        yield author, base | {"code": concept(SNOMED, *_NO_ALLERGY)} | recorded
        return
    row = _ALLERGIES[0] if person.position == 0 else _ALLERGIES[rng.randrange(len(_ALLERGIES))]
    code, display, category, criticality, sign, shown = row
    yield (
        author,
        base
        | {
            "type": "allergy",
            "category": [category],
            "criticality": criticality,
            "code": concept(SNOMED, code, display),
        }
        | recorded
        | {"reaction": [{"manifestation": [concept(SNOMED, sign, shown)]}]},
    )


def _given(person: Person, today: dt.date) -> list[tuple[str, str, dt.date]]:
    age = age_years(person.born, today)
    if age < _CHILD_YEARS:
        due = ((atc, name, person.born + dt.timedelta(days=int(at * 365.25) + 5)) for atc, name, at in _CHILDHOOD)
        return [row for row in due if row[2] < today]
    autumns = [dt.date(today.year - back, _AUTUMN_MONTH, _AUTUMN_DAY) for back in range(6)]
    frail = age >= _FLU_YEARS or person.profiles != ("well",)
    rows = [(*_FLU, day + dt.timedelta(days=person.position % 20)) for day in autumns[:3] if frail]
    rows += [(*_COVID, day + dt.timedelta(days=30 + person.position % 9)) for day in autumns[1:3]]
    if age > _SHINGLES_YEARS:
        # Whoever was older than that when the programme began had it a few years ago.
        offered = max(add_years(person.born, _SHINGLES_YEARS), add_years(today, -6)) + dt.timedelta(days=40)
        rows.append((*_SHINGLES, offered))
    return [row for row in rows if row[2] < today]


def _immunizations(person: Person, today: dt.date) -> Iterator[tuple[str, Resource]]:
    practice = directory.ORGANISATIONS[person.practice]
    for number, (atc, name, day) in enumerate(_given(person, today), 1):
        yield (
            practice.ref,
            {
                "resourceType": "Immunization",
                "id": f"{person.slug}-immunization-{number}",
                "status": "completed",
                "vaccineCode": concept(ATC, atc, None, name),
                "patient": reference(person.ref, person.name),
                "occurrenceDateTime": day.isoformat(),
                "primarySource": True,
                "lotNumber": f"DEMO{person.rng(f'lot/{number}').randrange(1000, 9999)}",
                "performer": [{"actor": reference(practice.ref, practice.name)}],
            },
        )


def _flags(person: Person, today: dt.date) -> Iterator[tuple[str, Resource]]:
    alerts = [(profile.alert, profile.label) for profile in map(PROFILES.__getitem__, person.profiles) if profile.alert]
    if person.language and person.position % 2:
        alerts.append(("Interpreter needed at appointments", None))
    for number, (text, label) in enumerate(alerts, 1):
        author = _author(person, label)
        yield (
            author.ref,
            {"resourceType": "Flag", "id": f"{person.slug}-flag-{number}"}
            | labelled(label)
            | {
                "status": "active",
                "category": [{"coding": [coding(HL7 + "flag-category", "clinical", "Clinical")], "text": "Alert"}],
                "code": {"text": text},
                "subject": reference(person.ref, person.name),
                "period": {"start": (today - dt.timedelta(days=240)).isoformat()},
                "author": reference(author.ref, author.name),
            },
        )


def summary(person: Person, today: dt.date) -> Iterator[tuple[str, Resource]]:
    """Yield (author, resource) of the clinical summary; medicines come after the problems they refer to."""
    for number, key in enumerate(person.profiles):
        yield from _condition(person, number, PROFILES[key], today)
    yield from _medicines(person, today)
    yield from _allergies(person, today)
    yield from _immunizations(person, today)
    yield from _flags(person, today)
