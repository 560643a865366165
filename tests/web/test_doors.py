"""What every door shares: one refusal in the form of the door, headers, request ids, form protection."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Blueprint, Flask, redirect
from flask.testing import FlaskClient

from fhir_server import web
from fhir_server.interactions.model import Context
from fhir_server.portal import __file__ as portal_file
from fhir_server.spec import definitions
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.database import Store

HTTP = "http://localhost:18320"


@pytest.fixture
def base(tmp_path: Path) -> Iterator[web.Web]:
    store = Store(f"sqlite:///{tmp_path}/doors.db")
    store.create_all()
    context = Context(store, definitions.load(), lambda: datetime.now(UTC), lambda: str(uuid.uuid4()), f"{HTTP}/fhir")
    yield web.Web(context, HTTP, "a secret key of at least 32 characters")
    store.close()


def _client(values: web.Web) -> FlaskClient:
    app = Flask("doors")
    web.install(app, values)
    doors = Blueprint("doors", __name__, template_folder=str(Path(portal_file).parent / "templates"))

    def refuse(kind: str) -> str:
        raise FhirError(Kind[kind], "Observation.code: is needed")

    def fail(kind: str) -> str:
        raise RuntimeError(f"SELECT secret {kind}")

    def consent() -> str:
        web.allow_form_target("https://app.example.org/cb?x=1")
        return ""

    for prefix in ("fhir", "oauth", "api", "page"):
        doors.add_url_rule(f"/{prefix}/refuse/<kind>", f"{prefix}-refuse", refuse, methods=["GET", "POST"])
        doors.add_url_rule(f"/{prefix}/fail/<kind>", f"{prefix}-fail", fail)
    doors.add_url_rule("/oauth/token", "token", lambda: "token", methods=["POST"])
    doors.add_url_rule("/consent", "consent", consent)
    doors.add_url_rule("/led/<to>/on", "led", lambda to: redirect(f"/led/{to}", 303))
    doors.add_url_rule("/led/on", "led-on", lambda: "on")
    app.register_blueprint(doors)
    app.jinja_env.globals["asset"] = lambda name: f"/assets/{name}"
    return app.test_client()


def test_fhir_gets_an_operation_outcome(base: web.Web) -> None:
    answer = _client(base).get("/fhir/refuse/INVALID_CONTENT")
    assert (answer.status_code, answer.content_type) == (422, "application/fhir+json; charset=utf-8")
    issue = answer.get_json(force=True)["issue"][0]
    assert issue["diagnostics"] == "Observation.code: is needed"


def test_unauthenticated_fhir_request_is_told_to_bring_a_bearer_token(base: web.Web) -> None:
    assert _client(base).get("/fhir/refuse/UNAUTHENTICATED").headers["WWW-Authenticate"].startswith("Bearer")


def test_oauth_gets_rfc_6749_json(base: web.Web) -> None:
    answer = _client(base).get("/oauth/refuse/INVALID_VALUE")
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")  # type: ignore[index]
    assert answer.headers["Cache-Control"] == "no-store"


def test_api_gets_json(base: web.Web) -> None:
    assert _client(base).get("/api/refuse/FORBIDDEN").json == {
        "code": 403,
        "status": "forbidden",
        "message": "Observation.code: is needed",
    }


def test_people_get_a_page(base: web.Web) -> None:
    answer = _client(base).get("/page/refuse/FORBIDDEN")
    assert answer.status_code == 403
    assert '<h1 class="nhsuk-heading-l">You cannot use this page</h1>' in answer.text


@pytest.mark.parametrize("path", ["/fhir/fail/x", "/oauth/fail/x", "/api/fail/x", "/page/fail/x"])
def test_bug_shows_nothing_of_its_cause(base: web.Web, path: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = _client(base).get(path, headers={"X-Request-Id": "ticket-7"})
    assert answer.status_code == 500
    assert "SELECT" not in answer.text
    assert "Traceback" not in answer.text
    assert "request ticket-7 failed" in caplog.text


@pytest.mark.parametrize("path", ["/fhir/refuse/UNAVAILABLE", "/oauth/refuse/UNAVAILABLE", "/page/refuse/UNAVAILABLE"])
def test_hidden_diagnostics_stay_hidden(base: web.Web, path: str) -> None:
    answer = _client(base).get(path)
    assert answer.status_code == 503
    assert "Observation.code" not in answer.text


def test_unknown_path_is_404_in_the_form_of_its_door(base: web.Web) -> None:
    client = _client(base)
    assert client.get("/fhir/a/b/c/d").get_json(force=True)["resourceType"] == "OperationOutcome"
    assert "<h1" in client.get("/nowhere").text
    assert client.get("/nowhere").status_code == 404
    for door in (".well-known", "health", "metrics", "oauth", "api"):
        path = f"/{door}/change-password"
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (404, "application/json"), path


def test_wrong_method_names_the_right_ones(base: web.Web) -> None:
    answer = _client(base).delete("/fhir/refuse/x")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("offered,is_kept", [("abc-123", True), ("a b", False), ("x" * 65, False), ("<script>", False)])
def test_request_id_of_the_caller_is_kept_only_where_harmless(
    base: web.Web,
    offered: str,
    is_kept: bool,  # noqa: FBT001 - a parameter
) -> None:
    answered = _client(base).get("/fhir/refuse/NOT_FOUND", headers={"X-Request-Id": offered}).headers["X-Request-Id"]
    assert (answered == offered) is is_kept
    assert answered


def test_page_runs_no_foreign_script_and_is_framed_by_nobody(base: web.Web) -> None:
    headers = _client(base).get("/page/refuse/FORBIDDEN").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "same-origin"


def test_form_of_the_consent_page_may_lead_to_the_app_and_no_other(base: web.Web) -> None:
    client = _client(base)
    assert "form-action 'self' https://app.example.org;" in client.get("/consent").headers["Content-Security-Policy"]
    assert "form-action 'self';" in client.get("/page/refuse/FORBIDDEN").headers["Content-Security-Policy"]


def test_every_answer_has_a_nonce_of_its_own(base: web.Web) -> None:
    client = _client(base)
    policies = {client.get("/page/refuse/FORBIDDEN").headers["Content-Security-Policy"] for _ in range(3)}
    assert len(policies) == 3


def test_machine_doors_need_no_form_token_and_pages_do(base: web.Web) -> None:
    client = _client(base)
    assert client.post("/oauth/token").status_code == 200
    assert client.post("/fhir/refuse/NOT_FOUND").status_code == 404
    assert client.post("/page/refuse/NOT_FOUND").status_code == 400


def test_https_binds_cookies_to_the_host_and_browsers_to_https(base: web.Web) -> None:
    secure = replace(base, base_url="https://cie.example.org")
    assert secure.session_cookie == "__Host-session"
    answer = _client(secure).get("/page/refuse/FORBIDDEN", base_url="https://cie.example.org")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "Strict-Transport-Security" not in _client(base).get("/page/refuse/FORBIDDEN").headers


def test_a_control_character_in_an_address_is_refused_and_no_header_is_made_of_it(base: web.Web) -> None:
    client = _client(base)
    for path in ("/led/a%0d%0aSet-Cookie:%20a=b/on", "/led/a%0ab/on", "/led/a%7f/on", "/api/refuse/GO%0aNE"):
        answer = client.get(path)
        assert (answer.status_code, "a=b" in str(answer.headers)) == (400, False), path
    assert client.get("/led/a%20b/on").location == "/led/a%20b"


def test_an_address_that_is_put_right_stays_on_this_site_whatever_host_the_request_names(base: web.Web) -> None:
    answer = _client(base).get("/led//on?a=b", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.location) == (308, "/led/on?a=b")


def test_a_nul_character_is_refused_at_every_door_but_that_of_fhir(base: web.Web) -> None:
    client = _client(base)
    for path in (
        "/page/refuse/GONE%00",
        "/api/refuse/GONE?after=%00",
        "/oauth/refuse/GONE?state=a%00b",
        "/consent?%00",
    ):
        assert client.get(path).status_code == 400, path
    assert client.post("/oauth/token", data={"code": "a\0b"}).status_code == 400
    assert client.post("/oauth/token", data={"code": "a%00b"}).text == "token"
    # FHIR has a word for each parameter, and tells what is not there from what is malformed.
    assert client.get("/fhir/refuse/GONE?name=%00").status_code == 410
