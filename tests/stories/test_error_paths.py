"""Whatever is wrong with a request: a 4xx, told in the sender's own terms, and nothing else disclosed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.server import Server, build, create_schema

SECRET = "Quillfeather"
MINE, THEIRS = "Patient/mine", "Patient/theirs"
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "Weight"}}
REASON = "Brought in unconscious, medicines not known."


@dataclass(frozen=True)
class World:
    """A server with two people, and tokens of the first and of a consultant to whom nobody consented."""

    server: Server
    mine: str
    consultant: str

    def fhir(self, method: str, path: str, token: str = "", body: Any = None) -> TestResponse:
        """Send a request to the FHIR API."""
        return self.server.call(method, path, token, body)

    def form(self, path: str, **fields: str) -> TestResponse:
        """Post a form."""
        return self.server.app.test_client().post(path, data=fields)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("errors")
    url = f"sqlite:///{folder}/errors.db"
    create_schema(url)
    server = build(url, folder)
    operator = server.operator()
    server.put({"resourceType": "Practitioner", "id": "consultant"}, operator)
    for reference, name in ((MINE, "Example"), (THEIRS, SECRET)):
        logical_id = reference.partition("/")[2]
        server.put({"resourceType": "Patient", "id": logical_id, "name": [{"family": name}]}, operator)
        about = {"id": logical_id, "subject": {"reference": reference}, "valueString": name}
        server.put(OBSERVATION | about, operator)
    yield World(server, server.token(MINE), server.token("Practitioner/consultant"))
    server.close()


def emergency(**changes: Any) -> dict[str, Any]:
    """Return the Parameters of `$break-glass`, complete but for the changes."""
    act = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    values: dict[str, Mapping[str, Any]] = {
        "reasonCode": {"valueCoding": {"system": act, "code": "ETREAT"}},
        "reason": {"valueString": REASON},
        "declaration": {"valueBoolean": True},
    }
    parameters = [{"name": name, **value} for name, value in (values | changes).items() if value]
    return {"resourceType": "Parameters", "parameter": parameters}


FhirRequest = Callable[[World], TestResponse]

FHIR: dict[str, tuple[int, FhirRequest]] = {
    "malformed JSON": (400, lambda w: w.fhir("POST", "/Observation", w.mine, b'{"resourceType": "Observation",')),
    "no JSON at all": (400, lambda w: w.fhir("POST", "/Observation", w.mine, b"\xff\xfe\x00")),
    "JSON that is no object": (400, lambda w: w.fhir("POST", "/Observation", w.mine, b"[1, 2]")),
    "a name twice": (400, lambda w: w.fhir("POST", "/Observation", w.mine, b'{"status":"final","status":"final"}')),
    "another type than the URL says": (
        400,
        lambda w: w.fhir("POST", "/Observation", w.mine, {"resourceType": "Patient"}),
    ),
    "a type that R4 does not know": (404, lambda w: w.fhir("GET", "/Letter/1", w.mine)),
    "an element that R4 does not know": (400, lambda w: w.fhir("POST", "/Observation", w.mine, OBSERVATION | {"x": 1})),
    "a number where text belongs": (400, lambda w: w.fhir("POST", "/Observation", w.mine, OBSERVATION | {"status": 1})),
    "an unknown id": (404, lambda w: w.fhir("GET", "/Observation/unknown", w.mine)),
    "an unknown version": (404, lambda w: w.fhir("GET", "/Observation/mine/_history/7", w.mine)),
    "an unknown search parameter": (400, lambda w: w.fhir("GET", "/Observation?colour=red", w.mine)),
    "a date that is none": (400, lambda w: w.fhir("GET", "/Observation?date=yesterday", w.mine)),
    "a made-up page": (400, lambda w: w.fhir("GET", "/Observation?_cursor=AAAA", w.mine)),
    "no token": (401, lambda w: w.fhir("GET", "/Observation/mine")),
    "a token nobody issued": (401, lambda w: w.fhir("GET", "/Observation/mine", "nobody-issued-this")),
    "a foreign patient": (404, lambda w: w.fhir("GET", f"/{THEIRS}", w.mine)),
    "a foreign result": (404, lambda w: w.fhir("GET", "/Observation/theirs", w.mine)),
    "a foreign patient's history": (404, lambda w: w.fhir("GET", f"/{THEIRS}/_history", w.mine)),
    "a write into a foreign record": (
        403,
        lambda w: w.fhir("POST", "/Observation", w.mine, OBSERVATION | {"subject": {"reference": THEIRS}}),
    ),
    "an id of the caller's choice that is taken": (
        404,
        lambda w: w.fhir("PUT", "/Observation/theirs", w.mine, OBSERVATION | {"id": "theirs"}),
    ),
    "a replacement without an id": (400, lambda w: w.fhir("PUT", "/Observation", w.mine, OBSERVATION)),
    "an unknown operation": (404, lambda w: w.fhir("POST", f"/{MINE}/$everything-and-more", w.mine, emergency())),
    "a Bundle without entries' requests": (
        400,
        lambda w: w.fhir("POST", "", w.mine, {"resourceType": "Bundle", "type": "transaction", "entry": [{}]}),
    ),
    "emergency access with a short reason": (
        400,
        lambda w: w.fhir(
            "POST", f"/{THEIRS}/$break-glass", w.consultant, emergency(reason={"valueString": "Needs it"})
        ),
    ),
    "emergency access with a reason of spaces": (
        400,
        lambda w: w.fhir("POST", f"/{THEIRS}/$break-glass", w.consultant, emergency(reason={"valueString": " " * 40})),
    ),
    "emergency access without the declaration": (
        400,
        lambda w: w.fhir("POST", f"/{THEIRS}/$break-glass", w.consultant, emergency(declaration={})),
    ),
    "emergency access by a patient": (
        403,
        lambda w: w.fhir("POST", f"/{THEIRS}/$break-glass", w.mine, emergency()),
    ),
    "emergency access with parameters of another shape": (
        400,
        lambda w: w.fhir(
            "POST", f"/{THEIRS}/$break-glass", w.consultant, {"resourceType": "Parameters", "parameter": ["x"]}
        ),
    ),
    "emergency access to nobody": (
        404,
        lambda w: w.fhir("POST", "/Patient/unknown/$break-glass", w.consultant, emergency()),
    ),
}

TOKEN: dict[str, tuple[int, str, dict[str, str]]] = {
    "no grant type": (400, "invalid_request", {"client_id": "x"}),
    "a grant type that is not offered": (400, "unsupported_grant_type", {"grant_type": "password"}),
    "a client that nobody registered": (
        401,
        "invalid_client",
        {"grant_type": "authorization_code", "client_id": "x", "code": "y"},
    ),
    "an assertion that is none": (
        401,
        "invalid_client",
        {
            "grant_type": "client_credentials",
            "scope": "system/*.rs",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": "a.b.c",
        },
    ),
}


@pytest.mark.parametrize("wrong", FHIR)
def test_the_fhir_api_answers_with_an_operation_outcome(world: World, wrong: str) -> None:
    status, send = FHIR[wrong]

    answer = send(world)

    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/fhir+json"
    outcome = answer.get_json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert all(issue["severity"] == "error" and issue["diagnostics"] for issue in outcome["issue"])
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text


def test_a_missing_or_unknown_token_says_how_to_authenticate(world: World) -> None:
    for token in ("", "nobody-issued-this"):
        answer = world.fhir("GET", "/Observation/mine", token)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_hidden_and_absent_are_the_same_answer(world: World) -> None:
    hidden = world.fhir("GET", "/Observation/theirs", world.mine)
    absent = world.fhir("GET", "/Observation/unknown", world.mine)

    assert hidden.status_code == absent.status_code == 404
    assert hidden.get_json()["issue"] == [
        {**issue, "diagnostics": issue["diagnostics"].replace("unknown", "theirs", 1)}
        for issue in absent.get_json()["issue"]
    ]
    assert set(hidden.headers.keys()) == set(absent.headers.keys())


@pytest.mark.parametrize("wrong", TOKEN)
def test_the_token_endpoint_answers_as_rfc_6749_says(world: World, wrong: str) -> None:
    status, error, form = TOKEN[wrong]

    answer = world.form("/oauth/token", **form)

    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/json"
    assert answer.get_json()["error"] == error
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path, status, words",
    [
        ("/nowhere", 404, "Page not found"),
        ("/register/made-up", 404, "This link does not work"),
        ("/confirm-email/made-up", 404, "This link does not work"),
        ("/oauth/authorize?client_id=made-up&response_type=code", 400, "app"),
    ],
)
def test_a_person_gets_a_page(world: World, path: str, status: int, words: str) -> None:
    answer = world.server.app.test_client().get(path)

    assert answer.status_code == status, answer.text
    assert answer.mimetype == "text/html"
    assert words in answer.text
    assert "<h1" in answer.text


def test_a_form_without_its_own_token_is_refused_with_a_page(world: World) -> None:
    answer = world.form("/sign-in", email="mine@example.org", password="x")

    assert answer.status_code == 400
    assert answer.mimetype == "text/html"


def test_a_page_of_the_record_sends_a_stranger_to_sign_in(world: World) -> None:
    answer = world.server.app.test_client().get("/record/letters")

    assert answer.status_code in {302, 303}
    assert answer.location == "/sign-in?next=%2Frecord%2Fletters"
