"""Two records of one person become one, and two again where that was wrong (nhs.md §5, A40).

`merge` is the one way; `deciding_cases` comes here with what two people of the service desk agreed to. What is in the
duplicate moves to the record that stays, sharing stops until the person has looked, and one account is left.
"""

from __future__ import annotations

import json as plain_json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.access.consent import permits
from fhir_server.identity import joining
from fhir_server.interactions import references, writing
from fhir_server.interactions.conditional import NHS_NUMBER
from fhir_server.interactions.job import Job
from fhir_server.interactions.suspension import Suspended, suspend
from fhir_server.operations.narrowing_consents import narrow
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import grants, referring, resources
from fhir_server.store.instants import to_us
from fhir_server.store.keys import reference_key, type_key
from fhir_server.store.resources import Version

MOST_RESOURCES: Final = 10_000
_REPLACED_BY, _REPLACES = "replaced-by", "replaces"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """Logical ids of the Patient that ends and of the one that stays."""

    duplicate: str
    survivor: str


def merge(job: Job, pair: Pair) -> str:
    """Join two records and return what was moved, as text that `unmerge` understands.

    Args:
        job: Of the service itself (`suspension.as_service`), in the transaction of the decision.
        pair: Checked by the caller: both are there, living or dead alike, and neither was joined to another before.

    Raises:
        FhirError: CONFLICT (409) where a row changed meanwhile; BUSINESS_RULE (422) where there is too much to move.
    """
    session = job.session
    keys = referring.to_patient(session, reference_key("Patient", pair.duplicate))
    if len(keys) > MOST_RESOURCES:
        raise FhirError(Kind.BUSINESS_RULE, f"More than {MOST_RESOURCES:,} entries would have to move")
    ended = joining.end_duplicate(session, pair.duplicate, job.context.now())
    former = [_content(found) for found in _named(job, keys) if found.type == "Consent"]
    moved = _repoint(job, _named(job, keys), pair.duplicate, pair.survivor)
    narrow(job, pair.survivor, former, set(moved))
    identifiers = _join_patients(job, pair)
    if _is_shared(job, pair.survivor):
        suspend(job, pair.survivor, Suspended.MERGE)
    accounts = joining.unite(session, pair.duplicate, pair.survivor, ended, job.context.now())
    return plain_json.dumps({"moved": moved, "identifiers": identifiers, "accounts": accounts})


def unmerge(job: Job, pair: Pair, detail: str) -> None:
    """Take a merge back: what it moved goes back, what came since stays. No Consent that it ended opens again.

    Raises:
        FhirError: As `merge`.
    """
    kept: Json = plain_json.loads(detail)
    found = []
    for name in kept["moved"]:
        kind, _, logical_id = name.partition("/")
        current = resources.current(job.session, kind, logical_id)
        if current is not None and not current.deleted:
            found.append(current)
    _repoint(job, found, pair.survivor, pair.duplicate)
    _part_patients(job, pair, kept["identifiers"])
    joining.part(job.session, pair.duplicate, pair.survivor, kept["accounts"], job.context.now())


def _named(job: Job, keys: list[int]) -> list[Version]:
    kinds = {type_key(kind): kind for kind in job.definitions.resource_types}
    found = [
        resources.current(job.session, kinds[kind], logical_id)
        for kind, logical_id in referring.named(job.session, keys)
        if kind in kinds and kinds[kind] != "Patient"
    ]
    return [each for each in found if each is not None and each.content is not None]


def _repoint(job: Job, found: Iterable[Version], old_id: str, new_id: str) -> list[str]:
    """Let everything that names one Patient name the other; return what did."""
    old, new, base = f"Patient/{old_id}", f"Patient/{new_id}", job.context.fhir_base
    known = {old: new, f"{base}/{old}": new}
    moved = []
    for version in found:
        before = _content(version)
        after = references.rewrite(before, known, _no_condition, job.definitions)
        if after == before:
            continue
        if version.type == "Consent" and permits(after):
            # INVARIANT: nobody gains by a merge: what was shared of one record is not shared of both.
            after["status"] = "inactive"
        writing.replace_version(job, version, after)
        moved.append(f"{version.type}/{version.id}")
    return moved


