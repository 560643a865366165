"""A provision about a code opens, or closes, what has that code and nothing else (found by a mutant that lived)."""

from __future__ import annotations

import pytest

from tests.consent.world import ANN, GP, Json, World, consent, observation

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


@pytest.mark.parametrize("kind", ["permit", "deny"])
def test_the_code_of_what_a_record_contains_closes_it_and_does_not_open_it(world: World, kind: str) -> None:
    inner = [observation(ANN, "inner", code="44261-6"), observation(ANN, "beside")]
    for each in inner:
        del each["meta"]
    held: Json = {"contained": inner, "hasMember": [{"reference": "#inner"}, {"reference": "#beside"}]}
    world.server.put(observation(ANN, "holds", **held), world.trust)
    if kind == "permit":
        body = world.server.get(f"Consent/{world.consents[0]}", world.ann)
        world.server.put(body | {"status": "inactive"}, world.ann)
    assert world.server.ids("Observation?_contained=true&code=44261-6", world.ann) == {"Observation/holds"}
    world.share(consent(ANN, GP, type=kind, code=[_CODE]))
    gp = world.server.token(GP)
    assert world.server.call("GET", "Observation/holds", gp).status_code == 404
    for query in (
        "Observation",
        "Observation?_contained=true&code=44261-6",
        "Observation?_contained=both&code=44261-6",
    ):
        assert "Observation/holds" not in world.server.ids(query, gp)
    why = world.server.get(f"Observation/holds/$explain-access?actor={GP}", world.ann)
    assert why["parameter"][0]["valueCode"] == "deny"
