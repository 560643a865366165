"""Deliberate mistakes in official examples: each is refused, with the element it is in."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.json import decode
from fhir_server.spec.validate import find_issues
from tests.spec.examples import Json, read_examples

PATIENT, OBSERVATION, PRESSURE = "Patient-example.json", "Observation-example.json", "Observation-blood-pressure.json"
APPOINTMENT, CONSENT = "Appointment-example.json", "Consent-consent-example-basic.json"
DOCUMENT, BUNDLE, PRESCRIPTION = (
    "DocumentReference-example.json", "Bundle-bundle-transaction.json", "MedicationRequest-medrx0302.json",
)  # fmt: skip
EVENT, CONDITION, FORM = "AuditEvent-example.json", "Condition-example.json", "Questionnaire-3141.json"
ENCOUNTER, ALLERGY = "Encounter-example.json", "AllergyIntolerance-example.json"
NAMES = frozenset(
    {
        *(PATIENT, OBSERVATION, PRESSURE, APPOINTMENT, CONSENT, DOCUMENT, BUNDLE, PRESCRIPTION),
        *(EVENT, CONDITION, FORM, ENCOUNTER, ALLERGY),
    }
)
REMOVED = ...
VALUE = "value.ofType(Quantity)"

# Per element: example, place in JSON, its FHIRPath without the type, and values that it must not have.
VALUES: tuple[tuple[str, str, str, tuple[Any, ...]], ...] = (
    (
        PATIENT,
        "birthDate",
        "",
        ("", "1974-13", "1974-02-30", "1974-1-1", "25/12/1974", "0000", 1974, None, [], {}, True),
    ),
    (PATIENT, "active", "", ("true", 1, 0, "", None, [], {}, [True])),
    (PATIENT, "gender", "", ("Male", "m", "", 1, None, ["male"], {"code": "male"})),
    (PATIENT, "id", "", ("x" * 65, "a b", "a_b", "a/b", "", 1, "é")),
    (PATIENT, "language", "", (" en", "en ", "a  b", "a\tb", "", 1, "en\u0001")),
    (PATIENT, "meta", "", ({}, [], "x", None, [{"source": "x"}])),
    (PATIENT, "meta", "meta.profile[0]", ({"profile": ["a b"]}, {"profile": [1]}, {"profile": [""]})),
    (PATIENT, "meta", "meta.lastUpdated", ({"lastUpdated": "2024-01-01"}, {"lastUpdated": "2024-01-01T10:00:00"})),
    (PATIENT, "name", "", ({}, [], "Chalmers", None)),
    (PATIENT, "name.0", "name[0]", ({}, [], "Chalmers", None, {"id": "x"})),
    (PATIENT, "name.0.given", "name[0].given", ([], "Peter", {}, None)),
    (PATIENT, "name.0.given.0", "name[0].given[0]", (None, "", 1, {}, "a\u0000b")),
    (PATIENT, "name.0.family", "name[0].family", ("", ["x"], 1, "\u0007", None)),
    (PATIENT, "name.0.use", "name[0].use", ("Official", "main", 1)),
    (PATIENT, "name.0.id", "name[0].id", ("a b", "", 1)),
    (PATIENT, "name.0._id", "name[0]._id", ({"extension": [{"url": "http://x.test", "valueString": "x"}]},)),
    (PATIENT, "extension", "extension[0]", ([{"url": "http://x.test", "_url": {"id": "x"}, "valueString": "x"}],)),
    (PATIENT, "name", "name[1].id", ([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}],)),
    (
        PATIENT,
        "managingOrganization.reference",
        "",
        ("Organization/a_b", "Organization", "Organization/1/2", "organization/1", "../Organization/1", "1", ""),
    ),
    (PATIENT, "link", "link[0].other.reference", ([{"other": {"reference": "Foo/1"}, "type": "refer"}],)),
    (PATIENT, "name.0.colour", "name[0].colour", ("red", None, {})),
    (PATIENT, "identifier.0.system", "identifier[0].system", ("a b", "", 1, " urn:x", "urn:\u0001")),
    (PATIENT, "identifier.0.period", "identifier[0].period", ({"start": "2002", "end": "2001"}, {}, "2001", [])),
    (PATIENT, "telecom.1.rank", "telecom[1].rank", (0, -1, 1.5, "1", 2**31, True, None)),
    (PATIENT, "telecom.1.system", "telecom[1].system", ("mobile", "Phone", "", 1)),
    (PATIENT, "photo", "photo[0].data", ([{"contentType": "image/png", "data": "a"}],)),
    (PATIENT, "photo", "photo[0].size", ([{"size": -1}], [{"size": "1"}], [{"size": 1.0}])),
    (PATIENT, "photo", "photo[0].url", ([{"url": "a b"}], [{"url": ""}])),
    (PATIENT, "photo", "photo[0]", ([{"data": "YQ=="}],)),
    (PATIENT, "link", "link[0].type", ([{"other": {"reference": "Patient/2"}, "type": "same"}],)),
    (PATIENT, "link", "link[0].other", ([{"type": "seealso"}],)),
    (PATIENT, "contact", "contact[0]", ([{"gender": "male"}],)),
    (PATIENT, "managingOrganization.reference", "", ("Patient/1", "Nothing/1", "#none", "", 1)),
    (PATIENT, "deceasedDateTime", "deceased", ("2015-02-14",)),
    (PATIENT, "extension", "extension[0].url", ([{"valueString": "x"}],)),
    (PATIENT, "extension", "extension[0]", ([{"url": "http://x"}],)),
    (PATIENT, "extension", "extension[0].value.ofType(oid)", ([{"url": "http://x", "valueOid": "1.2"}],)),
    (PATIENT, "extension", "extension[0].value.ofType(uuid)", ([{"url": "http://x", "valueUuid": "urn:uuid:1"}],)),
    (PATIENT, "extension", "extension[0].value.ofType(time)", ([{"url": "http://x", "valueTime": "24:00:00"}],)),
    (PATIENT, "text.div", "", ("", "<div>x</div>", "<div", 1, None)),
    (PATIENT, "text.status", "", ("Generated", REMOVED)),
    (PATIENT, "Active", "", (True,)),
    (OBSERVATION, "status", "", ("Final", "done", "", None, ["final"], REMOVED)),
    (OBSERVATION, "code", "", (REMOVED, {}, [], "x", None)),
    (OBSERVATION, "code.coding.0.userSelected", "code.coding[0].userSelected", ("true", 1)),
    (OBSERVATION, "valueQuantity.value", f"{VALUE}.value", ("185", True, None, [], float("nan"))),
    (OBSERVATION, "valueQuantity.comparator", f"{VALUE}.comparator", ("=", "gt", "")),
    (OBSERVATION, "valueQuantity.system", VALUE, (REMOVED,)),
    (OBSERVATION, "valueString", "value", ("x",)),
    (OBSERVATION, "valueAddress", "", ({"city": "x"},)),
    (OBSERVATION, "dataAbsentReason", "*", ({"text": "unknown"},)),
    (
        OBSERVATION,
        "effectiveDateTime",
        "effective.ofType(dateTime)",
        ("now", "2012-09-17T10:00", "2012-09-17T25:00:00Z"),
    ),
    (OBSERVATION, "issued", "", ("2012", "2012-09-17T10:00:00", "2012-09-31T10:00:00Z", 0)),
    (OBSERVATION, "subject.reference", "", ("Observation/1", "Practitioner/1", "#x")),
    (OBSERVATION, "referenceRange", "referenceRange[0]", ([{"age": {"low": {"value": 1}}}],)),
    (OBSERVATION, "contained", "contained[0]", ([{"resourceType": "Device", "id": "unused"}],)),
    (OBSERVATION, "contained", "contained[0].resourceType", ([{"resourceType": "Thing", "id": "x"}], [{"id": "x"}])),
    (OBSERVATION, "contained", "contained[0].id", ([{"resourceType": "Device"}],)),
    (PRESSURE, "component.0.code", "component[0].code", (REMOVED, {}, [])),
    (PRESSURE, "component.0.valueString", "component[0].value", ("x",)),
    (APPOINTMENT, "status", "", (REMOVED, "Booked", "open")),
    (APPOINTMENT, "end", "*", (REMOVED,)),
    (APPOINTMENT, "participant", "", (REMOVED, [], {})),
    (APPOINTMENT, "participant.0.status", "participant[0].status", (REMOVED, "yes")),
    (APPOINTMENT, "participant.0.actor", "participant[0]", (REMOVED,)),
    (APPOINTMENT, "priority", "", (-1, "5", 0.5)),
    (CONSENT, "status", "", (REMOVED, "on")),
    (CONSENT, "scope", "", (REMOVED, [])),
    (CONSENT, "category", "", (REMOVED, [])),
    (CONSENT, "policyRule", "*", (REMOVED,)),
    (CONSENT, "provision", "provision.type", ({"type": "allow"},)),
    (DOCUMENT, "status", "", (REMOVED, "final")),
    (DOCUMENT, "content", "", (REMOVED, [])),
    (DOCUMENT, "content.0.attachment", "content[0].attachment", (REMOVED, [])),
    (DOCUMENT, "relatesTo.0.code", "relatesTo[0].code", (REMOVED, "append")),
    (BUNDLE, "type", "", (REMOVED, "transactions")),
    (BUNDLE, "entry.0.request.method", "entry[0].request.method", ("get", REMOVED)),
    (BUNDLE, "entry.0.request", "*", (REMOVED,)),
    (BUNDLE, "entry.0.resource.gender", "entry[0].resource.gender", ("man", 1)),
    (BUNDLE, "total", "*", (1,)),
    (PRESCRIPTION, "intent", "", (REMOVED, "Order")),
    (PRESCRIPTION, "medicationReference", "medication", (REMOVED,)),
    (PRESCRIPTION, "medicationCodeableConcept", "medication", ({"text": "x"},)),
    (PRESCRIPTION, "contained.0.meta", "contained[0].meta.versionId", ({"versionId": "1"},)),
    (PRESCRIPTION, "contained.0.contained", "contained[0].contained", ([{"resourceType": "Basic", "id": "x"}],)),
    (EVENT, "agent", "", (REMOVED, [])),
    (EVENT, "action", "", ("c", "create")),
    (EVENT, "recorded", "", (REMOVED, "2012-10-25")),
    (CONDITION, "abatementDateTime", "*", ("2013-01-01",)),
    (CONDITION, "evidence", "evidence[0]", ([{"extension": [{"url": "http://x", "valueCode": "y"}]}],)),
    (CONDITION, "clinicalStatus", "", ({"coding": [{"system": "http://x", "code": "active"}]},)),
    (FORM, "item.0.linkId", "item[0].linkId", (REMOVED, "")),
    (FORM, "item.0.type", "item[0].type", (REMOVED, "Group", "text area")),
    (ENCOUNTER, "class", "", (REMOVED, [])),
    (ENCOUNTER, "length", "length", ({"value": 1, "code": "min"},)),
    (ALLERGY, "clinicalStatus", "*", (REMOVED,)),
    (ALLERGY, "category.0", "category[0]", ("Food", "peanut", None)),
)


def _cases() -> Iterator[Any]:
    for name, place, expression, values in VALUES:
        for value in values:
            shown = "removed" if value is REMOVED else repr(value)[:30]
            yield pytest.param(name, place, expression or place, value, id=f"{name.partition('-')[0]}.{place}-{shown}")


@pytest.fixture(scope="module")
def originals(definitions: Definitions) -> dict[str, Json]:
    return {name: decode(raw, len(raw)) for name, raw in read_examples(definitions) if name in NAMES}


def _changed(original: Json, place: str, value: Any) -> Json:
    resource: Any = deepcopy(original)
    *way, last = (int(part) if part.isdigit() else part for part in place.split("."))
    target = resource
    for part in way:
        target = target[part]
    if value is REMOVED:
        del target[last]
    else:
        target[last] = value
    return resource  # type: ignore[no-any-return]


def _errors(definitions: Definitions, resource: Json) -> list[str]:
    return [each.expression[0] for each in find_issues(definitions, resource) if each.severity == "error"]


def test_no_original_is_refused(definitions: Definitions, originals: dict[str, Json]) -> None:
    assert originals.keys() == NAMES
    assert {name: _errors(definitions, each) for name, each in originals.items()} == {name: [] for name in NAMES}


@pytest.mark.parametrize("name, place, expression, value", list(_cases()))
def test_a_mistake_is_named_by_its_element(
    definitions: Definitions, originals: dict[str, Json], name: str, place: str, expression: str, value: Any
) -> None:
    resource = _changed(originals[name], place, value)
    found = set(_errors(definitions, resource))
    kind = resource["resourceType"]
    expected = kind if expression == "*" else f"{kind}.{expression}"
    assert any(each == expected or each.startswith((f"{expected}.", f"{expected}[")) for each in found), found


def test_mistakes_are_told_together(definitions: Definitions, originals: dict[str, Json]) -> None:
    resource: Any = originals[PATIENT]
    for place, value in (("gender", "x"), ("birthDate", "x"), ("colour", 1), ("name.0.use", "x")):
        resource = _changed(resource, place, value)
    assert sorted(_errors(definitions, resource)) == [
        "Patient.birthDate",
        "Patient.colour",
        "Patient.gender",
        "Patient.name[0].use",
    ]


def test_what_has_a_value_has_no_component_of_the_same_code(
    definitions: Definitions, originals: dict[str, Json]
) -> None:
    original = originals[OBSERVATION]
    same = original | {"component": [{"code": original["code"], "valueInteger": 1}]}
    assert _errors(definitions, same) == ["Observation"]
    assert _errors(definitions, same | {"component": [{"code": {"text": "other"}, "valueInteger": 1}]}) == []
