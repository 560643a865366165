"""What decides who may see what, compiled anew and compared with what is in force."""

from __future__ import annotations

from sqlalchemy import delete, select, update

from fhir_server.access.labels import HIGHEST
from fhir_server.interactions.reindexing import rebuild, rebuild_rules
from fhir_server.store import tables
from fhir_server.store.keys import type_key
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


def test_a_whole_reindex_raises_levels_to_what_a_write_gives_and_lowers_none(world: World) -> None:
    row = tables.resource.c
    # What goes with another row has the level of that, which only a write tells.
    own = row.type.not_in([type_key("Binary"), type_key("Provenance")])

    def levels() -> dict[int, int]:
        with world.server.store.read() as session:
            found = session.connection.execute(select(row.key, row.confidentiality).where(row.deleted.is_(False), own))
            return dict(found.all())

    def set_all(level: int) -> None:
        with world.server.store.write() as session:
            session.connection.execute(update(tables.resource).values(confidentiality=level))

    context, written = world.server.app.extensions["fhir"].base, levels()
    assert len(set(written.values())) > 1
    set_all(0)
    assert sum(rebuild(context)) >= len(written)
    assert levels() == written
    set_all(HIGHEST)
    assert sum(rebuild(context)) >= len(written)
    assert set(levels().values()) == {HIGHEST}
