"""Whose record an app may open: a patient's own; for others the records that they can open, asked on the road."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web import SignedIn

_MOST = 50


@dataclass(frozen=True, slots=True)
class Record:
    """One record to choose: `Patient/…`, whose it is and the date of birth as text."""

    reference: str
    name: str
    birth_date: str = ""


def records(person: SignedIn, context: Context) -> tuple[Record, ...]:
    """Return the records that this person may open an app on, at most 50, by family name.

    What a carer or a professional may not see by the patients' consents is not among them.
    """
    reference = person.account.reference
    if reference.startswith("Patient/"):
        return (Record(reference, person.account.name),)
    query = (("_sort", "family"), ("_count", str(_MOST)))
    outcome = perform(Interaction(Code.SEARCH, type="Patient", query=query), person.principal, context)
    bundle: dict[str, Any] = orjson.loads(outcome.content)
    return tuple(
        _record(entry["resource"])
        for entry in bundle.get("entry", ())
        if entry.get("search", {}).get("mode", "match") == "match"
    )


def record(person: SignedIn, context: Context, reference: str) -> Record | None:
    """Return one record (`Patient/…`) that this person may open an app on, None for any other, there or not."""
    own = person.account.reference
    if own.startswith("Patient/"):
        return Record(reference, person.account.name) if reference == own else None
    content = read(person, context, reference) if own else None
    return _record(orjson.loads(content)) if content is not None else None


def read(person: SignedIn, context: Context, reference: str) -> bytes | None:
    """Return a resource (`Type/id`) as JSON, None where it does not exist for this person."""
    kind, _, logical_id = reference.partition("/")
    try:
        return bytes(perform(Interaction(Code.READ, type=kind, id=logical_id), person.principal, context).content)
    except FhirError as error:
        if error.kind in {Kind.NOT_FOUND, Kind.GONE, Kind.FORBIDDEN}:
            return None
        raise


def _record(patient: dict[str, Any]) -> Record:
    names = patient.get("name") or [{}]
    official = next((name for name in names if name.get("use") == "official"), names[0])
    text = official.get("text") or " ".join([*official.get("given", ()), official.get("family", "")]).strip()
    return Record(f"Patient/{patient['id']}", text or "Unnamed", patient.get("birthDate", ""))
