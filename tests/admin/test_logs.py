"""The log: one line per request, in the form asked for, with nothing of a record in it."""

import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fhir_server import logs
from fhir_server.spec.outcome import FhirError, Kind
from tests.admin.conftest import Desk

NHS_NUMBER = "9000000009"


@pytest.fixture
def written() -> Iterator[Callable[..., io.StringIO]]:
    """Return a function that configures logging and returns what is written from then on."""
    root, ours = logging.getLogger(), logging.getLogger("fhir_server")
    before = (root.handlers[:], root.level, ours.level)

    def begin(level: str = "INFO", form: str = "json", **more: Any) -> io.StringIO:
        stream = io.StringIO()
        logs.configure(level, form, stream=stream, **more)
        return stream

    yield begin
    root.handlers[:], root.level, ours.level = before
    root.setLevel(before[1])
    ours.setLevel(before[2])


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_one_line_of_facts_and_no_more(one: Desk, written: Callable[..., io.StringIO]) -> None:
    token = one.server.token("Organization/1", client_id="epr")
    stream = written()

    answer = one.server.call(
        "GET", f"/Patient?identifier={NHS_NUMBER}&name=Byron", token, headers={"X-Request-Id": "request-1"}
    )

    (line,) = _lines(stream)
    assert line.pop("ms") >= 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "fhir_server.requests",
        "method": "GET",
        "route": "/fhir/Patient",
        "status": answer.status_code,
        "request_id": "request-1",
        "client_id": "epr",
    }


@pytest.mark.parametrize(
    "path, route",
    [
        (f"/fhir/Patient/{NHS_NUMBER}", "/fhir/Patient/{id}"),
        (f"/fhir/Patient/{NHS_NUMBER}/_history/7", "/fhir/Patient/{id}/_history/{id}"),
        (f"/fhir/{NHS_NUMBER}/Byron", "/fhir/{id}/{id}"),
        (f"/fhir/Patient/{NHS_NUMBER}/$break-glass", "/fhir/Patient/{id}/$break-glass"),
        (f"/fhir/Patient/{NHS_NUMBER}/$Byron", "/fhir/Patient/{id}/{id}"),
        (f"/register/{NHS_NUMBER}", "/register/<token>"),
        (f"/{NHS_NUMBER}/Byron", "-"),
        ("/api/v1/clients/Byron?x=Byron", "/api/v1/clients/<client_id>"),
    ],
)
def test_a_route_is_logged_without_what_identifies_anybody(
    one: Desk, written: Callable[..., io.StringIO], path: str, route: str
) -> None:
    stream = written()
    one.call("GET", path, "secret-token")
    assert [line["route"] for line in _lines(stream)] == [route]
    assert not [text for text in (NHS_NUMBER, "Byron", "secret-token") if text in stream.getvalue()]


def test_a_form_leaves_nothing_of_itself(one: Desk, written: Callable[..., io.StringIO]) -> None:
    stream = written("DEBUG")
    one.call("POST", "/sign-in", data={"email": "ada@example.org", "password": "a secret of hers"})
    one.call("POST", "/oauth/token", data={"grant_type": "authorization_code", "code": "a-secret-code"})
    assert len(_lines(stream)) == 2
    assert not [text for text in ("ada@", "a secret", "a-secret") if text in stream.getvalue()]


def test_health_is_logged_only_when_asked_for(one: Desk, written: Callable[..., io.StringIO]) -> None:
    stream = written()
    one.call("GET", "/health/live")
    assert stream.getvalue() == ""
    stream = written("DEBUG")
    one.call("GET", "/health/live")
    assert len(_lines(stream)) == 1


def _fail() -> None:
    try:
        os.environ["BYRON"]
    except KeyError as error:
        raise FhirError(Kind.BUG, "INSERT INTO patient VALUES ('Byron')") from error


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_logged_by_type_and_place_not_by_what_it_quotes(
    written: Callable[..., io.StringIO], form: str
) -> None:
    stream = written(form=form)
    try:
        _fail()
    except FhirError:
        logging.getLogger("fhir_server.web").exception("request %s failed", "request-1")

    text = stream.getvalue()
    assert "request request-1 failed" in text
    assert "builtins.KeyError" in text
    assert "fhir_server.spec.outcome.FhirError" in text
    assert "test_logs.py" in text
    assert "VALUES" not in text.replace("raise FhirError", "").split("outcome.FhirError")[1]


def test_messages_of_exceptions_are_written_where_the_data_is_invented(written: Callable[..., io.StringIO]) -> None:
    stream = written("DEBUG", messages=True)
    try:
        int("Byron")
    except ValueError:
        logging.getLogger("fhir_server").exception("failed")
    assert "ValueError: invalid literal for int() with base 10: 'Byron'" in stream.getvalue()


def test_a_level_leaves_out_what_is_below_and_libraries_below_warning(written: Callable[..., io.StringIO]) -> None:
    stream = written("DEBUG")
    logging.getLogger("some.library").info("SELECT secret")
    logging.getLogger("some.library").warning("careful")
    assert [line["event"] for line in _lines(stream)] == ["careful"]
    stream = written("ERROR")
    logging.getLogger("fhir_server.worker").warning("left out")
    assert stream.getvalue() == ""


def test_console_lines_read_well_without_colour_off_a_terminal(written: Callable[..., io.StringIO]) -> None:
    stream = written(form="console")
    logging.getLogger("fhir_server.requests").info("request", extra={"method": "GET", "status": 200})
    assert "\x1b" not in stream.getvalue()
    assert "method=GET" in stream.getvalue()
    assert "status=200" in stream.getvalue()
