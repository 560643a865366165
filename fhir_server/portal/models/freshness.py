"""Where a part of the record comes from and how fresh it is: one line for each organisation that sent some of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from fhir_server.portal.models.words import Json, Moment, display, first, items, moment, reference

_WHO: Final = ("performer", "custodian", "author", "asserter", "recorder", "requester", "informationSource", "sender")
_AT: Final = attrgetter("at")
_WHEN: Final = ("effectiveDateTime", "issued", "date", "start", "occurrenceDateTime", "authoredOn", "recordedDate")


@dataclass(frozen=True, slots=True)
class Freshness:
    """What one source sent.

    Attributes:
        source: Who, "" for what does not say.
        count: How many entries.
        newest: Date of the newest one, None where none has a date.
        received: When the last of them arrived or changed here.
    """

    source: str
    count: int
    newest: Moment | None
    received: Moment | None


def freshness(resources: Iterable[Json], patient: str) -> tuple[Freshness, ...]:
    """Return each source with its newest entry, the one heard of last first.

    Args:
        resources: Entries of one part of a record.
        patient: Literal reference of whose record: what they entered themselves is one source, too.
    """
    piles: dict[str, list[Json]] = {}
    for resource in resources:
        piles.setdefault(source_of(resource, patient), []).append(resource)
    found = [_of(source, entries) for source, entries in piles.items()]
    return tuple(sorted(found, key=lambda each: each.received.at.timestamp() if each.received else 0.0, reverse=True))


def source_of(resource: Json, patient: str) -> str:
    """Return who an entry comes from: an organisation, else a person, `Entered by the patient`, "" for unsaid."""
    found: dict[str, str] = {}
    for each in _named(resource):
        target = reference(each)
        if target == patient:
            return "Entered by the patient"
        if text := display(each):
            found.setdefault(target.partition("/")[0], text)
    return first((found.get("Organization", ""), found.get("HealthcareService", ""), *found.values()))


def received(resource: Json) -> Moment | None:
    """Return when an entry arrived here, or changed last."""
    meta = resource.get("meta")
    return moment(meta.get("lastUpdated")) if isinstance(meta, dict) else None


def _named(resource: Json) -> Iterable[object]:
    for name in _WHO:
        value = resource.get(name)
        if value is None:
            continue
        for each in value if isinstance(value, list) else (value,):
            if isinstance(each, dict):
                yield each.get("actor", each)
    for entry in items(resource, "participant"):
        if not reference(entry.get("actor")).startswith(("Patient/", "Location/")):
            yield entry.get("actor")


def _of(source: str, entries: list[Json]) -> Freshness:
    # One at a time: thousands kept together would be looked through by the garbage collector.
    dates = (found for entry in entries if (found := _date(entry)))
    arrivals = (found for entry in entries if (found := received(entry)))
    return Freshness(
        source=source,
        count=len(entries),
        newest=max(dates, key=_AT, default=None),
        received=max(arrivals, key=_AT, default=None),
    )


def _date(resource: Json) -> Moment | None:
    return next((found for name in _WHEN if (found := moment(resource.get(name)))), None)
