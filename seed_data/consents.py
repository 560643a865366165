"""Who shares what with whom: Consents of every shape the product knows.

Comes in: people and today. Goes out: Consent resources, at most one active one per (patient, grantee).
Must not know: how consent is enforced.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, TypeAlias

from seed_data import directory
from seed_data.clock import add_years, instant
from seed_data.codes import (
    GENERAL,
    HL7,
    LABELS,
    LOINC,
    MENTAL_HEALTH,
    SEXUAL_HEALTH,
    coding,
    concept,
    hl7,
    label_coding,
    reference,
)
from seed_data.demographics import related_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seed_data.model import Resource
    from seed_data.population import Person

_BREAK_GLASS_ONLY = "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only"
_DENY = "https://profiles.ihe.net/ITI/PCF/Policy-deny"
_PROXY_ENDS_AT_YEARS = 16
_NOTHING_SHARED_EVERY = 5

Span: TypeAlias = tuple[dt.date, dt.date | None]


def _consent(
    person: Person, key: str, provision: dict[str, Any], signed: dt.date, uri: str = _BREAK_GLASS_ONLY
) -> Resource:
    practice = directory.ORGANISATIONS[person.practice]
    return {
        "resourceType": "Consent",
        "id": f"consent-{person.slug}-{key}",
        "status": "active",
        "scope": hl7("consentscope", "patient-privacy", "Privacy Consent"),
        "category": [concept(LOINC, "59284-0", "Consent Document")],
        "patient": reference(person.ref, person.name),
        "dateTime": instant(signed, 10, 5),
        "organization": [reference(practice.ref, practice.name)],
        "policy": [{"uri": uri}],
        "provision": provision,
    }


def _permit(target: str, name: str, labels: tuple[str, ...], span: Span, *, treatment: bool = True) -> dict[str, Any]:
    starts, ends = span
    period = {"start": starts.isoformat()} | ({"end": ends.isoformat()} if ends else {})
    actor = {"role": hl7("v3-ParticipationType", "IRCP", "information recipient"), "reference": reference(target, name)}
    provision: dict[str, Any] = {"type": "permit", "period": period, "actor": [actor]}
    if treatment:
        provision["purpose"] = [coding(HL7 + "v3-ActReason", "TREAT", "treatment")]
    return provision | {"securityLabel": [label_coding(label) for label in labels]}


def _without(*hidden: str) -> tuple[str, ...]:
    return tuple(label for label in LABELS if label not in hidden)


def _back(today: dt.date, days: int) -> dt.date:
    return today - dt.timedelta(days=days)


def _practice(person: Person, labels: tuple[str, ...], span: Span) -> Resource:
    practice = directory.ORGANISATIONS[person.practice]
    return _consent(person, "practice", _permit(practice.ref, practice.name, labels, span), span[0])


def _one_professional(person: Person, who: str, labels: tuple[str, ...], span: Span) -> Resource:
    row = directory.STAFF[who]
    return _consent(person, who, _permit(row.ref, row.name, labels, span), span[0])


def _proxy(person: Person, labels: tuple[str, ...], span: Span) -> Resource:
    name = person.kin[0] if person.kin else ""
    target = f"RelatedPerson/{related_id(name)}"
    return _consent(person, "proxy", _permit(target, name, labels, span, treatment=False), span[0])


def _amelia(person: Person, today: dt.date) -> list[Resource]:
    since = _back(today, 410)
    return [
        _practice(person, _without(MENTAL_HEALTH), (since, None)),
        _one_professional(person, "marcus-feld", (GENERAL,), (_back(today, 60), today + dt.timedelta(days=120))),
        _one_professional(person, "wei-ling-tan", (GENERAL,), (_back(today, 300), _back(today, 120))),
        _proxy(person, (GENERAL,), (_back(today, 380), None)),
    ]


def _disabled(person: Person, today: dt.date) -> list[Resource]:
    return [_consent(person, "sharing-disabled", {"type": "deny"}, _back(today, 150), _DENY)]


def _nested_deny(person: Person, today: dt.date) -> list[Resource]:
    consent = _practice(person, LABELS, (_back(today, 220), None))
    consent["provision"]["provision"] = [{"type": "deny", "securityLabel": [label_coding(SEXUAL_HEALTH)]}]
    return [consent]


def _child(person: Person, today: dt.date) -> list[Resource]:
    ends = add_years(person.born, _PROXY_ENDS_AT_YEARS)
    return [
        _proxy(person, LABELS, (_back(today, 200), ends)),
        _practice(person, LABELS, (_back(today, 200), None)),
    ]


def _until(person: Person, today: dt.date) -> list[Resource]:
    ends = today + dt.timedelta(days=45)
    return [_one_professional(person, "marcus-feld", LABELS, (_back(today, 30), ends))]


def _expired(person: Person, today: dt.date) -> list[Resource]:
    return [_practice(person, LABELS, (_back(today, 500), _back(today, 40)))]


def _future(person: Person, today: dt.date) -> list[Resource]:
    consent = _practice(person, LABELS, (today + dt.timedelta(days=30), None))
    return [consent | {"dateTime": instant(_back(today, 3), 10, 5)}]


def _hides_mental_health(person: Person, today: dt.date) -> list[Resource]:
    return [_practice(person, _without(MENTAL_HEALTH), (_back(today, 260), None))]


def _practice_and_hospital(person: Person, today: dt.date) -> list[Resource]:
    hospital = directory.ORGANISATIONS[directory.ACUTE]
    span = (_back(today, 90), None)
    return [
        _practice(person, LABELS, (_back(today, 330), None)),
        _consent(person, "hospital", _permit(hospital.ref, hospital.name, (GENERAL,), span), span[0]),
    ]


def _nothing(_person: Person, _today: dt.date) -> list[Resource]:
    return []


_SHAPES: dict[str, Callable[[Person, dt.date], list[Resource]]] = {
    "amelia-hart": _amelia,
    "desmond-clarke": _disabled,
    "noah-okafor": _child,
    "chloe-bennett": _nested_deny,
    "arjun-patel": _until,
    "yusuf-abdi": _expired,
    "lewis-garrity": _future,
    "stephen-blackwood": _hides_mental_health,
    "niamh-o-sullivan": _hides_mental_health,
    "rajesh-nair": _practice_and_hospital,
    "jamal-thompson": _nothing,
    "rosa-delgado": _nothing,
}


def consents(person: Person, today: dt.date) -> Iterator[Resource]:
    """Yield the Consents of one person; most share everything with their practice, one in five shares nothing."""
    shape = _SHAPES.get(person.slug)
    if shape:
        yield from shape(person, today)
    elif person.position % _NOTHING_SHARED_EVERY != _NOTHING_SHARED_EVERY - 1:
        # A newborn's consent cannot be older than the newborn.
        since = max(_back(today, 40 + person.position % 400), person.born)
        yield _practice(person, LABELS, (since, None))
