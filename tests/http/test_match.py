"""`Patient/$match`: who a description may be, with score and grade, among the Patients that exist for the caller."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.operations import match, match_scoring
from fhir_server.operations.match_scoring import Grade, person, verdict
from tests.consent.world import BOB, PRACTICE, World, consent
from tests.server import Server

NHS = "https://fhir.nhs.uk/Id/nhs-number"
GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
MARY: dict[str, Any] = {
    "resourceType": "Patient",
    "identifier": [{"system": NHS, "value": "9990000018"}, {"system": "https://a.test/mrn", "value": "M1"}],
    "name": [{"family": "O'Connor", "given": ["Mary", "Jane"]}, {"use": "maiden", "family": "Müller"}],
    "birthDate": "1971-03-04",
    "gender": "female",
    "address": [{"postalCode": "SW1A 1AA"}],
    "telecom": [{"system": "phone", "value": "+44 7700 900123"}, {"system": "email", "value": "Mary@example.org"}],
}


@pytest.fixture
def operator(server: Server) -> str:
    return server.operator()


def _described(**facts: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Patient"}
    for name, value in facts.items():
        match name:
            case "nhs":
                made["identifier"] = [{"system": NHS, "value": value}]
            case "family" | "given":
                names = made.setdefault("name", [{}])[0]
                names[name] = [value] if name == "given" else value
            case "postcode":
                made["address"] = [{"postalCode": value}]
            case "telecom":
                made["telecom"] = [{"system": "phone", "value": value}]
            case _:
                made[name] = value
    return made


def _asked(patient: dict[str, Any], **more: Any) -> dict[str, Any]:
    shapes = {"onlyCertainMatches": "valueBoolean", "count": "valueInteger"}
    parameters = [{"name": "resource", "resource": patient}]
    return {
        "resourceType": "Parameters",
        "parameter": [*parameters, *({"name": name, shapes[name]: value} for name, value in more.items())],
    }


def _found(server: Server, token: str, patient: dict[str, Any], **more: Any) -> list[tuple[str, str, float]]:
    bundle = server.post("Patient/$match", token, _asked(patient, **more), 200)
    assert bundle["type"] == "searchset"
    found = []
    for entry in bundle.get("entry", ()):
        (extension,) = entry["search"]["extension"]
        assert (extension["url"], entry["search"]["mode"]) == (GRADE, "match")
        found.append((entry["resource"]["id"], extension["valueCode"], entry["search"]["score"]))
    return found


@pytest.mark.parametrize(
    "asked, grade",
    [
        ({"nhs": "999 000 0018", "birthDate": "1971-03-04", "family": "O\u2019Connor"}, "certain"),
        ({"nhs": "9990000018", "birthDate": "1971-03-04", "family": "Smith"}, "probable"),
        ({"nhs": "9990000018"}, "probable"),
        ({"family": "OCONNOR", "given": "mary", "birthDate": "1971-03-04"}, "probable"),
        ({"family": "Mueller", "given": "Mary", "birthDate": "1971-03-04"}, "probable"),
        ({"family": "Muller", "given": "Mary", "birthDate": "1971-03-04"}, "probable"),
        ({"family": "O'Connor", "given": "Mary", "birthDate": "1971-04-03"}, "probable"),
        ({"family": "O'Conner", "given": "Mary", "birthDate": "1971-03-04", "gender": "female"}, "probable"),
        ({"family": "O'Connor", "given": "Mary", "birthDate": "1980-12-31", "postcode": "sw1a1aa"}, "possible"),
        ({"family": "O'Connor", "given": "M", "telecom": "07700 900123", "birthDate": "1971-03-04"}, "probable"),
        (
            {
                "family": "O'Connor",
                "given": "Mary",
                "birthDate": "1971-03-04",
                "gender": "female",
                "postcode": "SW1A1AA",
            },
            "certain",
        ),
    ],
)
def test_a_person_is_found_with_the_grade_that_the_facts_bear(
    server: Server, operator: str, asked: dict[str, Any], grade: str
) -> None:
    mary = server.post("Patient", operator, MARY)["id"]
    server.post("Patient", operator, {"resourceType": "Patient", "name": [{"family": "Other"}], "birthDate": "1950"})
    assert [each[:2] for each in _found(server, operator, _described(**asked))] == [(mary, grade)]


@pytest.mark.parametrize(
    "asked",
    [
        {"nhs": "9990000026", "family": "O'Connor", "given": "Mary", "birthDate": "1971-03-04"},
        {"family": "Smith", "given": "John", "birthDate": "1971-03-04"},
        {"family": "O'Connor", "birthDate": "1999-09-09"},
    ],
)
def test_another_person_is_not_found(server: Server, operator: str, asked: dict[str, Any]) -> None:
    server.post("Patient", operator, MARY)
    assert _found(server, operator, _described(**asked)) == []


def test_the_best_comes_first_and_count_limits_the_rest(server: Server, operator: str) -> None:
    exact = server.post("Patient", operator, MARY)["id"]
    sister = {**MARY, "identifier": [{"system": "https://a.test/mrn", "value": "M2"}], "birthDate": "1971-03-05"}
    other = server.post("Patient", operator, sister)["id"]
    asked = _described(family="O'Connor", given="Mary", birthDate="1971-03-04", postcode="SW1A 1AA")
    found = _found(server, operator, asked)
    assert [each[0] for each in found] == [exact, other]
    assert 1 >= found[0][2] > found[1][2] > 0
    assert [each[0] for each in _found(server, operator, asked, count=1)] == [exact]


def test_only_certain_matches_are_one_or_none(server: Server, operator: str) -> None:
    asked = _described(nhs="9990000018", family="O'Connor", birthDate="1971-03-04")
    vague = _described(family="O'Connor", birthDate="1971-03-04")
    mary = server.post("Patient", operator, MARY)["id"]
    assert [each[0] for each in _found(server, operator, asked, onlyCertainMatches=True)] == [mary]
    assert _found(server, operator, vague, onlyCertainMatches=True) == []
    asked = _described(family="O'Connor", given="Mary", birthDate="1971-03-04", gender="female", postcode="SW1A 1AA")
    assert [each[0] for each in _found(server, operator, asked, onlyCertainMatches=True)] == [mary]
    server.post("Patient", operator, {**MARY, "identifier": [{"system": "https://a.test/mrn", "value": "M2"}]})
    assert [each[1] for each in _found(server, operator, asked)] == ["certain", "certain"]
    assert _found(server, operator, asked, onlyCertainMatches=True) == []


def test_a_bare_patient_and_xml_are_taken_as_well(server: Server, operator: str) -> None:
    mary = server.post("Patient", operator, MARY)["id"]
    bundle = server.post("Patient/$match?count=1", operator, _described(nhs="9990000018"), 200)
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == [mary]
    xml = b"""<Patient xmlns="http://hl7.org/fhir">
        <name><family value="O'Connor"/></name><birthDate value="1971-03-04"/></Patient>"""
    headers = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    answer = server.call("POST", "Patient/$match", operator, xml, headers)
    assert (answer.status_code, answer.mimetype) == (200, "application/fhir+xml")
    assert f'<id value="{mary}"/>' in answer.text


@pytest.mark.parametrize(
    "body, status",
    [
        (_asked({"resourceType": "Patient"}), 422),
        (_asked(_described(family="Smith")), 422),
        (_asked(_described(family="Smith", gender="female", given="A")), 422),
        (_asked(_described(nhs="1"), count=0), 400),
        (_asked(_described(nhs="1"), count=1_000), 400),
        (_asked({"resourceType": "Organization", "name": "a"}), 400),
        ({"resourceType": "Parameters"}, 400),
        ({"resourceType": "Parameters", "parameter": [{"name": "nonsense", "valueString": "a"}]}, 400),
        (_asked({"resourceType": "Patient", "gender": "unheard-of"}), 422),
        ({"resourceType": "Bundle", "type": "batch"}, 400),
    ],
)
def test_what_would_fit_anybody_or_nobody_is_refused(
    server: Server, operator: str, body: dict[str, Any], status: int
) -> None:
    refused = server.post("Patient/$match", operator, body, status)
    assert refused["issue"][0]["diagnostics"]


def test_values_of_the_search_language_are_plain_text_here(server: Server, operator: str) -> None:
    server.post("Patient", operator, MARY)
    for trick in ("O'Connor,Smith", "a|b", "\\", "$", "%", "_", "O'Connor&_count=1000"):
        assert _found(server, operator, _described(family=trick, birthDate="1901-01-01")) == []


# ---------------------------------------------------------------- who may see whom


def test_a_hidden_patient_changes_nothing_at_all(world: World) -> None:
    """Bob is hidden from the practice: what it is told is what it would be told without him."""
    ann, bob = (world.server.get(f"Patient/{name}", world.operator) for name in ("ann", "bob"))
    questions = [
        _asked(_described(nhs=each["identifier"][0]["value"], birthDate=each["birthDate"])) for each in (ann, bob)
    ]
    questions += [_asked({**each, "name": ann["name"]}) for each in (ann, bob)]
    questions.append(_asked(_described(family="Bob", given="Ann", birthDate=bob["birthDate"])))

    def told() -> list[bytes]:
        return [world.server.call("POST", "Patient/$match", world.practice, each).data for each in questions]

    twin = {name: value for name, value in ann.items() if name not in {"meta", "identifier"}} | {"id": "twin"}
    before = told()
    assert b"Patient/ann" in before[0]
    assert b'"total":0' in before[1]
    world.server.put(twin, world.trust)
    assert told() == before
    assert world.server.call("DELETE", "Patient/twin", world.operator).status_code == 204
    world.server.put({**bob, "birthDate": ann["birthDate"], "name": ann["name"]}, world.trust)
    assert told() == before


def test_a_patient_is_found_from_the_moment_of_consent(world: World) -> None:
    asked = _described(nhs="9990000002", birthDate="1981-04-02")
    assert _found(world.server, world.practice, asked) == []
    world.share(consent(BOB, PRACTICE))
    assert [each[0] for each in _found(world.server, world.practice, asked)] == ["bob"]
    assert _found(world.server, world.ann, asked) == []


def test_a_token_needs_scope_to_search_patients(world: World) -> None:
    reads = world.server.token(PRACTICE, "system/Patient.r")
    asked = _asked(_described(nhs="9990000001"))
    assert world.server.call("POST", "Patient/$match", reads, asked).status_code == 403


def test_who_is_returned_finds_it_on_the_access_log(world: World) -> None:
    _found(world.server, world.practice, _described(nhs="9990000001", birthDate="1980-04-01", family="Ann"))
    _found(world.server, world.practice, _described(nhs="9990000002", birthDate="1981-04-02", family="Bob"))
    told = {
        name: world.server.get(f"AuditEvent?patient=Patient/{name}&_count=1000", world.operator).get("entry", ())
        for name in ("ann", "bob")
    }
    counts = {
        name: sum("operation" in {each["code"] for each in entry["resource"].get("subtype", ())} for entry in entries)
        for name, entries in told.items()
    }
    assert counts == {"ann": 1, "bob": 0}


def test_a_person_cannot_go_through_a_directory_by_guessing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "MATCHES", replace(match.MATCHES, count=3))
    asked = _asked(_described(nhs="9990000001"))
    answers = [world.server.call("POST", "Patient/$match", world.gp, asked).status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    assert world.server.call("POST", "Patient/$match", world.practice, asked).status_code == 200
    world.server.clock.advance(hours=2)
    assert world.server.call("POST", "Patient/$match", world.gp, asked).status_code == 200


# ---------------------------------------------------------------- scores

_texts = st.sampled_from(["Ann", "Anne", "O'Connor", "Müller", "Smith", "Li", "J"])
_people = st.fixed_dictionaries(
    {},
    optional={
        "nhs": st.sampled_from(["9990000018", "9990000026"]),
        "family": _texts,
        "given": _texts,
        "birthDate": st.sampled_from(["1971", "1971-03", "1971-03-04", "1971-04-03", "1971-03-05"]),
        "gender": st.sampled_from(["male", "female", "other", "unknown"]),
        "postcode": st.sampled_from(["SW1A 1AA", "sw1a1aa", "SW1A 2AA", "M1 1AE"]),
        "telecom": st.sampled_from(["07700 900123", "+44 7700 900123", "07700 900124"]),
    },
)


@given(_people, _people)
def test_scores_are_symmetric_in_agreement_bounded_and_whole_for_oneself(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    asked, stored = person(_described(**one)), person(_described(**other))
    found = verdict(asked, stored)
    assert 0 <= found.score <= 1
    if asked.facts:
        assert verdict(asked, asked).score == 1
    agreements = dict(match_scoring._agreement(asked, stored)), dict(match_scoring._agreement(stored, asked))
    assert agreements[0] == agreements[1]
    if asked.nhs and stored.nhs and asked.nhs != stored.nhs:
        assert found.grade is Grade.NOT


@given(_people, _people, st.sampled_from(["family", "given", "birthDate", "postcode"]))
def test_a_fact_that_agrees_never_lowers_a_score(one: dict[str, Any], other: dict[str, Any], name: str) -> None:
    if name not in other:
        return
    without = verdict(person(_described(**{key: one[key] for key in one if key != name})), person(_described(**other)))
    agreeing = verdict(person(_described(**one | {name: other[name]})), person(_described(**other)))
    assert agreeing.score >= without.score
