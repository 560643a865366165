"""What decides who may see what, compiled anew and compared with what is in force."""

from __future__ import annotations

from sqlalchemy import delete, update

from fhir_server.interactions.reindexing import rebuild, rebuild_rules
from fhir_server.store import tables
from tests.consent.world import World


def _differing(world: World) -> list[str]:
    context = world.server.app.extensions["fhir"].base
    return [name for done in rebuild_rules(context) for name in done.differing]


def _seen(world: World) -> set[str]:
    return world.server.ids("Observation", world.gp)


def test_what_is_in_force_is_what_the_resources_say(world: World) -> None:
    assert _differing(world) == []


def test_a_grant_that_no_consent_states_is_found_and_taken_back(world: World) -> None:
    before = _seen(world)
    with world.server.store.write() as session:
        session.connection.execute(update(tables.consent_grant).values(labels=2**62 - 1))
    assert _seen(world) > before
    found = _differing(world)
    assert found
    assert all(name.startswith("Consent/") for name in found)
    assert _seen(world) == before
    assert _differing(world) == []


def test_a_membership_that_was_lost_is_found_and_restored(world: World) -> None:
    before = _seen(world)
    assert before
    with world.server.store.write() as session:
        session.connection.execute(delete(tables.membership))
    assert _seen(world) == set()
    assert {name.partition("/")[0] for name in _differing(world)} == {"PractitionerRole"}
    assert _seen(world) == before


def test_a_whole_reindex_restores_them_too(world: World) -> None:
    before = _seen(world)
    with world.server.store.write() as session:
        session.connection.execute(delete(tables.membership))
        session.connection.execute(delete(tables.consent_grant))
    assert _seen(world) == set()
    assert sum(rebuild(world.server.app.extensions["fhir"].base)) > 0
    assert _seen(world) == before
