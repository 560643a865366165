"""The short way of plain reads: answer, log line and AuditEvents are those of the whole way."""

from __future__ import annotations

import gzip
import logging
import re
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
import pytest
from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, run_wsgi_app

from fhir_server.api import short_way
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import events
from tests.consent.world import ANN, World

_SAID = ("method", "route", "status", "request_id", "client_id")
_SEALED = re.compile(rb"_cursor=[\w-]+")
"""Sealed anew each time, to another text."""
REQUEST_ID = "the-same-both-times"
PAGE = "Observation?patient=ann&_sort=date&_count=1"
PATHS = (
    ANN, "Observation/a-1", "Observation/a-mh", "Observation/nobody", "Observation/not_an_id", "Nothing/1",
    f"{ANN}?_elements=id", f"{ANN}?_summary=true", f"{ANN}?_pretty=true", f"{ANN}?_format=xml", f"{ANN}?_format=what",
    f"{ANN}?name=x", f"{ANN}/", f"{ANN}/_history", f"{ANN}/_history/1", f"{ANN}/Observation?code=x",
    f"{ANN}/$everything", "Observation", PAGE, "Observation?patient=x&_summary=count", "Observation?what=x",
    "Observation?_format=xml", "Observation?code=%00", "Observation?code=%ff",
    "Observation?_id=a-1&_include=Observation:subject&_pretty=true", "Binary/a-bin", "AuditEvent?recorded=lt2020",
    "AuditEvent/none", "metadata", "", "_history", "Patient//p", "Pati%C3%ABnt/1",
)  # fmt: skip
WITH_HEADERS = (ANN, "Observation/nobody", PAGE, "Binary/a-bin", "Observation?what=x")
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Accept": "application/fhir+xml"},
    {"Accept": "image/png"},
    {"Accept": "text/json;q=0.5, application/fhir+xml;q=0.1", "Accept-Encoding": "gzip, br"},
    {"Accept-Encoding": "gzip;q=0"},
    {"If-None-Match": 'W/"1"'},
    {"If-Match": 'W/"x'},
    {"Prefer": "handling=lenient"},
    {"DPoP": "e30.e30.e30"},
    {"Origin": "https://app.example"},
    {"Content-Length": "2"},
)


class Both(NamedTuple):
    """What one request brought about."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes
    events: list[dict[str, Any]]
    lines: list[dict[str, object]]


def test_both_ways_answer_log_and_record_the_same(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fhir_server.requests")
    callers = {"operator": world.operator, "patient": world.ann, "professional": world.gp, "nobody": "", "other": "x"}
    for caller, token in callers.items():
        for headers in HEADERS if caller == "professional" else HEADERS[:1]:
            for path in PATHS if not headers else WITH_HEADERS:
                short = _sent(world, caplog, world.server.app.wsgi_app, path, token, headers)
                whole = _sent(world, caplog, _whole_way(world.server.app), path, token, headers)
                assert short.headers == whole.headers, (caller, path, headers)
                assert short == whole, (caller, path, headers)


def test_plain_reads_take_the_short_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flask, "full_dispatch_request", _never)
    for path in (ANN, "Observation/a-1", PAGE):
        assert world.server.call("GET", path, world.ann).status_code == 200, path


def test_a_fault_on_the_short_way_is_told_as_any_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_way, "whole_answer", _never)
    answer = world.server.call("GET", ANN, world.ann)
    assert answer.status_code == 500
    assert orjson.loads(answer.data)["resourceType"] == "OperationOutcome"
    assert b"never" not in answer.data


def test_without_the_database_the_short_way_says_what_the_whole_way_says(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fhir_server.requests")

    def without() -> Definitions:
        raise FhirError(Kind.UNAVAILABLE, "The database cannot be reached")

    web = world.server.app.extensions["fhir"]
    world.server.app.extensions["fhir"] = replace(web, base=replace(web.base, live=without))
    answer = world.server.call("GET", ANN, world.ann)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert orjson.loads(answer.data)["issue"][0]["code"] == "transient"


def _never(*_: object, **__: object) -> None:
    raise AssertionError("never here")


def _whole_way(app: Flask) -> Any:
    return lambda environ, start: Flask.wsgi_app(app, environ, start)


def _sent(
    world: World, caplog: pytest.LogCaptureFixture, application: Any, path: str, token: str, headers: dict[str, str]
) -> Both:
    caplog.clear()
    known = {"X-Request-Id": REQUEST_ID, **headers}
    if token:
        known["Authorization"] = f"Bearer {token}"
    before = _newest(world)
    # The news of a stranger is one a minute.
    world.server.app.extensions["fhir"].base.recorder._news.clear()
    environ = EnvironBuilder(f"/fhir/{path}", base_url="http://localhost", headers=Headers(known)).get_environ()
    pieces, status, answered = run_wsgi_app(application, environ)
    body = b"".join(pieces)
    assert answered.get("Content-Length", str(len(body))) == str(len(body))
    if answered.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
        # Of a sealed text it depends on the text.
        del answered["Content-Length"]
    return Both(
        status,
        sorted(answered.items()),
        _SEALED.sub(b"", body),
        [_without_id(each) for each in _events_after(world, before)],
        [{name: line.__dict__.get(name) for name in _SAID} for line in caplog.records],
    )  # fmt: skip


def _newest(world: World) -> int:
    found = _stored(world, 1)
    return found[0].seq if found else 0


def _events_after(world: World, seq: int) -> list[dict[str, Any]]:
    return [orjson.loads(each.content) for each in _stored(world, 50) if each.seq > seq]


def _stored(world: World, limit: int) -> list[events.StoredEvent]:
    with world.server.store.read() as session:
        everything = events.Readable(everything=True, patient=0)
        return events.search(session, everything, events.Criteria(), limit=limit)


def _without_id(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "id"}
