"""Somebody who owns the database and dropped the triggers: whatever one thing he does, anywhere, is found and named.

Each try happens in a transaction that is rolled back, so one log serves many tries.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from fhir_server.store import checkpoints
from fhir_server.store.audit_verification import Verification, verify
from fhir_server.store.checkpoints import Checkpoint, load_signer
from fhir_server.store.database import Session, Store
from tests.audit.conftest import NOW
from tests.audit.test_verification import drop_triggers, put_in, settle
from tests.databases import Databases

# Two full tiles and a bit, signed three times; every fiftieth number was never used, as after a rolled-back request.
SIZE = 530
GAPS = frozenset(range(50, SIZE + 1, 50))
NUMBERS = tuple(number for number in range(1, SIZE + 1) if number not in GAPS)


class Log(NamedTuple):
    """A sealed log without protection, and the checkpoint over all of it that was kept elsewhere."""

    store: Store
    public_key: bytes
    kept: Checkpoint


class _UndoError(Exception):
    """Rolls a try back."""


@pytest.fixture
def log(databases: Databases, tmp_path: Path) -> Iterator[Log]:
    store = Store(databases.empty())
    store.create_all()
    signer = load_signer(tmp_path / "keys", "record.example.org/audit")
    for first, last in ((1, 200), (201, 400), (401, SIZE)):
        with store.write() as session:
            for number in range(first, last + 1):
                if number not in GAPS:
                    put_in(session, number, number)
        checkpoints.sign_all(store, signer, NOW)
    drop_triggers(store)
    settle(store, signer, SIZE + 1)
    kept = checkpoints.sign_all(store, signer, NOW)
    assert kept is not None
    yield Log(store, signer.public_key, kept)
    store.close()


Attack = Callable[[Session, int], int | None]
"""Does something at an entry; returns the entry that has to be named, None where there is none to name."""


def run(session: Session, statement: str, **values: object) -> None:
    assert session.connection.execute(text(statement), values).rowcount > 0


def attempt(log: Log, attack: Attack, number: int, kept: Checkpoint | None = None) -> tuple[Verification, int | None]:
    found: list[tuple[Verification, int | None]] = []

    def tried() -> None:
        with log.store.write() as session:
            expected = attack(session, number)
            found.append((verify(session, public_key=log.public_key, checkpoint=kept), expected))
            raise _UndoError

    with pytest.raises(_UndoError):
        tried()
    return found[0]


def changing(column: str, value: str) -> Attack:
    def change(session: Session, number: int) -> int:
        run(session, f"UPDATE audit_event SET {column} = {value} WHERE seq = :seq", seq=number)  # noqa: S608 - a case
        return number

    return change


def removing(session: Session, number: int) -> int:
    run(session, "DELETE FROM audit_event WHERE seq = :seq", seq=number)
    return number


def removing_with_its_leaf(session: Session, number: int) -> int | None:
    """Leave a hole in the tree: what is named is the entry after it."""
    removing(session, number)
    run(session, "DELETE FROM audit_leaf WHERE seq = :seq", seq=number)
    return next((each for each in (*NUMBERS, SIZE + 1) if each > number), None)


def closing_the_hole(session: Session, number: int) -> None:
    """Move all later leaves up, as if the entry had never been."""
    removing_with_its_leaf(session, number)
    run(session, "UPDATE audit_leaf SET position = -position WHERE seq > :seq", seq=number)
    run(session, "UPDATE audit_leaf SET position = -position - 1 WHERE position < 0")


def swapping_with_the_next(session: Session, number: int) -> int:
    other = next(each for each in (*NUMBERS, SIZE + 1) if each > number)
    for old, new in ((number, -1), (other, number), (-1, other)):
        run(session, "UPDATE audit_event SET seq = :new WHERE seq = :old", old=old, new=new)
    return number


def swapping_leaves(session: Session, number: int) -> int:
    """Let each place in the tree claim the other's entry: the one at the first wrong place is named."""
    other = next(each for each in (*NUMBERS, SIZE + 1) if each > number)
    for old, new in ((number, -1), (other, number), (-1, other)):
        run(session, "UPDATE audit_leaf SET seq = :new WHERE seq = :old", old=old, new=new)
    return other


CHANGES = (
    changing("id", "id || 'x'"), changing("recorded_at", "recorded_at + 1"), changing("patient", "0"),
    changing("agent", "0"), changing("organization", "1"), changing("entity", "1"), changing("kind", "'vread'"),
    changing("action", "'D'"), changing("outcome", "'8'"), changing("purpose", "'BTG'"),
)  # fmt: skip
ATTACKS = (*CHANGES, removing, removing_with_its_leaf, swapping_with_the_next, swapping_leaves)
EDGES = (1, 2, 199, 201, 256, 257, 261, 262, 263, 401, 529, SIZE)
TRIES = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_an_untouched_log_is_right(log: Log) -> None:
    found, _ = attempt(log, lambda *_: None, 0, log.kept)
    assert (found.ok, found.verified) == (True, len(NUMBERS) + 1)


@TRIES
@given(number=st.sampled_from([each for each in NUMBERS if each < SIZE]), attack=st.sampled_from(ATTACKS))
def test_one_change_removal_or_reordering_anywhere_is_found(log: Log, number: int, attack: Attack) -> None:
    found, expected = attempt(log, attack, number)
    assert (found.ok, found.first_bad_seq) == (False, expected), found.reason


def test_it_is_found_at_the_edges_of_tiles_and_checkpoints(log: Log) -> None:
    for number in EDGES:
        if number in GAPS:
            continue
        for attack in (CHANGES[0], removing, removing_with_its_leaf, swapping_with_the_next):
            found, expected = attempt(log, attack, number)
            assert (found.ok, found.first_bad_seq) == (False, expected), (number, found.reason)


@TRIES
@given(number=st.sampled_from([*sorted(GAPS), 0, -1, -(2**40)]))
def test_an_insertion_among_older_entries_is_found(log: Log, number: int) -> None:
    def insert(session: Session, seq: int) -> int:
        put_in(session, seq, 100_000)
        return seq

    found, expected = attempt(log, insert, number)
    assert (found.ok, found.first_bad_seq) == (False, expected), found.reason


@TRIES
@given(number=st.sampled_from([each for each in NUMBERS if each < SIZE]))
def test_an_entry_taken_out_with_the_tree_closed_up_is_found(log: Log, number: int) -> None:
    found, _ = attempt(log, closing_the_hole, number)
    assert not found.ok
    assert found.first_bad_seq is not None
    assert found.first_bad_seq <= next(each for each in (*NUMBERS, SIZE + 1) if each > number)


@TRIES
@given(number=st.sampled_from(NUMBERS), thorough=st.booleans())
def test_a_tail_cut_off_is_found(log: Log, number: int, thorough: bool) -> None:  # noqa: FBT001 - Hypothesis
    def cut(session: Session, last: int) -> None:
        for table in ("audit_event", "audit_leaf"):
            run(session, f"DELETE FROM {table} WHERE seq > :seq", seq=last)  # noqa: S608 - a case
        if thorough:
            size = sum(each <= last for each in NUMBERS)
            session.connection.execute(text("DELETE FROM audit_checkpoint WHERE size > :size"), {"size": size})
            session.connection.execute(text("DELETE FROM audit_leaf WHERE position >= :size"), {"size": size})

    # With its checkpoints cut off, too, only one that was kept elsewhere tells.
    found, _ = attempt(log, cut, number, log.kept if thorough else None)
    assert not found.ok
    assert f"{len(NUMBERS) + 1} were signed" in found.reason or "newest checkpoint" in found.reason
