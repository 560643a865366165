"""`Patient/$match`: who a description of a person may be, among the Patients that exist for the caller.

https://hl7.org/fhir/R4/patient-operation-match.html. Candidates come down the road of searches, so neither a hidden
Patient nor how many there are changes anything: no entry, no score, no grade, no total.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from fhir_server.access.decide import gate
from fhir_server.access.principal import Caller
from fhir_server.identity import limits
from fhir_server.identity.limits import Limit
from fhir_server.interactions import even_time, searching
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Code, Interaction, Operation, Outcome
from fhir_server.operations import match_scoring
from fhir_server.operations.match_scoring import NHS_NUMBER, Grade, Person, Verdict
from fhir_server.operations.subjects import invalid, parameters
from fhir_server.search import parse, run
from fhir_server.search.model import Row
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.validate import validate
from fhir_server.store import belonging

_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
_DEFAULT_COUNT, _MOST_COUNT = 10, 50
_CANDIDATES_COUNT: Final = 100
"""Of each way to look, the Patients that are compared; whoever has a commoner name is found by what else is told."""
_VALUES_COUNT: Final = 5
_LONGEST_VALUE = 200
_ENOUGH_FACTS = 3
_PROGRAMS = frozenset({Caller.ORGANIZATION, Caller.OPERATOR, Caller.DEVICE})
MATCHES = Limit("match", 120, timedelta(hours=1))
"""Per person: more than a desk asks in an hour, and few enough that nobody goes through a directory by guessing."""

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked: the person, for certain matches alone, and for how many at most."""

    person: Person
    patient: Mapping[str, Any]
    only_certain: bool
    count: int


def match(job: Job, interaction: Interaction) -> Outcome:
    """Return a searchset Bundle of Patients with score and grade, the best first.

    With `onlyCertainMatches` there is one or none: two that are certain are a doubt.

    Raises:
        FhirError: INVALID_VALUE (400) for a parameter; BUSINESS_RULE (422) for a description that would fit anybody;
            FORBIDDEN (403) for a token that may not search Patients; THROTTLED (429) for a person who asks too often.
    """
    started = even_time.now()
    gate(job.principal, "s", "Patient")
    _check_pace(job)
    asked = _asked(job, interaction)
    graded = [(row, found) for row, found in _graded(job, asked.person) if found.grade is not Grade.NOT]
    graded.sort(key=lambda each: (-each[1].score, each[0].id))
    if asked.only_certain:
        certain = [each for each in graded if each[1].grade is Grade.CERTAIN]
        graded = certain if len(certain) == 1 else []
    shown = graded[: asked.count]
    further = belonging.further_patients(job.session, [row.key for row, _ in shown])
    for row, _ in shown:
        job.trace.touch((row.patient, *further.get(row.key, ())), row.type, row.id, row.version)
    # INVARIANT: nobody found takes as long as nobody there, as for a search.
    even_time.answered(started, Code.SEARCH, job.trace, job.principal)
    return Outcome(200, _bundle(job.context.fhir_base, shown, len(graded)), "Bundle")


def _check_pace(job: Job) -> None:
    """Count a call of a person; programs of organisations match whole lists.

    Raises:
        FhirError: THROTTLED (429).
    """
    if job.principal.caller in _PROGRAMS:
        return
    # Of its own, so that a call that is refused counts as well.
    with job.context.store.write() as session:
        allowed = limits.allow(session, job.context.now(), (MATCHES, job.principal.subject))
    if not allowed:
        raise FhirError(Kind.THROTTLED, "Too many matches were asked for; try again in an hour")


def _asked(job: Job, interaction: Interaction) -> _Asked:
    body = interaction.resource
    if body is not None and body.get("resourceType") == "Patient":
        validate(job.definitions, dict(body))
        given = parameters(job, replace(interaction, resource=None), "onlyCertainMatches", "count")
        given["resource"] = body
    else:
        given = parameters(job, interaction, "resource", "onlyCertainMatches", "count")
    patient = given.get("resource")
    if not isinstance(patient, Mapping) or patient.get("resourceType") != "Patient":
        raise invalid("resource", "must be a Patient that describes the person to find")
    only_certain = given.get("onlyCertainMatches", False)
    if str(only_certain).lower() not in {"true", "false"}:
        raise invalid("onlyCertainMatches", "must be true or false")
    found = match_scoring.person(patient)
    _check_facts(found)
    return _Asked(found, patient, str(only_certain).lower() == "true", _count(given.get("count", _DEFAULT_COUNT)))


def _count(value: Any) -> int:
    text = str(value)
    if not text.isdecimal() or len(text) > len(str(_MOST_COUNT)) or not 1 <= int(text) <= _MOST_COUNT:
        raise invalid("count", f"must be a number from 1 to {_MOST_COUNT}")
    return int(text)


