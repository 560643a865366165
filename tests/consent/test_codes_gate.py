"""A provision about a code opens, or closes, what has that code and nothing else (found by a mutant that lived)."""

from __future__ import annotations

import pytest

from tests.consent.world import ANN, GP, World, consent, observation

_CODE = {"coding": [{"system": "http://loinc.org", "code": "44261-6"}]}


@pytest.mark.parametrize(
    "kind, seen", [("permit", {"Observation/coded"}), ("deny", {"Observation/a-1", "Observation/a-2"})]
)
def test_a_code_opens_or_closes_what_has_it(world: World, kind: str, seen: set[str]) -> None:
    world.server.put(observation(ANN, "coded", code="44261-6"), world.trust)
    gp = world.server.token(GP)
    if kind == "permit":  # the practice's share would open the rest
        body = world.server.get(f"Consent/{world.consents[0]}", world.ann)
        world.server.put(body | {"status": "inactive"}, world.ann)
    world.share(consent(ANN, GP, type=kind, code=[_CODE]))
    assert world.server.ids("Observation", gp) == seen
    assert world.server.call("GET", "Observation/coded", gp).status_code == (200 if kind == "permit" else 404)
