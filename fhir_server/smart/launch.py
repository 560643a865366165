"""Whose record an app may open: a patient's own; for others the records that they can open, asked on the road."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from fhir_server.access.principal import Principal
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.language import spoken_day
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web import SignedIn
from fhir_server.web.acting import parts
from fhir_server.web.language import code, say

_MOST = 50


@dataclass(frozen=True, slots=True)
class Record:
    """One record to choose.

    Attributes:
        reference: `Patient/…`.
        name: Whose it is.
        birth_date: As text, "" for one's own.
        principal: The part of the person that sees it: a carer of several people is another RelatedPerson for each.
    """

    reference: str
    name: str
    principal: Principal
    birth_date: str = ""

    @property
    def own(self) -> bool:
        """Return whether it is the record of whoever chooses."""
        return self.principal.subject == self.reference


def records(person: SignedIn, context: Context) -> tuple[Record, ...]:
    """Return the records that this person may open an app on, at most 50 as each part, by family name; their own first.

    What a carer or a professional may not see by the patients' consents is not among them.
    """
    found: dict[str, Record] = {}
    for principal in parts(person, context):
        for each in _records(principal, context):
            found.setdefault(each.reference, each)
    return tuple(found.values())


def _records(principal: Principal, context: Context) -> Iterator[Record]:
    if principal.subject.startswith("Patient/"):
        yield Record(principal.subject, principal.name, principal)
        return
    query = (("_sort", "family"), ("_count", str(_MOST)))
    outcome = perform(Interaction(Code.SEARCH, type="Patient", query=query), principal, context)
    for entry in orjson.loads(outcome.content).get("entry", ()):
        if entry.get("search", {}).get("mode", "match") == "match":
            yield _record(entry["resource"], principal)


def record(person: SignedIn, context: Context, reference: str) -> Record | None:
    """Return one record (`Patient/…`) that this person may open an app on, None for any other, there or not."""
    for principal in parts(person, context):
        if principal.subject.startswith("Patient/"):
            if principal.subject == reference:
                return Record(reference, principal.name, principal)
        elif "/" in principal.subject and (content := _read(principal, context, reference)) is not None:
            return _record(orjson.loads(content), principal)
    return None


def read(person: SignedIn, context: Context, reference: str) -> bytes | None:
    """Return a resource (`Type/id`) as JSON, None where it does not exist for this person."""
    return _read(person.principal, context, reference)


def _read(principal: Principal, context: Context, reference: str) -> bytes | None:
    kind, _, logical_id = reference.partition("/")
    try:
        return bytes(perform(Interaction(Code.READ, type=kind, id=logical_id), principal, context).content)
    except FhirError as error:
        if error.kind in {Kind.NOT_FOUND, Kind.GONE, Kind.FORBIDDEN}:
            return None
        raise


def _record(patient: dict[str, Any], principal: Principal) -> Record:
    names = patient.get("name") or [{}]
    official = next((name for name in names if name.get("use") == "official"), names[0])
    text = official.get("text") or " ".join([*official.get("given", ()), official.get("family", "")]).strip()
    return Record(f"Patient/{patient['id']}", text or say("Unnamed"), principal, _spoken(patient.get("birthDate", "")))


def _spoken(born: str) -> str:
    """Return a date of birth as people say it; one that is a month or a year as it is written."""
    return spoken_day(date.fromisoformat(born), code()) if len(born) == len("2000-01-31") else born
