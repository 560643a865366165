"""Tokens, secrets, codes, launches, assertions and proofs stand in no log, no error and no table in clear."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from fhir_server.store.database import Store
from fhir_server.store.metadata import metadata
from tests.databases import Databases
from tests.server import build, create_schema
from tests.smart.test_rfc9449 import PATIENT, proof
from tests.smart.world import ASSERTION_TYPE, BASE, CALLBACK, VERIFIER, World, answered, fields

SCOPE = "launch openid fhirUser offline_access patient/*.rs"


def everything(store: Store) -> str:
    """Return each value of each table as text; the FHIR content too."""
    found = []
    with store.read() as session:
        for table in metadata.sorted_tables:
            for row in session.connection.execute(select(table)):
                found += [each.decode("latin-1") if isinstance(each, bytes) else str(each) for each in row]
    return "\n".join(found)


def test_nothing_that_opens_something_is_kept_or_told(
    databases: Databases, signing_keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = build(databases.prepared("schema", create_schema), signing_keys.parent)
    server.put({"resourceType": "Patient", "id": "1"}, server.operator())
    world, answers = World(server.app, server.store, server.clock), list[TestResponse]()
    client_id, secret = world.client(kind="secret", launch_uri="https://app.example/launch")
    browser = world.browser(world.person())
    session_cookie = browser.get_cookie("session")
    assert session_cookie is not None

    form = fields(browser.get("/oauth/launch?patient=1").text) | {"app": client_id, "patient": "1"}
    launch = browser.post("/oauth/launch", data=form).location.partition("launch=")[2]
    page = world.ask(browser, world.request(client_id, scope=SCOPE, launch=launch))
    code = answered(world.decide(browser, page))["code"]
    redeemed = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    credentials = {"client_id": client_id, "client_secret": secret}
    first_proof, second_proof = proof(world), proof(world)
    first = world.token(redeemed | credentials, DPoP=first_proof).json or {}
    assert first["token_type"] == "DPoP"
    shown = proof(world, PATIENT, method="GET", token=first["access_token"])
    headers = {"Authorization": f"DPoP {first['access_token']}", "DPoP": shown}
    assert server.call("GET", "Patient/1", headers=headers).status_code == 200
    refreshing = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]} | credentials
    second = world.token(refreshing, DPoP=second_proof).json or {}
    service = world.backend()
    assertion = world.assertion(service, jti="a-jti-to-look-for")
    system = world.system_token(assertion).json or {}
    opening = {
        "secret": secret,
        "session": session_cookie.value,
        "launch": launch,
        "code": code,
        "verifier": VERIFIER,
        "access token": first["access_token"],
        "refresh token": first["refresh_token"],
        "next access token": second["access_token"],
        "next refresh token": second["refresh_token"],
        "id token": first["id_token"],
        "system token": system["access_token"],
        "assertion": assertion,
        "jti of the assertion": "a-jti-to-look-for",
        "proof": first_proof,
        "proof of a refresh": second_proof,
        "proof of a read": shown,
    }

    ask: Callable[..., TestResponse] = server.call
    for value in opening.values():
        answers += [
            ask("GET", "Patient/1", headers={"Authorization": f"Bearer {value}x"}),
            ask("GET", "Patient/1", headers={"Authorization": f"DPoP {value}", "DPoP": value}),
            world.redeem(client_id, f"{value}x", client_secret=secret),
            world.refresh(client_id, f"{value}x", client_secret=f"{value}x"),
            world.token({"grant_type": value, "client_id": value}),
            world.token(
                {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": value}
            ),
            world.ask(browser, world.request(client_id, scope=SCOPE, launch=f"{value}x")),
            world.programs.post(f"/oauth/token?token={value}", data={"token": value}),
        ]
    assert {answer.status_code for answer in answers} == {303, 400, 401}

    kept = everything(server.store)
    told = "\n".join(f"{answer.text}\n{answer.headers}" for answer in answers)
    for name, value in opening.items():
        assert value not in kept, f"{name} in the database"
        assert value not in caplog.text, f"{name} in the log"
        assert value not in told, f"{name} in an error"
    assert BASE in kept or client_id in kept, "the tables were read"
    server.close()
