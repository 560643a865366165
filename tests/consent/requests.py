"""Requests that a caller may send: every interaction, every shape of search, every registered operation, drawn.

What can be enumerated is taken from the server itself (search parameters, modifiers and prefixes, operations and
their definitions), so that what is added there is asked here without being named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import orjson
from hypothesis import strategies as st

from fhir_server.operations import REGISTRY
from fhir_server.search.shapes import SHAPES, component_parameter
from fhir_server.search.syntax import PREFIXES
from fhir_server.spec.definitions import SearchParameter, load
from tests.consent.world import (
    ANN,
    BOB,
    CARER,
    CATEGORY,
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

ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
LABELS = ("general", "mental-health", "sexual-health", "social-care")
PATIENTS = (ANN, BOB)
IDS = ("a-1", "a-2", "a-mh", "b-1", "b-2", "b-mh", "both", "drawn-0", "drawn-1", "drawn-2", "drawn-3", "nowhere")
REFERENCES = (
    *(f"Observation/{name}" for name in IDS),
    *(f"{kind}/{prefix}-{stem}{end}" for kind, stem in (
        ("DocumentReference", "doc"), ("Binary", "bin"), ("Provenance", "prov"), ("Encounter", "enc")
    ) for prefix in "ab" for end in ("", "-mh")),
    ANN, BOB, CARER, GP, PRACTICE, "Patient/nowhere", "Observation/gone", "Observation/gone-mh", "Consent/first",
    "PractitionerRole/role-0",
)  # fmt: skip
TYPES = (
    "Observation", "Patient", "Encounter", "DocumentReference", "Provenance", "Binary", "Consent", "RelatedPerson",
    "Practitioner", "PractitionerRole", "Organization", "Task",
)  # fmt: skip
_PROFILES = Path(__file__).parents[2] / "profiles"
_PATCH = (("Content-Type", "application/json-patch+json"),)
_FORM = (("Content-Type", "application/x-www-form-urlencoded"),)


class Request(NamedTuple):
    """One request, as a test client sends it."""

    method: str
    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def writes(self) -> bool:
        """Return whether it may change the record."""
        return self.method not in {"GET", "HEAD"} and not self.path.endswith("/_search")


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


# ---------------------------------------------------------------- search

_QUERIES = (
    "Observation?code=718-7", "Observation?code:not=718-7", "Observation?code:missing=false", "Observation?subject={p}",
    "Observation?patient={p}&category=vital-signs", "Observation?date=ge2026-03-02", "Observation?value-quantity=gt5",
    "Observation?subject.name=ann", "Observation?subject:Patient.birthdate=lt1982",
    "Observation?has-member:missing=false",
    "Observation?encounter:Encounter.class=IMP", "Observation?has-member:Observation.value-quantity=9",
    "Observation?_id={o},a-1,b-1", "Observation?_security=" + LABEL + "|mental-health", "Observation?performer={p}",
    "Observation?_lastUpdated=ge2020", "Observation?encounter.subject:Patient.name=bob", "Observation?code:text=haemo",
    "Observation?code-value-quantity=718-7$5", "Observation?_has:Observation:has-member:code=44261-6",
    "Patient?_has:Observation:subject:code=44261-6", "Patient?_has:Consent:patient:status=active", "Patient?name=a,b",
    "Patient?_has:Observation:subject:has-member:Observation.code=44261-6", "Patient?birthdate=lt1985",
    "Patient?gender:missing=true", "Patient?identifier=" + NHS + "|9990000002", "Patient?link:missing=true",
    "Encounter?class=IMP", "Encounter?_has:Observation:encounter:value-quantity=7", "DocumentReference?subject={p}",
    "Provenance?target={r}", "Provenance?recorded=ge2026", "Binary?_id=a-bin,a-bin-mh", "Consent?patient={p}",
    "RelatedPerson?patient={p}", "Consent?actor=" + GP, "Consent?status=active", "Task?patient={p}",
    "Practitioner?name=practitioner", "PractitionerRole?organization=" + PRACTICE, "Organization?name=org",
    "Practitioner?_has:Observation:performer:code=718-7", "Organization?_has:Observation:performer:code=718-7",
    "Organization?_has:Consent:actor:status=active", "Practitioner?_has:Consent:actor:patient={p}",
    "Task?status=requested", "?_type=Observation,Encounter", "?_type=Patient,Consent&_lastUpdated=ge2020",
    "?_id={o},a-enc-mh",
    "{p}/Observation?code=44261-6", "{p}/Observation?", "{p}/Encounter?class=IMP", "{p}/DocumentReference?",
    "Encounter/a-enc-mh/Observation?", "Encounter/a-enc/Observation?code=718-7", "{p}/Consent?", "{p}/Provenance?",
    GP + "/Observation?", GP + "/PractitionerRole?", CARER + "/Observation?", "Device/none/Observation?",
    "?_lastUpdated=ge2020", "?_type=Observation,Patient,Encounter&_tag:missing=true", "{p}/*?",
    "{p}/*?_type=Observation", "Observation?_text=haemoglobin OR note", "Observation?_content=718-7",
    "Observation?_content=44261 OR haemo*", "Observation?_content=8&_sort=_score", "Patient?_content=bob",
    "?_content=mental OR bob OR laboratory", "Patient?_has:Observation:subject:_content=44261",
    "Observation?subject._content=bob", "DocumentReference?_text=a*", "Observation?_list=$current-problems",
    "Observation?_list=a-1", "Condition?_list=$current-problems&patient={p}", "Observation?_filter=code eq 44261-6",
    "Observation?_filter=not (code eq 718-7)", "Observation?_filter=status pr true",
    'Observation?_filter=subject.name co "bob"', "Observation?_filter=code eq 718-7 or value-quantity gt 8",
    "Observation?_filter=has-member[code eq 44261-6].status eq final",
    "Patient?_filter=birthdate lt 1985 and gender pr false", "Patient?_filter=_has:Observation:subject:code eq 44261-6",
    "Observation?code:in=http://hl7.org/fhir/ValueSet/x", "Consent?purpose:below=TREAT",
    "Observation?status:in=http://hl7.org/fhir/ValueSet/observation-status", "Observation?encounter:below=a-enc-mh",
    "Encounter?class:below=http://terminology.hl7.org/CodeSystem/v3-ActCode|IMP",
    "Observation?value-quantity=gt0.008|http://unitsofmeasure.org|kg/L", "Location?near=51.5|-0.1|50|km",
)  # fmt: skip
_INSIDE = (
    "_contained=both", "_contained=both&_total=accurate&_count=1", "_contained=true", "_contained=both&_include=*",
    "_contained=true&_containedType=contained", "_contained=both&_containedType=contained&_summary=count",
    "_contained=both&_sort=-_lastUpdated&_count=1",
)  # fmt: skip
_SHAPES = (
    "", "", "_total=accurate", "_summary=count", "_count=1", "_count=2&_total=accurate", "_sort=-_lastUpdated",
    "_include=*", "_include=*&_include:iterate=*", "_revinclude=*", "_elements=id", "_count=3&_sort=_id", "_count=0",
    "_summary=true", "_summary=data", "_summary=text", "_total=estimate", "_contained=false", "_total=none",
    "_revinclude=Provenance:target", "_include=*&_revinclude:iterate=*", "_sort=-_id&_count=1",
    "_revinclude=Consent:patient&_revinclude=Observation:subject", "_revinclude=AuditEvent:entity", "_sort=_score",
    *_INSIDE,
)  # fmt: skip
_OBSERVATION_SHAPES = (
    *_SHAPES, "_sort=date", "_sort=-date,code", "_sort=value-quantity&_count=1", "_sort=has-member",
    "_sort=-has-member&_count=1", "_sort=encounter&_count=2", "_sort=subject,-date&_count=1", "_sort=performer",
    "_include=Observation:encounter", "_include=Observation:has-member&_include:iterate=Observation:has-member",
    "_revinclude=Observation:has-member", "_include=Observation:subject&_revinclude:iterate=DocumentReference:subject",
    "_revinclude:iterate=Observation:has-member", "_include=Observation:subject:Patient&_total=accurate&_count=1",
    "_include=Observation:encounter&_include:iterate=Encounter:subject&_revinclude:iterate=Consent:patient",
)  # fmt: skip
_TOKENS = (
    "718-7", "44261-6", "http://loinc.org|718-7", "|718-7", "http://loinc.org|", "laboratory", "vital-signs",
    CATEGORY + "|vital-signs", "final", "finished", "IMP", "AMB", "active", "current", "true", "a-1", "718-7,44261-6",
    LABEL + "|mental-health", LABEL + "|general", NHS + "|9990000002", "9990000001", "general", "mental-health",
)  # fmt: skip
_STRINGS = ("ann", "bob", "a", "practitioner", "org", "Ann", "Haemoglobin", "haemo", "zz")
_DATES = ("2026", "2026-03", "2026-03-02", "2026-03-09", "2026-11-22T09:00:00Z", "1980-04-01", "1981", "2020")
_NUMBERS = ("5", "7", "9", "6.5", "1e1", "5|http://unitsofmeasure.org|g/L", "7||g/L")
_URIS = ("http://loinc.org", "urn:x", "http://localhost/fhir/Patient/ann")
_LOOKUPS: dict[str, Sequence[str]] = {
    "token": _TOKENS, "string": _STRINGS, "uri": _URIS, "date": _DATES, "number": _NUMBERS, "quantity": _NUMBERS,
    "reference": (*REFERENCES, "ann", "a-1", "a-enc-mh", "http://localhost/fhir/Patient/bob"),
}  # fmt: skip
_UNKNOWN = (
    "_filter=code eq",
    "_list=nobody",
    "_text=a",
    "_content=a",
    "_query=q",
    "code:in=http://x",
    "subject:above=x",
)
_PREFIXED = frozenset({"date", "number", "quantity"})
_HOPS = 2


def _plain_value(draw: st.DrawFn, kind: str) -> str:
    value = draw(st.sampled_from(_LOOKUPS.get(kind, _TOKENS)))
    return draw(st.sampled_from(("", *PREFIXES))) + value if kind in _PREFIXED else value


def _value(draw: st.DrawFn, parameter: SearchParameter) -> str:
    if parameter.type != "composite":
        return _plain_value(draw, parameter.type)
    kinds = [component_parameter(load(), parameter, part).type for part in parameter.components]
    return "$".join(_plain_value(draw, kind) for kind in kinds)


def _parameter(draw: st.DrawFn, kind: str) -> SearchParameter:
    known = load().search_parameters(kind)
    likely = [known[code] for code in _LIKELY.get(kind, ()) if code in known]
    common = draw(st.integers(0, 3)) > 0
    return draw(st.sampled_from(likely if likely and common else list(known.values())))


_LIKELY = {
    "Observation": ("code", "date", "subject", "patient", "value-quantity", "category", "encounter", "has-member",
                    "performer", "status", "code-value-quantity", "combo-code", "combo-value-quantity", "_security"),
    "Patient": ("name", "family", "birthdate", "identifier", "gender", "_id"),
    "Encounter": ("class", "status", "subject", "patient", "_id"),
    "DocumentReference": ("status", "subject", "patient", "_security", "_id"),
    "Provenance": ("target", "recorded", "agent", "patient"),
    "Consent": ("status", "patient", "actor", "scope", "security-label", "_id"),
    "Practitioner": ("name", "_id"),
    "PractitionerRole": ("practitioner", "organization", "active"),
}  # fmt: skip


def _criterion(draw: st.DrawFn, kind: str, hops: int = 0) -> tuple[str, str]:
    """Return name and value of a search parameter: plain, modified, chained or reversed, up to some hops."""
    if hops < _HOPS and not draw(st.integers(0, 4)):
        source = draw(st.sampled_from(("Observation", "Encounter", "DocumentReference", "Provenance", "Consent")))
        back = [each for each in load().search_parameters(source).values()
                if each.type == "reference" and (not each.targets or kind in each.targets)]  # fmt: skip
        if back:
            name, value = _criterion(draw, source, hops + 1)
            return f"_has:{source}:{draw(st.sampled_from(back)).code}:{name}", value
    parameter = _parameter(draw, kind)
    if parameter.type == "reference" and hops < _HOPS and draw(st.booleans()):
        targets = [target for target in parameter.targets if target in TYPES] or ["Patient"]
        target = draw(st.sampled_from(targets))
        name, value = _criterion(draw, target, hops + 1)
        return f"{parameter.code}{draw(st.sampled_from(('', ':' + target)))}.{name}", value
    own = sorted(SHAPES[parameter.type].MODIFIERS) if parameter.type in SHAPES else []
    if parameter.type == "reference":
        own.append("Patient")
    modifier = draw(st.sampled_from(["", "", "", "missing", *own]))
    if modifier == "missing":
        return f"{parameter.code}:missing", draw(st.sampled_from(("true", "false")))
    return f"{parameter.code}:{modifier}".rstrip(":"), _value(draw, parameter)


@st.composite
def _any_search(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(("Observation", "Observation", "Patient", "Encounter", *TYPES)))
    pairs = [_criterion(draw, kind) for _ in range(draw(st.integers(1, 2)))]
    if not draw(st.integers(0, 3)):
        codes = sorted(code for code, each in load().search_parameters(kind).items() if each.type in SHAPES)
        sort = ",".join(draw(st.sampled_from(("", "-"))) + draw(st.sampled_from(codes)) for _ in range(2))
        pairs += [("_sort", sort), ("_count", draw(st.sampled_from(("1", "2", "50"))))]
    return f"{kind}?{urlencode(pairs)}"


@st.composite
def searches(draw: st.DrawFn) -> Request:
    """Draw a search: on a type, the whole system or in a compartment, by GET or POST."""
    if draw(st.booleans()):
        query = draw(_any_search())
    else:
        query = draw(st.sampled_from(_QUERIES)).format(
            p=draw(st.sampled_from(PATIENTS)), o=draw(st.sampled_from(IDS)), r=draw(st.sampled_from(REFERENCES))
        )
    if not draw(st.integers(0, 30)):
        query += "&" + draw(st.sampled_from(_UNKNOWN))
    shape = draw(st.sampled_from(_OBSERVATION_SHAPES if query.startswith("Observation") else _SHAPES))
    path = f"{query}&{shape}".rstrip("&").replace("?&", "?")
    headers = draw(st.sampled_from(((), (), (), (("Prefer", "handling=lenient"),))))
    kind, _, rest = path.partition("?")
    if draw(st.integers(0, 5)) or not kind or "/" in kind:
        return Request("GET", path, None, headers)
    return Request("POST", f"{kind}/_search", urlencode(parse_qsl(rest)).encode(), (*headers, *_FORM))


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
            return Request("PATCH", reference, patch, (*wish, *_versions(draw), *_PATCH))
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
    definition = json.loads((_PROFILES / f"OperationDefinition-{operation.code}.json").read_text())
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