def _join_patients(job: Job, pair: Pair) -> list[Json]:
    """End the duplicate and give its identifiers to the record that stays; return those."""
    duplicate, survivor = (_patient(job, each) for each in (pair.duplicate, pair.survivor))
    own = _content(duplicate)
    identifiers: list[Json] = own.pop("identifier", [])
    own |= {"active": False, "link": [*own.get("link", ()), _link(pair.survivor, _REPLACED_BY)]}
    # First, as no two Patients may have one NHS number.
    writing.replace_version(job, duplicate, own)
    other = _content(survivor)
    has = [(each.get("system"), each.get("value")) for each in other.get("identifier", ())]
    has_number = NHS_NUMBER in {system for system, _ in has}
    added = [
        {**each, "use": "old"} if has_number and each.get("system") == NHS_NUMBER else each
        for each in identifiers
        if (each.get("system"), each.get("value")) not in has
    ]
    other["link"] = [*other.get("link", ()), _link(pair.duplicate, _REPLACES)]
    if added:
        other["identifier"] = [*other.get("identifier", ()), *added]
    writing.replace_version(job, survivor, other)
    return identifiers


def _part_patients(job: Job, pair: Pair, identifiers: list[Json]) -> None:
    duplicate, survivor = (_patient(job, each) for each in (pair.duplicate, pair.survivor))
    own, other = _content(duplicate), _content(survivor)
    named = [(each.get("system"), each.get("value")) for each in identifiers]
    first = _before(job, pair)
    kept = [
        each
        for each in other.get("identifier", ())
        if (each.get("system"), each.get("value")) not in named or (each.get("system"), each.get("value")) in first
    ]
    _set(other, "identifier", kept)
    _set(other, "link", [each for each in other.get("link", ()) if each != _link(pair.duplicate, _REPLACES)])
    writing.replace_version(job, survivor, other)
    own["active"] = True
    _set(own, "identifier", identifiers)
    _set(own, "link", [each for each in own.get("link", ()) if each != _link(pair.survivor, _REPLACED_BY)])
    writing.replace_version(job, duplicate, own)


def _before(job: Job, pair: Pair) -> set[tuple[Any, Any]]:
    """Return the identifiers that both records had before they were joined: both keep them."""
    gate = job.decision.readable
    current = resources.current(job.session, "Patient", pair.survivor)
    for number in range(current.version - 1 if current else 0, 0, -1):
        old = resources.version(job.session, gate, "Patient", pair.survivor, number)
        body = _content(old) if old is not None and old.content is not None else {}
        if _link(pair.duplicate, _REPLACES) not in body.get("link", ()):
            return {(each.get("system"), each.get("value")) for each in body.get("identifier", ())}
    return set()


def _is_shared(job: Job, patient_id: str) -> bool:
    named = grants.named_for(job.session, reference_key("Patient", patient_id), to_us(job.context.now()))
    return any(each.permit for each in named)


def _patient(job: Job, patient_id: str) -> Version:
    found = resources.current(job.session, "Patient", patient_id)
    if found is None or found.content is None:
        raise FhirError(Kind.CONFLICT, f"Patient/{patient_id} is not there any more")
    return found


def _content(version: Version) -> Json:
    found: Json = json.decode(version.content or b"{}", len(version.content or b"") + 3)
    return found


def _link(patient_id: str, kind: str) -> Json:
    return {"other": {"reference": f"Patient/{patient_id}"}, "type": kind}


def _set(resource: Json, name: str, values: list[Any]) -> None:
    """Put a list in place, or nothing where it is empty, which FHIR does not know."""
    resource.pop(name, None)
    if values:
        resource[name] = values


def _no_condition(kind: str, _criteria: tuple[tuple[str, str], ...]) -> str:
    raise FhirError(Kind.INVALID_VALUE, f"A stored reference to a {kind} by condition cannot be moved")
