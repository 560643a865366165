"""Told that there is something new in a record: who may see it, nobody who said no, once a day, by one worker."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from fhir_server.access import labels
from fhir_server.identity import news, notices, reading
from fhir_server.store import accounts, carers, messages
from fhir_server.store.accounts import Account, Secrets
from tests.consent.world import ANN, BOB, CARER, LABEL, TRUST, Json, World, consent, document, observation
from tests.databases import Databases
from tests.server import START, build, create_schema

EMBARGO_DAYS = 3
PEOPLE = {"ann": ANN, "bob": BOB, "carer": CARER}


@pytest.fixture
def world(databases: Databases, tmp_path: Path) -> Iterator[World]:
    """Return the small world with an account for everybody, the carer let in to what is general; all have looked."""
    made = build(databases.prepared("schema", create_schema), tmp_path, result_embargo_days=EMBARGO_DAYS)
    found = World(made).build()
    found.share(consent(ANN, CARER))
    for name, reference in PEOPLE.items():
        account = Account(
            id=name, email=f"{name}@example.org", name=name, role="carer" if reference == CARER else "patient",
            reference=reference, organization="", may_break_glass=False, active=True, created_at=START,
            email_confirmed_at=START,
        )  # fmt: skip
        with made.store.write() as session:
            accounts.add(session, account, Secrets("", ""))
    with made.store.write() as session:
        carers.link(session, "carer", CARER, START)
    assert told(found) == [], "what was there before is not new"
    yield found
    made.close()


def told(world: World, **later: float) -> list[str]:
    """Return who is told after some time, of nothing but that there is something."""
    world.server.clock.advance(**(later or {"minutes": 5}))
    now = world.server.clock()
    held_for = timedelta(days=EMBARGO_DAYS)
    told_count = news.tell_due(world.server.store, now, held_for)
    assert news.tell_due(world.server.store, now, held_for) == 0, "told twice"
    with world.server.store.write() as session:
        sent = messages.lease(session, now, timedelta(days=900), limit=100)
    assert [(each.kind, each.details) for each in sent] == [("record-news", {})] * told_count
    return sorted(each.recipient.partition("@")[0] for each in sent)


def letter(world: World, name: str, patient: str = ANN, label: str = "general") -> None:
    world.server.clock.advance(minutes=1)
    world.server.put(document(patient, name, label), world.server.token(TRUST))


def test_who_may_see_a_new_letter_is_told_once_a_day(world: World) -> None:
    letter(world, "first")
    assert told(world) == ["ann", "carer"]
    letter(world, "second")
    assert told(world) == [], "told this day"
    reading.visit(world.server.store, "ann", ANN, world.server.clock())
    assert told(world, hours=25) == ["carer"], "Ann was there and has seen it"
    assert told(world, hours=25) == []
    letter(world, "third", BOB)
    assert told(world) == ["bob"]


def test_who_said_no_or_cannot_sign_in_is_not_told(world: World) -> None:
    store, now = world.server.store, world.server.clock()
    with store.write() as session:
        notices.choose(session, "ann", notices.Choice(news=False, emergencies=False), now)
        accounts.set_active(session, "carer", active=False, now=now)
    letter(world, "first")
    assert told(world) == []
    with store.write() as session:
        notices.choose(session, "ann", notices.Choice(news=True, emergencies=False), now)
    letter(world, "second")
    assert told(world) == ["ann"]


def test_nobody_is_told_of_a_result_before_it_is_released_to_them(world: World) -> None:
    clock = world.server.clock
    result = observation(ANN, "new", issued=clock().isoformat(), effectiveDateTime=clock().isoformat())
    world.server.put(result, world.trust)
    assert told(world) == []
    # That they were there meanwhile changes nothing: they have not seen it.
    reading.visit(world.server.store, "ann", ANN, clock())
    assert told(world, days=EMBARGO_DAYS - 1) == []
    assert told(world, days=1) == ["ann", "carer"]
    assert told(world, days=1) == []


def test_nobody_is_told_of_what_its_author_withholds_until_they_may_see_it(world: World) -> None:
    withheld: Json = document(ANN, "hidden", "general")
    withheld["meta"]["security"] = [
        {"system": LABEL, "code": "general"},
        {"system": labels.ACT_CODE, "code": "NOPAT"},
    ]
    world.server.put(withheld, world.trust)
    assert told(world) == []
    letter(world, "hidden")
    assert told(world) == ["ann", "carer"]


def test_a_carer_is_told_only_of_what_is_shared_with_them(world: World) -> None:
    letter(world, "mental", label="mental-health")
    assert told(world) == ["ann"]
    assert told(world, days=2) == []
    ann = world.server.token(ANN)
    changed = consent(ANN, CARER, labels=("general", "mental-health")) | {"id": world.consents[-1]}
    world.server.put(changed, ann)
    assert told(world) == ["carer"], "it is new to them now"
    world.server.put(changed | {"status": "inactive"}, ann)
    letter(world, "later")
    assert told(world, days=2) == ["ann"]


def test_what_a_patient_adds_is_news_to_nobody(world: World) -> None:
    world.server.clock.advance(minutes=1)
    world.server.post("Observation", world.ann, observation(ANN))
    assert told(world) == []


def test_workers_side_by_side_tell_each_once(world: World) -> None:
    letter(world, "first")
    letter(world, "second", BOB)
    world.server.clock.advance(minutes=5)
    store, now = world.server.store, world.server.clock()
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: news.tell_due(store, now, timedelta()), range(8)))
    assert sum(counts) == 3
    with store.write() as session:
        sent = messages.lease(session, now, timedelta(days=1), limit=100)
    assert sorted(each.recipient for each in sent) == ["ann@example.org", "bob@example.org", "carer@example.org"]
