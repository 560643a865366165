"""Rows of the leak table (access.md §8) beside queries: caches, links, look-up forms, keys, refusals by name."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

import pytest

from tests.consent.callers import EMERGENCY
from tests.consent.comparison import plain
from tests.consent.pages import Visitor, addresses, furnish
from tests.consent.world import (
    ANN,
    BOB,
    CATEGORY,
    GP,
    LABEL,
    NHS,
    PRACTICE,
    TRUST,
    Json,
    World,
    consent,
    document,
    observation,
    ref,
)  # fmt: skip
from tests.pages import said

_HREF = re.compile(r'href="(/[^"#]*)"')


# ---------------------------------------------------------------- caches


@pytest.mark.parametrize(
    "path",
    ["Observation/a-1", "Observation?_total=accurate", "Observation/a-1/_history", "Patient/ann", "Binary/a-bin"],
)
def test_no_answer_is_kept_for_another_caller(world: World, path: str) -> None:
    callers = (world.practice, world.ann, world.bob, world.consultant, world.gp)
    alone = [plain(world.server.call("GET", path, token)) for token in callers]
    for _ in range(2):  # statements and pages that are kept are kept without anybody's values
        assert [plain(world.server.call("GET", path, token)) for token in callers] == alone
    for token in callers:
        answer = world.server.call("GET", path, token)
        assert answer.headers["Cache-Control"] == "no-store"


def test_an_etag_of_one_caller_opens_nothing_for_another(world: World) -> None:
    tag = world.server.call("GET", "Observation/a-mh", world.trust).headers["ETag"]
    hidden = world.server.call("GET", "Observation/a-mh", world.practice, headers={"If-None-Match": tag})
    assert hidden.status_code == 404
    assert "ETag" not in hidden.headers


def test_two_callers_of_one_shape_get_their_own_rows(world: World) -> None:
    world.share(consent(BOB, TRUST))
    other = world.server.token("Organization/other")
    world.share(consent(BOB, "Organization/other"))
    for _ in range(2):
        assert world.server.ids("Observation?_id=a-1,b-1", world.practice) == {"Observation/a-1"}
        assert world.server.ids("Observation?_id=a-1,b-1", other) == {"Observation/b-1"}


# ---------------------------------------------------------------- references, displays and links


def test_a_reference_to_a_hidden_row_stays_as_its_author_wrote_it_and_is_not_resolved(world: World) -> None:
    found = world.server.get("Observation/a-2", world.practice)
    assert found["encounter"] == ref("Encounter/a-enc-mh")
    assert found["hasMember"] == [ref("Observation/a-mh")]
    for hidden in ("Encounter/a-enc-mh", "Observation/a-mh"):
        assert world.server.call("GET", hidden, world.practice).status_code == 404


@pytest.mark.parametrize("role", ["professional", "carer"])
def test_no_page_links_to_what_its_reader_cannot_open(world: World, role: str) -> None:
    ids = furnish(world)
    if role == "carer":
        world.share(consent(ANN, "RelatedPerson/carer"))
    visitor = Visitor(world, role)
    checked: dict[str, int] = {}
    for path in addresses(role, ids):
        answer = visitor.open(path)
        if answer.status_code != 200 or answer.mimetype != "text/html":
            continue
        assert "-mh" not in answer.text, path
        assert "/bob" not in answer.text, path
        for link in _HREF.findall(answer.text):
            if not link.startswith(("/static", "/sign-out", "/assets")) and link not in checked:
                checked[link] = visitor.open(link).status_code
    assert len(checked) > 10
    assert {link: status for link, status in checked.items() if status not in {200, 302, 303, 405}} == {}


# ---------------------------------------------------------------- look-up forms, unique keys, errors


def _card(visitor: Visitor, number: str, born: tuple[str, str, str]) -> tuple[int, str]:
    """Return what the look-up form answers, without the words that were typed."""
    form = dict(zip(("born-day", "born-month", "born-year"), born, strict=True))
    answer = visitor.send("/patients/find", {"nhs-number": number, **form})
    shown = f"{number[:3]} {number[3:6]} {number[6:]}"
    year, month, day = born[2], born[1].zfill(2), born[0].zfill(2)
    return answer.status_code, said(answer.text, number, shown, f"{year}-{month}-{day}", *born)


def test_the_look_up_form_answers_alike_for_hidden_absent_and_wrongly_dated(world: World) -> None:
    # Numbers whose check digits are right, so that the form takes them: one is Bob's, who shares nothing.
    for number, patient in (("9434765919", "bob"), ("9434765870", "ann")):
        body = world.server.get(f"Patient/{patient}", world.trust)
        body["identifier"] = [{"system": NHS, "value": number}]
        world.server.put(body, world.trust)
    visitor = Visitor(world, "professional")
    known = _card(visitor, "9434765919", ("2", "4", "1981"))
    assert known[0] == 200
    assert "Bob" not in known[1]
    assert known == _card(visitor, "9434765919", ("2", "4", "1981"))
    answers = {said(_card(visitor, number, ("2", "4", "1981"))[1]) for number in ("9434765919", "9434765870")}
    assert len(answers) == 1


def test_only_a_feed_learns_that_an_nhs_number_is_taken(world: World) -> None:
    def register(token: str, number: str) -> tuple[int, str]:
        body = {"resourceType": "Patient", "identifier": [{"system": NHS, "value": number}], "birthDate": "1990-01-01"}
        answer = world.server.call("POST", "Patient", token, body)
        return answer.status_code, answer.text

    for token in (world.gp, world.consultant, world.ann, world.carer):
        assert register(token, "9990000002") == register(token, "9990000019")
    taken = register(world.practice, "9990000002")
    assert taken[0] == 409
    assert "bob" not in taken[1].lower()


def test_one_consent_a_grantee_is_a_rule_about_visible_consents(world: World) -> None:
    """Ann's second share with the practice is refused; Bob's first is not, and nobody else may write either."""
    assert world.server.call("POST", "Consent", world.bob, consent(BOB, PRACTICE)).status_code == 201
    answers = [
        world.server.call("POST", "Consent", token, consent(patient, PRACTICE))
        for token in (world.gp, world.practice) for patient in (ANN, BOB, "Patient/nowhere")
    ]  # fmt: skip
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert answers[0].status_code == 403


def test_an_emergency_look_up_needs_number_and_date_together_and_says_not_which_was_wrong(world: World) -> None:
    token = world.server.token(GP)

    def look_up(number: str, born: str) -> tuple[int, str]:
        about = [
            {"name": "identifier", "valueIdentifier": {"system": NHS, "value": number}},
            {"name": "birthDate", "valueDate": born},
        ]
        body = {**EMERGENCY, "parameter": [*EMERGENCY["parameter"], *about]}
        answer = world.server.call("POST", "Patient/$break-glass", token, body)
        return answer.status_code, answer.text

    wrong_day, unknown = look_up("9990000002", "1981-04-03"), look_up("9990000077", "1981-04-02")
    assert wrong_day == unknown
    assert unknown[0] == 404
    assert look_up("9990000002", "1981-04-02")[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Binary", "contentType": "text/plain", "data": "aGk="},
        {"resourceType": "Provenance", "recorded": "2026-03-01T09:00:00Z", "agent": [{"who": {"reference": GP}}]},
    ],
)
@pytest.mark.parametrize("target", ["DocumentReference/{}", "Observation/{}"])
def test_what_is_tied_to_a_hidden_row_is_refused_as_if_to_an_absent_one(world: World, body: Json, target: str) -> None:
    hidden = {"DocumentReference/{}": "a-doc-mh", "Observation/{}": "a-mh"}[target]

    def post(name: str) -> tuple[int, str]:
        tie: Json = ref(target.format(name))
        member = {"securityContext": tie} if body["resourceType"] == "Binary" else {"target": [tie]}
        answer = world.server.call("POST", str(body["resourceType"]), world.gp, {**body, **member})
        return answer.status_code, answer.text.replace(name, "ID")

    assert post(hidden) == post("nowhere")
    assert post(hidden)[0] >= 400


# ---------------------------------------------------------------- transactions and conditional interactions


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
def test_a_transaction_fails_alike_on_what_is_hidden_and_absent(world: World, method: str) -> None:
    def send(name: str) -> tuple[int, str]:
        entry: Json = {"request": {"method": method, "url": f"Observation/{name}"}}
        if method == "PUT":
            entry["resource"] = observation(ANN, name)
        if method == "PATCH":
            entry["resource"] = {"resourceType": "Binary", "contentType": "application/json-patch+json",
                                 "data": b64encode(b'[{"op":"remove","path":"/note"}]').decode()}  # fmt: skip
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        answer = world.server.call("POST", "", world.gp, bundle)
        return answer.status_code, answer.text.replace(name, "ID")

    assert send("a-mh") == send("nowhere")
    assert send("a-mh")[0] == 404


def test_a_conditional_patch_tells_hidden_and_absent_apart_by_nothing(world: World) -> None:
    patch = b'[{"op":"replace","path":"/status","value":"amended"}]'
    headers = {"Content-Type": "application/json-patch+json"}
    shown, hidden, absent = [
        world.server.call("PATCH", f"Observation?_id={name}", world.gp, patch, headers)
        for name in ("a-1", "a-mh", "nowhere")
    ]
    assert shown.status_code == 403
    assert (hidden.status_code, hidden.data) == (absent.status_code, absent.data)
    assert hidden.status_code == 404


# ---------------------------------------------------------------- what is not there is refused by name


@pytest.mark.parametrize("parameter", ["_query", "near", "unheard-of"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_parameter_that_is_not_built_is_refused_by_its_name(world: World, parameter: str, method: str) -> None:
    if method == "GET":
        answer = world.server.call("GET", f"Observation?{parameter}=718-7", world.practice)
    else:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = f"{parameter}=718-7".encode()
        answer = world.server.call("POST", "Observation/_search", world.practice, body, form)
    assert answer.status_code == 400
    assert f"'{parameter}'" in answer.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("where", ["Observation", "Patient/ann", "Patient/bob", "Patient/nowhere", ""])
@pytest.mark.parametrize("operation", ["lastn", "summary", "document", "graphql", "none"])
def test_an_operation_that_is_not_registered_is_refused_by_its_name(world: World, where: str, operation: str) -> None:
    answer = world.server.call("GET", f"{where}/${operation}".lstrip("/"), world.practice)
    assert answer.status_code == 404
    assert f"${operation} is not an operation" in answer.get_json()["issue"][0]["diagnostics"]


def test_nobody_but_the_operator_stores_a_subscription(world: World) -> None:
    body = {"resourceType": "Subscription", "status": "requested", "reason": "x", "criteria": "Observation?",
            "channel": {"type": "rest-hook", "endpoint": "http://localhost/"}}  # fmt: skip
    for token in (world.practice, world.gp, world.ann, world.carer):
        assert world.server.call("POST", "Subscription", token, body).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "Patient/bob/Observation", "Patient/bob/Encounter", "Patient/bob/DocumentReference", "Patient/bob/Consent",
        "Patient/bob/Provenance", "Encounter/b-enc/Observation", "Encounter/a-enc-mh/Observation?_id=a-mh",
        "RelatedPerson/carer/Observation?subject=Patient/bob", "Practitioner/gp/Observation?subject=Patient/bob",
    ],
)  # fmt: skip
def test_a_compartment_holds_visible_rows_only(world: World, path: str) -> None:
    hidden = world.server.get(path, world.practice)
    absent = world.server.get(re.sub(r"/(bob|b-enc|a-enc-mh|carer|gp)/", "/nowhere/", path), world.practice)
    assert "entry" not in hidden
    assert hidden.get("total") == absent.get("total") == 0


def test_an_attachment_has_no_address_that_works_without_a_verdict(world: World) -> None:
    letter: dict[str, Any] = document(ANN, "open", "general", "Binary/a-bin-mh")
    world.server.put(letter, world.trust)
    url = world.server.get("DocumentReference/open", world.practice)["content"][0]["attachment"]["url"]
    assert world.server.call("GET", url, world.practice).status_code == 404
    assert world.server.call("GET", url).status_code == 401
    assert CATEGORY not in world.server.call("GET", url).text
    assert LABEL not in world.server.call("GET", url).text
