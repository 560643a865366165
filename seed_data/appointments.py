"""Appointments on both sides of today, in every state a person may find one in.

Comes in: a person and today. Goes out: (author, Appointment) pairs. Must not know: letters, results.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seed_data import directory
from seed_data.clock import instant, weekday
from seed_data.codes import PRACTICE_SETTING, concept, hl7, labelled, reference
from seed_data.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seed_data.model import Resource
    from seed_data.population import Person

_HEADLINE_TURNS = 9
_PAST = ("fulfilled", "fulfilled", "noshow", "fulfilled", "cancelled", "fulfilled")
_COMMENTS = {
    "physiotherapy": "Please wear loose clothing.",
    "diabetes": "Please bring your glucose meter and a list of your medicines.",
    "cardiology": "Please come 20 minutes early for a heart tracing.",
    "adult-mental-health": "You are welcome to bring somebody with you.",
}


@dataclass(frozen=True, slots=True)
class Slot:
    """When an appointment is, where, and what became of it."""

    number: int
    clinic: str
    day: dt.date
    hour: int
    minute: int
    minutes: int
    status: str


def _slots(person: Person, today: dt.date) -> Iterator[Slot]:
    clinics = tuple(dict.fromkeys(clinic for key in person.profiles for clinic in PROFILES[key].clinics))
    clinics = (*clinics, directory.practice_department(person.practice))
    rng = person.rng("appointments")
    reach = min(700, (today - person.born).days - 10)
    turns = _HEADLINE_TURNS if person.position == 0 else 2 + len(clinics) // 2
    for turn in range(turns):
        ahead = turn % 2 == 0
        # Both sides of the year, so that offsets of summer and winter occur; the headline's next one is near.
        days = 6 + turn * 29 + rng.randrange(20) if ahead else -(14 + rng.randrange(reach - 14))
        day = weekday(today + dt.timedelta(days=days), step=1 if ahead else -1)
        past = _PAST[(person.position + turn) % len(_PAST)]
        status = ("cancelled" if turn and (person.position + turn) % 9 == 0 else "booked") if ahead else past
        clinic = clinics[turn % len(clinics)]
        hour, minute = rng.randrange(9, 17), 10 * rng.randrange(6)
        yield Slot(turn + 1, clinic, day, hour, minute, rng.choice((10, 20, 30)), status)


def _appointment(person: Person, slot: Slot, today: dt.date) -> Resource:
    department = directory.DEPARTMENTS[slot.clinic]
    organisation = directory.organisation_of(slot.clinic)
    writer = directory.professional_of(slot.clinic)
    ends_after = slot.minute + slot.minutes
    accepted = "declined" if slot.status == "cancelled" else "accepted"
    setting = concept(PRACTICE_SETTING, department.setting, department.setting_display)
    stem = f"{person.slug}-appointment-{slot.number}"
    resource: Resource = {"resourceType": "Appointment", "id": stem} | labelled(department.label)
    resource |= {
        "identifier": [{"system": f"https://{organisation.id}.example.org/appointments", "value": stem}],
        "status": slot.status,
    }
    if slot.status == "cancelled":
        resource["cancelationReason"] = hl7("appointment-cancellation-reason", "pat", "Patient")
    resource |= {
        "serviceType": [setting | {"text": department.name}],
        "specialty": [setting],
        "appointmentType": hl7("v2-0276", "FOLLOWUP", "A follow up visit from a previous appointment"),
        "description": f"{department.name}, {organisation.name}",
        "start": instant(slot.day, slot.hour, slot.minute),
        "end": instant(slot.day, slot.hour + ends_after // 60, ends_after % 60),
        "minutesDuration": slot.minutes,
        "created": instant(weekday(min(slot.day, today) - dt.timedelta(days=11)), 11),
    }
    if slot.clinic in _COMMENTS:
        resource["patientInstruction"] = _COMMENTS[slot.clinic]
    return resource | {
        "participant": [
            {"actor": reference(person.ref, person.name), "required": "required", "status": accepted},
            {"actor": reference(writer.ref, writer.name), "required": "required", "status": "accepted"},
            {
                "actor": reference(f"Location/{department.id}", f"{department.place}, {organisation.name}"),
                "required": "information-only",
                "status": "accepted",
            },
            {
                "actor": reference(f"HealthcareService/{department.id}", department.name),
                "required": "information-only",
                "status": "accepted",
            },
        ]
    }


def appointments(person: Person, today: dt.date) -> Iterator[tuple[str, Resource]]:
    """Yield (author, Appointment) of a person, written by the organisation that holds the clinic."""
    for slot in _slots(person, today):
        yield directory.organisation_of(slot.clinic).ref, _appointment(person, slot, today)
