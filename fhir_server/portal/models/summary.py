"""The summary of a record: problems, medicines, allergies, vaccinations, alerts, each one line with its source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from fhir_server import web
from fhir_server.portal.models.freshness import received
from fhir_server.portal.models.words import (
    Json,
    Moment,
    code_of,
    concept,
    concepts,
    display,
    displays,
    first,
    items,
    listed_names,
    moment,
)

_CRITICALITY: Final = {"high": "Could be serious", "low": "Not usually serious"}
_OVER: Final = frozenset({"inactive", "resolved", "remission", "completed", "stopped", "cancelled", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the summary.

    Attributes:
        name: What it is.
        detail: Dose, reaction or the like.
        since: When it began or was given.
        source: Who says so.
        tag: Short warning, "" for none.
        active: Whether it still holds.
        received: When it arrived here or changed last, None where unknown.
    """

    name: str
    detail: str
    since: Moment | None
    source: str
    tag: str = ""
    active: bool = True
    received: Moment | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What an emergency view opens with and a record begins with."""

    alerts: tuple[Entry, ...]
    allergies: tuple[Entry, ...]
    medicines: tuple[Entry, ...]
    conditions: tuple[Entry, ...]
    vaccinations: tuple[Entry, ...]


def summary(resources: Iterable[Json]) -> Summary:
    """Sort resources of several types into a summary; what still holds comes first, then newest first."""
    piles: dict[str, list[Entry]] = {name: [] for name in Summary.__dataclass_fields__}
    for resource in resources:
        kind = _KINDS.get(str(resource.get("resourceType")))
        if kind and not _is_mistake(resource):
            pile, shown = kind
            piles[pile].append(replace(shown(resource), received=received(resource)))
    for entries in piles.values():
        entries.sort(key=lambda entry: entry.since.iso if entry.since else "", reverse=True)
        entries.sort(key=lambda entry: not entry.active)
    return Summary(**{name: tuple(entries) for name, entries in piles.items()})


def _is_mistake(resource: Json) -> bool:
    return "entered-in-error" in {resource.get("status"), code_of(resource.get("verificationStatus"))}


def _source(resource: Json) -> str:
    people = [resource.get(key) for key in ("asserter", "recorder", "requester", "informationSource", "author")]
    named = [display(person) for person in people]
    performers = displays([entry.get("actor") for entry in items(resource, "performer")])
    return first((*named, listed_names(performers)))


def _active(resource: Json) -> bool:
    return not {str(resource.get("status")), code_of(resource.get("clinicalStatus"))} & _OVER


def _condition(resource: Json) -> Entry:
    period = resource.get("onsetPeriod")
    onset = resource.get("onsetDateTime") or (period.get("start") if isinstance(period, dict) else None)
    note = first(str(entry.get("text", "")) for entry in items(resource, "note"))
    active = _active(resource)
    return Entry(
        name=concept(resource.get("code")) or "Condition",
        detail=note,
        since=moment(onset or resource.get("recordedDate")),
        source=_source(resource),
        tag="" if active else "In the past",
        active=active,
    )


def _medicine(resource: Json) -> Entry:
    medication = resource.get("medicationReference")
    period = resource.get("effectivePeriod")
    started = resource.get("authoredOn") or resource.get("effectiveDateTime")
    started = started or (period.get("start") if isinstance(period, dict) else None)
    doses = [
        str(dose.get("text"))
        for dose in items(resource, "dosageInstruction") + items(resource, "dosage")
        if dose.get("text")
    ]
    active = _active(resource)
    return Entry(
        name=concept(resource.get("medicationCodeableConcept")) or display(medication) or "Medicine",
        detail=". ".join(doses),
        since=moment(started),
        source=_source(resource),
        tag="" if active else "No longer taken",
        active=active,
    )


def _allergy(resource: Json) -> Entry:
    reactions = [concepts(reaction.get("manifestation")) for reaction in items(resource, "reaction")]
    reaction = ", ".join(filter(None, reactions))
    active = _active(resource)
    return Entry(
        name=concept(resource.get("code")) or "Allergy",
        detail=web.say("Reaction: %(what)s") % {"what": reaction} if reaction else "",
        since=moment(resource.get("onsetDateTime") or resource.get("recordedDate")),
        source=_source(resource),
        tag=_CRITICALITY.get(str(resource.get("criticality")), "") if active else "In the past",
        active=active,
    )


def _vaccination(resource: Json) -> Entry:
    return Entry(
        name=concept(resource.get("vaccineCode")) or "Vaccine",
        detail=web.say("Batch %(number)s") % {"number": resource["lotNumber"]} if resource.get("lotNumber") else "",
        since=moment(resource.get("occurrenceDateTime")),
        source=_source(resource),
        tag="Not given" if resource.get("status") == "not-done" else "",
    )


def _alert(resource: Json) -> Entry:
    period = resource.get("period")
    return Entry(
        name=concept(resource.get("code")) or "Alert",
        detail="",
        since=moment(period.get("start")) if isinstance(period, dict) else None,
        source=_source(resource),
        active=resource.get("status") == "active",
    )


_KINDS: Final = {
    "Flag": ("alerts", _alert),
    "AllergyIntolerance": ("allergies", _allergy),
    "MedicationRequest": ("medicines", _medicine),
    "MedicationStatement": ("medicines", _medicine),
    "Condition": ("conditions", _condition),
    "Immunization": ("vaccinations", _vaccination),
}
SUMMARY_TYPES: Final = tuple(_KINDS)
