"""Searches that a caller may send: every shape of search, every parameter, modifier, prefix and hop, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from hypothesis import strategies as st

from fhir_server.search.shapes import SHAPES, component_parameter
from fhir_server.search.syntax import PREFIXES
from fhir_server.spec.definitions import SearchParameter, load
from tests.consent.asking import FORM, IDS, PATIENTS, REFERENCES, TYPES, Request
from tests.consent.world import (
    CARER,
    CATEGORY,
    GP,
    LABEL,
    NHS,
    PRACTICE,
)  # fmt: skip

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
    return Request("POST", f"{kind}/_search", urlencode(parse_qsl(rest)).encode(), (*headers, *FORM))
