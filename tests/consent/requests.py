"""Requests that a caller may send: every interaction, every shape of search, every registered operation, drawn.

What can be enumerated is taken from the server itself (search parameters, modifiers and prefixes, operations and
their definitions), so that what is added there is asked here without being named.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import orjson
from hypothesis import strategies as st

from fhir_server.operations import REGISTRY
from tests.consent.asking import ACT_REASON, IDS, LABELS, PATCH, PATIENTS, PROFILES, REFERENCES, TYPES, Request
from tests.consent.search_requests import searches
from tests.consent.world import (
    ANN,
    BOB,
    CARER,
    CONSULTANT,
    GP,
    LABEL,
    NHS,
    PRACTICE,
    TRUST,
    consent,
    document,
    observation,
    ref,
)  # fmt: skip

# ---------------------------------------------------------------- what is asked every time

PROBES = tuple(
    Request("GET", path)
    for path in (
        "Observation/a-2", "Observation/a-2/_history", "Observation/a-2/_history/1", "Observation/a-2/_history/2",
        "Observation/a-mh", "Observation/b-1/_history", "Observation/both", "Observation/gone", "Observation/gone-mh",
        "Encounter/a-enc-mh", "Binary/a-bin-mh", "Patient/bob", "Consent/first",
        "Observation?_summary=count", "Observation?_count=1&_total=accurate", "Observation?_sort=-date&_count=2",
        "Observation?encounter:Encounter.class=IMP", "Observation?has-member:Observation.value-quantity=9",
        "Observation?_has:Observation:has-member:code=44261-6", "Observation?has-member.subject:Patient.name=bob",
        "Patient?_has:Observation:subject:code=44261-6", "Patient?_has:Encounter:subject:class=IMP&_total=accurate",
        "Observation?_include=*&_include:iterate=*", "Patient?_revinclude=*&_count=1", "Encounter?_count=0",
        "Practitioner?_has:Consent:actor:status=active", "Provenance?target:DocumentReference.status=current",
        "Patient/ann/Observation?code=44261-6", "Patient/bob/Encounter?_summary=count",
        "Specimen?type=blood&_contained=both&_total=accurate", "Specimen?_contained=true&_containedType=contained",
    )
)  # fmt: skip
"""The questions that leaked elsewhere, so that no run of luck leaves one out."""


# ---------------------------------------------------------------- read

_OFTEN = ("Observation/a-2", "Observation/a-2", "Observation/a-mh", "Observation/gone", "Observation/gone-mh") * 3


_HISTORIES = (
    "Observation/_history", "_history", "_history?_count=3", "Patient/_history?_count=1", "Consent/_history",
    "Observation/_history?_at=2026-11-22T08:30:00Z", "Observation/_history?_since=2026-11-22T08:00:00Z&_count=2",
    "_history?_type=Observation,Consent",
)  # fmt: skip


@st.composite
def reads(draw: st.DrawFn) -> Request:
    """Draw a read, vread or history, with preconditions and wishes."""
    if not draw(st.integers(0, 9)):
        return Request("GET", draw(st.sampled_from(_HISTORIES)))
    suffix = draw(st.sampled_from((
        "", "", "", "/_history", "/_history/1", "/_history/2", "/_history/3", "/_history?_count=1",
        "/_history?_since=2026-11-22T08:00:00Z", "?_pretty=true", "?_format=xml",
    )))  # fmt: skip
    headers = draw(st.sampled_from((
        (), (), (), (("If-None-Match", 'W/"1"'),), (("If-None-Match", 'W/"2"'),), (("Accept", "text/plain"),),
        (("If-Modified-Since", "Mon, 01 Jan 2035 00:00:00 GMT"),), (("X-Purpose", "BTG"), ("Category", "BTG")),
    )))  # fmt: skip
    method = draw(st.sampled_from(("GET", "GET", "GET", "HEAD")))
    return Request(method, draw(st.sampled_from((*_OFTEN, *REFERENCES))) + suffix, None, headers)


# ---------------------------------------------------------------- write

_PATCHES = (
    [{"op": "replace", "path": "/status", "value": "amended"}],
    [{"op": "test", "path": "/status", "value": "final"}, {"op": "remove", "path": "/category"}],
    [{"op": "test", "path": "/status", "value": "cancelled"}],
    [{"op": "replace", "path": "/subject/reference", "value": BOB}],
    [{"op": "remove", "path": "/meta/security"}],
)


def _criteria(draw: st.DrawFn) -> str:
    logical_id, patient = draw(st.sampled_from(IDS)), draw(st.sampled_from(PATIENTS))
    return str(draw(st.sampled_from((
        f"_id={logical_id}", "code=718-7", "code=44261-6", f"subject={patient}&value-quantity=9",
        "encounter=Encounter/a-enc-mh", f"subject={patient}", "_has:Observation:has-member:code=44261-6",
        "encounter:Encounter.class=IMP", f"_security={LABEL}|mental-health&subject={patient}",
    ))))  # fmt: skip


def _versions(draw: st.DrawFn) -> tuple[tuple[str, str], ...]:
    version = draw(st.sampled_from(("", "", "1", "2", "9")))
    return (("If-Match", f'W/"{version}"'),) if version else ()


def _made(draw: st.DrawFn, logical_id: str = "") -> dict[str, Any]:
    """Return an Observation that points at something."""
    more: dict[str, Any] = {}
    if draw(st.booleans()):
        more["hasMember"] = [ref(draw(st.sampled_from(REFERENCES)))]
    if not draw(st.integers(0, 2)):
        more["encounter"] = ref(f"Encounter/{draw(st.sampled_from(('a-enc', 'a-enc-mh', 'b-enc-mh', 'nowhere')))}")
    label = draw(st.sampled_from((*LABELS, "")))
    return observation(draw(st.sampled_from(PATIENTS)), logical_id, label, **more)


def _other(draw: st.DrawFn) -> dict[str, Any]:
    """Return a resource of another type, tied to what may be hidden."""
    target, patient = draw(st.sampled_from(REFERENCES)), draw(st.sampled_from(PATIENTS))
    binary = {"resourceType": "Binary", "contentType": "text/plain", "securityContext": ref(target), "data": "aGk="}
    provenance = {"resourceType": "Provenance", "target": [ref(target)], "recorded": "2026-03-01T09:00:00Z",
                  "agent": [{"who": ref(GP)}]}  # fmt: skip
    letter = document(patient, "x", draw(st.sampled_from(LABELS)), draw(st.sampled_from(("Binary/a-bin-mh", ""))))
    del letter["id"]
    number = {"system": NHS, "value": draw(st.sampled_from(("9990000009", "9990000002")))}
    person = {"resourceType": "Patient", "name": [{"family": "New"}], "birthDate": "1981-04-02", "identifier": [number]}
    carer = {"resourceType": "RelatedPerson", "patient": ref(patient)}
    encounter = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": ref(patient)}
    grantee = draw(st.sampled_from((GP, CARER, CONSULTANT, PRACTICE)))
    shared = consent(patient, grantee, labels=tuple(draw(st.lists(st.sampled_from(LABELS), unique=True))))
    return dict(draw(st.sampled_from((binary, provenance, letter, person, carer, encounter, shared, shared))))


@st.composite
def writes(draw: st.DrawFn) -> Request:  # noqa: PLR0911 - one case a verb
    """Draw a write: every verb, plain and conditional, with preconditions."""
    reference, logical_id = draw(st.sampled_from(REFERENCES)), draw(st.sampled_from(IDS))
    wish = draw(st.sampled_from(((), (), (("Prefer", "return=minimal"),), (("Prefer", "return=OperationOutcome"),))))
    match draw(st.integers(0, 8)):
        case 0:
            return Request("POST", "Observation", _made(draw), (("If-None-Exist", _criteria(draw)), *wish))
        case 1:
            body = _made(draw, draw(st.sampled_from(("", "", logical_id))))
            return Request("PUT", f"Observation?{_criteria(draw)}", body, (*wish, *_versions(draw)))
        case 2:
            return Request("DELETE", f"Observation?{_criteria(draw)}", None, _versions(draw))
        case 3:
            return Request("DELETE", reference, None, _versions(draw))
        case 4:
            return Request("PUT", f"Observation/{logical_id}", _made(draw, logical_id), (*wish, *_versions(draw)))
        case 5:
            patch = orjson.dumps(draw(st.sampled_from(_PATCHES)))
            return Request("PATCH", reference, patch, (*wish, *_versions(draw), *PATCH))
        case 6:
            kind, _, name = reference.partition("/")
            body = _other(draw) | {"resourceType": kind, "id": name}
            return Request("PUT", reference, body, (*wish, *_versions(draw)))
        case 7:
            return Request("POST", "Observation", _made(draw), wish)
        case _:
            body = _other(draw)
            return Request("POST", str(body["resourceType"]), body, wish)


def _entry(draw: st.DrawFn) -> dict[str, Any]:
    """Return one entry of a Bundle: any read, search or write."""
    request = draw(st.one_of(reads(), searches(), writes(), writes()))
    if request.method == "POST" and request.path.endswith("/_search"):
        return {"request": {"method": "GET", "url": "Observation?code=44261-6"}}
    entry: dict[str, Any] = {"request": {"method": request.method.replace("HEAD", "GET"), "url": request.path}}
    for header, name in (("If-Match", "ifMatch"), ("If-None-Exist", "ifNoneExist"), ("If-None-Match", "ifNoneMatch")):
        if value := dict(request.headers).get(header):
            entry["request"][name] = value
    if isinstance(request.body, dict):
        entry["resource"] = request.body
        if request.method == "POST":
            entry["fullUrl"] = f"urn:uuid:00000000-0000-4000-8000-{draw(st.integers(0, 99_999)):012d}"
        if not draw(st.integers(0, 3)) and request.body["resourceType"] == "Observation":
            found = draw(st.sampled_from(("_id=a-enc", "_id=a-enc-mh", "_id=b-enc", "class=IMP", "class=AMB")))
            entry["resource"] = request.body | {"encounter": ref(f"Encounter?{found}")}
    return entry


@st.composite
def bundles(draw: st.DrawFn) -> Request:
    """Draw a batch or transaction of reads, searches and plain and conditional writes."""
    kind = draw(st.sampled_from(("batch", "transaction")))
    entries = [_entry(draw) for _ in range(draw(st.integers(1, 4)))]
    return Request("POST", "", {"resourceType": "Bundle", "type": kind, "entry": entries})


# ---------------------------------------------------------------- operations

_UNBUILT = ("everything", "lastn", "summary", "meta", "validate", "diff", "graphql", "document")


def _operation_value(draw: st.DrawFn, kind: str) -> tuple[str, Any]:
    """Return the member name and a value of a parameter of this type."""
    actor = draw(st.sampled_from((GP, CONSULTANT, CARER, PRACTICE, TRUST, ANN, BOB, "Practitioner/nowhere")))
    shared = consent(draw(st.sampled_from(PATIENTS)), actor, labels=LABELS[: draw(st.integers(0, 4))])
    return {
        "Reference": ("valueReference", ref(draw(st.sampled_from((actor, draw(st.sampled_from(REFERENCES))))))),
        "Coding": ("valueCoding", {"system": ACT_REASON, "code": draw(st.sampled_from(("ETREAT", "TREAT")))}),
        "Identifier": ("valueIdentifier", {"system": NHS, "value": draw(st.sampled_from(("9990000002", "999")))}),
        "code": ("valueCode", draw(st.sampled_from(("TREAT", "HRESCH", "ETREAT")))),
        "date": ("valueDate", draw(st.sampled_from(("1981-04-02", "1980-04-01", "2026-03-02")))),
        "boolean": ("valueBoolean", draw(st.booleans())),
        "integer": ("valueInteger", draw(st.integers(0, 3))),
        "instant": ("valueInstant", "2026-11-22T09:00:00Z"),
        "dateTime": ("valueDateTime", "2026-03-02"),
        "uri": ("valueUri", draw(st.sampled_from(REFERENCES))),
        "Consent": ("resource", shared),
        "Patient": ("resource", _somebody(draw)),
    }.get(kind, ("valueString", draw(st.sampled_from(("Unconscious in the emergency department", "a", "")))))


def _somebody(draw: st.DrawFn) -> dict[str, Any]:
    """Return a Patient that describes Ann, Bob, or somebody with something of both."""
    family, birth_date, number = (
        draw(st.sampled_from(pair))
        for pair in (("Ann", "Bob"), ("1980-04-01", "1981-04-02"), ("9990000001", "9990000002"))
    )
    identifier = [{"system": NHS, "value": number}] if draw(st.booleans()) else []
    described: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": family}], "birthDate": birth_date}
    return described | ({"identifier": identifier} if identifier else {})


@st.composite
def operations(draw: st.DrawFn) -> Request:
    """Draw an operation of the registry at one of its levels, with the parameters of its own definition."""
    if not draw(st.integers(0, 5)):
        where = draw(st.sampled_from(("", "Observation/", "Patient/", *(f"{name}/" for name in REFERENCES))))
        return Request("GET", f"{where}${draw(st.sampled_from(_UNBUILT))}")
    operation = draw(st.sampled_from(REGISTRY))
    definition = json.loads((PROFILES / f"OperationDefinition-{operation.code}.json").read_text())
    level, types = draw(st.sampled_from(operation.levels)), operation.types
    if types in {(), ("Resource",)}:
        types = TYPES
    found = [name for name in REFERENCES if name.partition("/")[0] in types] or [f"{types[0]}/nowhere"]
    at = {"system": "", "type": draw(st.sampled_from(types)) + "/", "instance": draw(st.sampled_from(found)) + "/"}
    given = []
    for parameter in definition.get("parameter", ()):
        if parameter["use"] == "in" and (parameter["min"] or draw(st.booleans())) and draw(st.integers(0, 9)):
            name, value = _operation_value(draw, parameter.get("type", ""))
            given.append({"name": parameter["name"], name: value})
    path = f"{at[level]}${operation.code}"
    if not operation.writes and draw(st.booleans()):
        pairs = [(each["name"], _as_text(next(v for k, v in each.items() if k != "name"))) for each in given]
        return Request("GET", f"{path}?{urlencode(pairs)}")
    return Request("POST", path, {"resourceType": "Parameters", "parameter": given})


def _as_text(value: Any) -> str:
    return str(value.get("reference", value.get("code", ""))) if isinstance(value, dict) else str(value)


ANY = st.one_of(
    reads(), reads(), searches(), searches(), searches(), searches(), writes(), writes(), bundles(), operations()
)