def _check_facts(asked: Person) -> None:
    """Refuse a description that fits many people: an identifier, a name with a date of birth, or three facts.

    Raises:
        FhirError: BUSINESS_RULE (422).
    """
    facts = asked.facts
    named = bool(facts & {"family", "given"})
    if facts & {"nhs", "identifier"} or (named and "birth" in facts) or len(facts - {"gender"}) >= _ENOUGH_FACTS:
        return
    text = (
        "A match needs an identifier with its system, or a name and birthDate, or three of family, given, birthDate, "
        "postcode and telecom"
    )
    raise FhirError(Kind.BUSINESS_RULE, text, ("Parameters.parameter.where(name = 'resource').resource",))


def _graded(job: Job, asked: Person) -> Iterator[tuple[Row, Verdict]]:
    """Yield each candidate once with its verdict."""
    seen: set[int] = set()
    for query in _ways(asked):
        for row in _found(job, query):
            if row.key not in seen:
                seen.add(row.key)
                stored = json.decode(row.content, len(row.content) + 1)
                yield row, match_scoring.verdict(asked, match_scoring.person(stored))


def _found(job: Job, query: Query) -> tuple[Row, ...]:
    """Return the first candidates of one search among what exists for the caller."""
    request = parse.parse(
        job.definitions,
        "Patient",
        (*query, ("_count", str(_CANDIDATES_COUNT))),
        fhir_base=job.context.fhir_base,
    )
    page = run.run(
        job.session,
        job.decision.readable,
        request,
        page_key=job.context.page_key,
        binding=f"{searching.binding(job.principal)}|$match",
        definitions=job.definitions,
    )
    return page.matches


def _ways(asked: Person) -> Iterator[Query]:
    """Yield the searches that find who may be meant: each by two facts, so that one of them may be wrong."""
    identifiers = [(NHS_NUMBER, number) for number in sorted(asked.nhs)] + sorted(asked.identifiers)
    tokens = [f"{_literal(system)}|{_literal(value)}" for system, value in identifiers[:_VALUES_COUNT]]
    facts = {
        "birthdate": _birth_values(asked.birth),
        "family": _values(asked.family),
        "given": _values(asked.given),
        "address-postalcode": _postcode_values(asked.postcodes),
        "telecom": _values(value for value in asked.telecom if "@" in value),
    }
    if tokens:
        yield (("identifier", ",".join(tokens)),)
    pairs = (
        ("birthdate", "family"),
        ("birthdate", "given"),
        ("birthdate", "address-postalcode"),
        ("family", "given"),
        ("family", "address-postalcode"),
        ("given", "address-postalcode"),
    )
    for names in (*pairs, ("telecom",)):
        if all(facts[name] for name in names):
            yield tuple((name, facts[name]) for name in names)


def _values(values: Any) -> str:
    return ",".join(_literal(value) for value in sorted(values)[:_VALUES_COUNT])


def _postcode_values(postcodes: frozenset[str]) -> str:
    """Return postcodes with and without the space that is written before the last three characters."""
    return _values({*postcodes, *(f"{each[:-3]} {each[-3:]}" for each in postcodes)})


def _birth_values(birth: str) -> str:
    """Return a date of birth, and with its day and month swapped where that is a date as well."""
    parts = birth.split("-")
    swapped = "-".join((parts[0], parts[2], parts[1])) if len(parts) == len(("year", "month", "day")) else ""
    is_date = swapped and int(parts[2]) <= 12  # noqa: PLR2004 - months of a year
    return f"{birth},{swapped}" if is_date and swapped != birth else birth


def _literal(value: str) -> str:
    """Return a value as the search language writes it, cut to what tells people apart."""
    text = value[:_LONGEST_VALUE].replace("\\", "\\\\")
    return text.replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")


def _bundle(fhir_base: str, shown: list[tuple[Row, Verdict]], total: int) -> bytes:
    head = json.encode({"resourceType": "Bundle", "type": "searchset", "total": total})
    entries = b",".join(
        b'{"fullUrl":%s,"resource":%s,"search":%s}'
        % (
            json.encode(f"{fhir_base}/{row.type}/{row.id}"),
            row.content,
            json.encode(
                {
                    "extension": [{"url": _GRADE, "valueCode": found.grade.value}],
                    "mode": "match",
                    "score": found.score,
                }
            ),
        )
        for row, found in shown
    )
    return head[:-1] + b',"entry":[' + entries + b"]}" if entries else head


OPERATION = Operation("match", ("Patient",), ("type",), writes=False, run=match)
