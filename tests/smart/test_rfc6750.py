"""Bearer tokens (RFC 6750) on FHIR: how they are sent, and what a refusal tells."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Server, build


@pytest.fixture
def server(sqlite_url: str, signing_keys: Path) -> Iterator[Server]:
    made = build(sqlite_url, signing_keys.parent)
    made.put({"resourceType": "Patient", "id": "1"}, made.operator())
    yield made
    made.store.close()


def test_a_token_comes_in_the_header_and_nowhere_else(server: Server) -> None:
    token = server.token("Patient/1")
    for name, header in {
        "plain": f"Bearer {token}",
        "small": f"bearer {token}",
        "spaces": f"Bearer   {token} ",
    }.items():
        assert server.call("GET", "Patient/1", headers={"Authorization": header}).status_code == 200, name

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    wrong = {
        "no scheme": server.call("GET", "Patient/1", headers={"Authorization": token}),
        "basic": server.call("GET", "Patient/1", headers={"Authorization": f"Basic {token}"}),
        "no token": server.call("GET", "Patient/1", headers={"Authorization": "Bearer "}),
        "two tokens": server.call("GET", "Patient/1", headers={"Authorization": f"Bearer {token}, Bearer {token}"}),
        "form": server.call("POST", "Patient/_search", body=f"access_token={token}".encode(), headers=form),
        "address": server.call("GET", f"Patient/1?access_token={token}"),
    }
    for name, answer in wrong.items():
        assert answer.status_code == (400 if name == "address" else 401), name
        assert token not in answer.text, name


def test_a_refusal_says_how_to_come_in_and_what_was_wrong(server: Server) -> None:
    nobody = server.call("GET", "Patient/1").headers["WWW-Authenticate"]
    invented = server.call("GET", "Patient/1", "invented").headers["WWW-Authenticate"]
    token = server.token("Patient/1", expires_in_s=60)
    server.clock.advance(seconds=60)
    expired = server.call("GET", "Patient/1", token)

    assert nobody == 'Bearer realm="fhir"', "no error is told to whoever did not try"
    assert invented == 'Bearer realm="fhir", error="invalid_token"'
    assert expired.headers["WWW-Authenticate"] == invented, "expired and unknown look the same"
    assert expired.headers["Cache-Control"] == "no-store"


def test_too_little_scope_is_a_403(server: Server) -> None:
    token = server.token("Patient/1", "patient/Observation.rs")

    assert server.call("GET", "Patient/1", token).status_code == 403
