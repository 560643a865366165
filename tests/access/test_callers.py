"""A caller who is remembered is who it was: whatever says otherwise moves the epoch, and nothing is answered then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Table, text
from sqlalchemy.sql.visitors import iterate

from fhir_server.access import tokens
from fhir_server.access.callers import Callers, Outdated
from fhir_server.interactions.model import Code, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.spec.outcome import FhirError
from fhir_server.store import epoch_tables, events
from fhir_server.store import tokens as rows
from fhir_server.store.database import Store
from fhir_server.store.keys import type_key
from fhir_server.store.memberships import standing_of
from tests.consent.world import ANN, CONSULTANT, GP, PRACTICE, World, consent, staff_token
from tests.databases import PostgresqlDatabases
from tests.postgres import Cluster
from tests.server import create_schema

_MEMBERSHIP = "INSERT INTO membership (source, member, container, kind, valid_from, valid_to) VALUES (1, 2, 3, 4, 5, 6)"
_CLIENT = """INSERT INTO oauth_client (client_id, name, kind, redirect_uris, scope, trusted, active, created_at,
    id_token_alg, dpop_bound) VALUES ('c', 'c', 'c', '', '', false, true, 0, '', false)"""
_EMERGENCY = """INSERT INTO break_glass (id, practitioner, practitioner_reference, patient, patient_id, organization,
    reason_system, reason_code, reason, started_at, expires_at, end_recorded, session)
    VALUES ('b', 1, '', 2, '', 3, '', '', '', 0, 1, false, '')"""
_MOVING = (
    "UPDATE oauth_access_token SET revoked_at = 1",
    "DELETE FROM oauth_access_token",
    "UPDATE oauth_client SET active = false",
    "DELETE FROM oauth_client",
    _CLIENT,
    "UPDATE account SET active = false",
    "UPDATE account SET role = 'coordinator'",
    "UPDATE account SET name = 'another'",
    "DELETE FROM account",
    _MEMBERSHIP,
    "UPDATE membership SET valid_to = 7",
    "DELETE FROM membership",
    _EMERGENCY,
    "UPDATE break_glass SET ended_at = 1",
    "DELETE FROM break_glass",
    "UPDATE consent_grant SET rare = true",
    "DELETE FROM consent_grant",
    "UPDATE resource SET deleted = true WHERE type = :organization",
    "DELETE FROM resource WHERE type = :organization",
)
"""In this order, so that each finds what it changes."""
_STANDING_STILL = (
    "UPDATE account SET last_sign_in_at = 1",
    "UPDATE oauth_client SET name = 'another'",
    "UPDATE consent_grant SET labels = 1",
    "UPDATE resource SET deleted = true WHERE type <> :organization",
    "UPDATE resource SET version = version + 1 WHERE type = :organization",
)


def test_the_database_itself_moves_the_epoch(world: World) -> None:
    staff_token(world, "coordinator")
    store = world.server.store
    with store.write() as session:
        session.connection.execute(text(_CLIENT))
    for statement in _STANDING_STILL:
        assert _moved_by(store, statement) == 0, statement
    for statement in _MOVING:
        assert _moved_by(store, statement) > 0, statement


def test_every_table_that_says_who_a_caller_is_moves_it() -> None:
    statement = standing_of(rows._FOUND)
    asked = {part.name for part in iterate(statement) if isinstance(part, Table)}
    assert asked
    assert asked == {moving.table for moving in epoch_tables.MOVING}


def test_who_is_remembered_is_looked_up_again_after_any_of_it(world: World) -> None:
    callers = Callers(world.server.store)
    now = world.server.clock()
    first = callers.of(world.gp, now)
    assert callers.of(world.gp, now) is first
    world.share(consent(ANN, CONSULTANT))
    assert callers.of(world.gp, now) is first
    assert callers.of(world.gp, now + timedelta(seconds=1)) is not first
    with pytest.raises(FhirError):
        callers.of("nobody's", now)


def test_callers_are_remembered_side_by_side_until_there_are_too_many(world: World) -> None:
    callers, now = Callers(world.server.store, most=2), world.server.clock()
    gp, ann = callers.of(world.gp, now), callers.of(world.ann, now)
    assert callers.of(world.gp, now) is gp
    assert callers.of(world.ann, now) is ann
    callers.of(world.operator, now)
    assert callers.of(world.gp, now) is not gp


def test_who_is_forgotten_is_looked_up_again_and_nobody_else(world: World) -> None:
    callers, now = Callers(world.server.store), world.server.clock()
    gp, ann = callers.of(world.gp, now), callers.of(world.ann, now)
    callers.forget(world.gp)
    callers.forget("nobody's")
    assert callers.of(world.gp, now) is not gp
    assert callers.of(world.ann, now) is ann


def test_who_is_remembered_is_answered_while_they_are_who_they_were(world: World) -> None:
    context = world.server.app.extensions["fhir"].base
    guess = context.callers.of(world.gp, world.server.clock())
    world.share(consent(ANN, CONSULTANT))
    assert perform(Interaction(Code.READ, "Patient", "ann"), guess, context).status == 200


def test_a_token_is_not_remembered_for_longer_than_it_lasts(world: World) -> None:
    token = world.server.token(GP, expires_in_s=1)
    callers = Callers(world.server.store)
    now = world.server.clock()
    callers.of(token, now + timedelta(milliseconds=500))
    with pytest.raises(FhirError):
        callers.of(token, now + timedelta(seconds=1))


@pytest.mark.parametrize("asked", ["Patient/ann", "Patient/bob", "Patient/nobody"])
def test_nothing_is_answered_nor_recorded_for_who_is_not_what_they_were(world: World, asked: str) -> None:
    context = world.server.app.extensions["fhir"].base
    kind, _, logical_id = asked.partition("/")
    guess = context.callers.of(world.gp, world.server.clock())
    interaction = Interaction(Code.READ, kind, logical_id)
    with world.server.store.write() as session:
        tokens.revoke(session, world.gp, world.server.clock())
    before = _event_count(world.server.store)
    with pytest.raises(Outdated):
        perform(interaction, guess, context)
    assert _event_count(world.server.store) == before
    assert world.server.call("GET", asked, world.gp).status_code == 401


def test_what_is_shared_by_its_content_counts_for_who_is_remembered(world: World) -> None:
    paths = ("Observation/a-1", "Observation?patient=ann")
    seen = [world.server.call("GET", path, world.gp).data for path in paths]
    code = {"coding": [{"system": "http://loinc.org", "code": "718-7"}]}
    with_deny = consent(ANN, PRACTICE, provision=[{"type": "deny", "code": [code]}])
    world.server.put({**with_deny, "id": world.consents[0]}, world.ann)
    assert world.server.call("GET", paths[0], world.gp).status_code == 404
    assert world.server.call("GET", paths[1], world.gp).data != seen[1]


def test_changes_at_the_same_time_move_it_each_and_wait_for_no_more_than_a_commit(postgres_cluster: Cluster) -> None:
    databases = PostgresqlDatabases(postgres_cluster)
    store = Store(databases.prepared("schema", create_schema))
    before = _epoch(store)
    with store.write() as one:
        one.connection.execute(text(_MEMBERSHIP))
        with store.write() as other:
            # It would wait for ever here, had the first moved the epoch before its end.
            other.connection.execute(text(_MEMBERSHIP))
            other.connection.execute(text(_MEMBERSHIP))
        assert _epoch(store) == before + 1
    assert _epoch(store) == before + 2
    store.close()
    databases.close()


def _event_count(store: Store) -> int:
    with store.read() as session:
        return events.count(session, events.Readable(everything=True, patient=0), events.Criteria())


def _moved_by(store: Store, statement: str) -> int:
    before = _epoch(store)
    with store.write() as session:
        values = {"organization": type_key("Organization")} if ":organization" in statement else {}
        assert session.connection.execute(text(statement), values).rowcount > 0, statement
    return _epoch(store) - before


def _epoch(store: Store) -> int:
    with store.read() as session:
        return session.epoch()
