"""Health and metrics: one word for strangers, the rest for the operator."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fhir_server.admin.metrics import Metrics
from fhir_server.spec.outcome import FhirError, Kind
from tests.admin.conftest import Desk


def _change(desk: Desk, statement: str) -> None:
    with desk.server.store.write() as session:
        session.connection.exec_driver_sql(statement)


def test_a_running_server_is_live_and_ready(desk: Desk) -> None:
    live, ready = desk.call("GET", "/health/live"), desk.call("GET", "/health/ready")
    assert (live.status_code, live.json) == (200, {"status": "live"})
    assert (ready.status_code, ready.json) == (200, {"status": "ready"})
    assert ready.headers["Cache-Control"] == "no-store"


def test_a_schema_of_another_version_is_not_ready_and_only_the_operator_learns_why(desk: Desk) -> None:
    token = desk.operator("openid")
    _change(desk, "UPDATE alembic_version SET version_num = '0000'")

    stranger, operator = desk.call("GET", "/health/ready"), desk.call("GET", "/health/ready", token)

    assert (stranger.status_code, stranger.json) == (503, {"status": "unavailable"})
    assert operator.status_code == 503
    assert operator.json["checks"] == {"database": True, "schema": False, "audit": True, "definitions": True}


def test_a_database_without_a_schema_is_not_ready(desk: Desk) -> None:
    token = desk.operator()
    _change(desk, "DROP TABLE alembic_version")
    assert desk.call("GET", "/health/ready", token).json["checks"]["schema"] is False
    assert desk.call("GET", "/health/live").status_code == 200


def test_an_audit_log_that_cannot_be_written_is_not_ready(desk: Desk) -> None:
    _change(desk, "ALTER TABLE audit_event RENAME TO audit_event_elsewhere")

    assert desk.call("GET", "/health/ready").status_code == 503


def test_a_database_that_is_gone_is_not_ready(one: Desk) -> None:
    store = one.server.store
    store.close()
    path = str(store.engine.url.database)
    for suffix in ("", "-wal", "-shm"):
        with open(path + suffix, "wb") as file:  # noqa: PTH123 - a suffix of a name, not a path
            file.write(b"this is no database")
    assert one.call("GET", "/health/ready").status_code == 503
    assert one.call("GET", "/health/live").status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/health/ready"])
def test_a_header_of_a_proxy_or_an_address_opens_nothing(one: Desk, path: str) -> None:
    told = one.call("GET", path, environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert "fhir_http" not in told.text
    assert "checks" not in told.text
    assert one.call("GET", "/metrics", one.server.token("Patient/1")).status_code == 401


def test_metrics_count_requests_by_door_and_class_and_time_them(one: Desk) -> None:
    token = one.operator()
    before = _counted(one.call("GET", "/metrics", token).text)
    for path in ("/fhir/metadata", "/fhir/metadata", "/fhir/Patient/unknown", "/nothing-here"):
        one.call("GET", path, token)

    answer = one.call("GET", "/metrics", token)

    assert answer.content_type.startswith("text/plain")
    assert _counted(answer.text) - before == {
        'fhir_http_requests_total{door="fhir",status="2xx"}': 2,
        'fhir_http_requests_total{door="fhir",status="4xx"}': 1,
        'fhir_http_requests_total{door="none",status="4xx"}': 1,
        'fhir_http_request_duration_seconds_count{door="fhir"}': 3,
        'fhir_http_request_duration_seconds_count{door="none"}': 1,
        'fhir_http_requests_total{door="health",status="2xx"}': 1,
        'fhir_http_request_duration_seconds_count{door="health"}': 1,
    }
    assert "fhir_messages_waiting 0.0" in answer.text
    assert not re.search("unknown|Patient", answer.text)


def _counted(text: str) -> Counter[str]:
    found = re.findall(r"^(fhir_http_\w+(?:total|count)\{.*\}) (.+)$", text, re.MULTILINE)
    return Counter({name: int(float(value)) for name, value in found})


def test_an_administrator_may_watch(one: Desk) -> None:
    assert one.call("GET", "/metrics", one.administrator("openid")).status_code == 200


def test_metrics_of_two_applications_do_not_meet() -> None:
    one, other = Metrics(lambda: 1), Metrics(lambda: 2)
    one.observe("fhir", 200, 0.1)
    assert b"fhir_messages_waiting 1.0" in one.text()
    assert b'door="fhir"' not in other.text()


def test_metrics_without_a_database_still_answer() -> None:
    def gone() -> int:
        raise FhirError(Kind.UNAVAILABLE, "The database cannot be reached")

    metrics = Metrics(gone)
    metrics.observe("fhir", 503, 0.1)
    assert b'status="5xx"' in metrics.text()


def test_workers_count_together(tmp_path: Path) -> None:
    count = "from fhir_server.admin.metrics import Metrics; m = Metrics(lambda: 3); m.observe('fhir', 200, 0.1)"
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", count], env=environment, check=True)
    told = subprocess.run(
        [sys.executable, "-c", f"{count}; print(m.text().decode())"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert 'fhir_http_requests_total{door="fhir",status="2xx"} 2.0' in told
    assert 'fhir_http_request_duration_seconds_count{door="fhir"} 2.0' in told
    assert told.count("\nfhir_messages_waiting 3.0") == 1
