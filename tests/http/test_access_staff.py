"""People who work for the record but not with it: what a coordinator, a service desk and a privacy officer see."""

from __future__ import annotations

import pytest

from fhir_server.store import accounts
from tests.consent.world import TRUST, World, staff_token
from tests.server import START


@pytest.mark.parametrize("role", ["coordinator", "service-desk", "privacy-officer", "admin", "developer"])
def test_staff_read_nothing_clinical_even_of_their_own_organisation(world: World, role: str) -> None:
    token = staff_token(world, role, may_break_glass=True)
    for kind in ("Observation", "DocumentReference", "Binary", "Encounter", "RelatedPerson", "Provenance"):
        assert world.server.get(f"{kind}?_summary=count", token)["total"] == 0
    consents = 1 if role == "privacy-officer" else 0
    assert world.server.get("Consent?_summary=count", token)["total"] == consents
    assert world.server.call("GET", "Observation/a-1", token).status_code == 404
    people = 2 if role == "coordinator" else 0
    assert world.server.get("Patient?_summary=count", token)["total"] == people
    assert world.server.ids("Patient?_revinclude=Observation:subject", token) <= {"Patient/ann", "Patient/bob"}
    assert world.server.call("GET", TRUST, token).status_code == 200


@pytest.mark.parametrize("role", ["coordinator", "service-desk", "privacy-officer", "admin", "developer"])
def test_staff_break_no_glass(world: World, role: str) -> None:
    body = {"resourceType": "Parameters", "parameter": []}
    assert (
        world.server.call(
            "POST", "Patient/ann/$break-glass", staff_token(world, role, may_break_glass=True), body
        ).status_code
        == 403
    )


def test_an_account_that_ends_takes_its_tokens_along(world: World) -> None:
    token = staff_token(world, "coordinator", may_break_glass=True)
    assert world.server.get("Patient?_summary=count", token)["total"] == 2
    with world.server.store.write() as session:
        accounts.set_active(session, "coordinator", active=False, now=START)
    assert world.server.call("GET", "Patient", token).status_code == 401
