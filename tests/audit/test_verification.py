"""Tampering by somebody who owns the database: every way is found, and the first bad entry named."""

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, text

from fhir_server.store import audit_tree, checkpoints, events
from fhir_server.store.audit_verification import Verification, verify
from fhir_server.store.checkpoints import Checkpoint, Signer
from fhir_server.store.database import Session, Store
from fhir_server.store.event_tables import APPEND_ONLY_TABLES, audit_event
from fhir_server.store.merkle import leaf_hash, verify_consistency, verify_inclusion
from tests.audit.conftest import NOW, fill, plain_event
from tests.databases import PostgresqlDatabases
from tests.postgres import Cluster


def drop_triggers(store: Store) -> None:
    with store.write() as session:
        if store.is_postgresql:
            for table in APPEND_ONLY_TABLES:
                session.connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            return
        names = (
            session.connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
        )
        for name in names:
            session.connection.execute(text(f"DROP TRIGGER {name}"))


def tamper(store: Store, *statements: str) -> None:
    drop_triggers(store)
    with store.write() as session:
        for statement in statements:
            assert session.connection.execute(text(statement)).rowcount > 0


def signed(store: Store, signer: Signer, *, limit: int = 5_000) -> Checkpoint:
    checkpoint = checkpoints.sign_all(store, signer, NOW, limit=limit)
    assert checkpoint is not None
    return checkpoint


def verified(store: Store, signer: Signer, checkpoint: Checkpoint | None = None) -> Verification:
    with store.read() as session:
        return verify(session, public_key=signer.public_key, checkpoint=checkpoint)


def put_in(session: Session, seq: int, number: int) -> None:
    row = {name: getattr(plain_event(number), name) for name in events.COLUMNS}
    session.connection.execute(audit_event.insert().values(seq=seq, **row))


def test_an_untouched_log_is_right(store: Store, signer: Signer) -> None:
    fill(store, 600)
    signed(store, signer, limit=250)
    fill(store, 7, first=601)
    signed(store, signer)
    seen: list[tuple[int, int]] = []
    with store.read() as session:
        found = verify(session, public_key=signer.public_key, progress=lambda done, all_: seen.append((done, all_)))
    assert found == Verification(ok=True, verified=607)
    assert seen[-1] == (607, 607)


def test_an_empty_log_is_right_and_has_no_checkpoint(store: Store, signer: Signer) -> None:
    assert checkpoints.sign_all(store, signer, NOW) is None
    assert verified(store, signer) == Verification(ok=True, verified=0)


@pytest.mark.parametrize(
    "change",
    [
        "content = (SELECT content FROM audit_event WHERE seq = 9)",
        "patient = 5",
        "agent = 5",
        "recorded_at = recorded_at + 1",
        "outcome = '4'",
        "id = 'e999'",
    ],
)
def test_a_changed_event_is_found(store: Store, signer: Signer, change: str) -> None:
    fill(store, 12)
    signed(store, signer)
    tamper(store, f"UPDATE audit_event SET {change} WHERE seq = 5")  # noqa: S608 - a case
    found = verified(store, signer)
    assert (found.ok, found.first_bad_seq) == (False, 5)
    assert "changed" in found.reason


def test_a_removed_event_is_found(store: Store, signer: Signer) -> None:
    fill(store, 12)
    signed(store, signer)
    tamper(store, "DELETE FROM audit_event WHERE seq = 5")
    found = verified(store, signer)
    assert (found.ok, found.first_bad_seq) == (False, 5)
    assert "removed" in found.reason


def test_events_in_each_others_place_are_found(store: Store, signer: Signer) -> None:
    fill(store, 12)
    signed(store, signer)
    tamper(
        store,
        "UPDATE audit_event SET seq = 1000 WHERE seq = 5",
        "UPDATE audit_event SET seq = 5 WHERE seq = 8",
        "UPDATE audit_event SET seq = 8 WHERE seq = 1000",
    )
    found = verified(store, signer)
    assert (found.ok, found.first_bad_seq) == (False, 5)
    assert "place" in found.reason


def test_an_event_inserted_among_older_ones_is_found(store: Store, signer: Signer) -> None:
    fill(store, 12)
    signed(store, signer)
    drop_triggers(store)
    with store.write() as session:
        put_in(session, -3, 99)
    signed(store, signer)
    found = verified(store, signer)
    assert (found.ok, found.first_bad_seq) == (False, -3)
    assert "inserted" in found.reason


def test_an_event_put_into_a_settled_gap_is_found(store: Store, signer: Signer) -> None:
    with store.write() as session:
        for seq in (*range(1, 5), *range(6, 13)):
            put_in(session, seq, seq)
    signed(store, signer)
    settle(store, signer, 20)
    with store.write() as session:
        put_in(session, 5, 5)
    signed(store, signer)
    found = verified(store, signer)
    assert (found.ok, found.first_bad_seq) == (False, 5)


def settle(store: Store, signer: Signer, number: int) -> None:
    """Let everything signed so far settle: PostgreSQL waits out a margin, and the next checkpoint says so."""
    if store.is_postgresql:
        tamper(store, "UPDATE audit_checkpoint SET sealed_at = sealed_at - 60000000")
    with store.write() as session:
        put_in(session, number, number)
    signed(store, signer)
    assert settled_seq(store) >= 12


def test_a_shortened_log_is_found_by_its_own_checkpoint(store: Store, signer: Signer) -> None:
    fill(store, 12)
    signed(store, signer)
    tamper(store, "DELETE FROM audit_event WHERE seq > 10", "DELETE FROM audit_leaf WHERE seq > 10")
    found = verified(store, signer)
    assert not found.ok
    assert "12 were signed" in found.reason


def test_a_history_rewritten_with_its_checkpoints_is_found_by_one_kept_elsewhere(store: Store, signer: Signer) -> None:
    fill(store, 12)
    kept = checkpoints.parse_note(signed(store, signer).note(), signer.public_key)
    tamper(
        store,
        "DELETE FROM audit_event WHERE seq = 5",
        "DELETE FROM audit_leaf",
        "DELETE FROM audit_checkpoint",
    )
    # The one who rewrites even has the key.
    signed(store, signer)
    assert verified(store, signer).ok
    found = verified(store, signer, kept)
    assert not found.ok
    assert "12 were signed" in found.reason


def test_a_rewritten_tree_is_found_by_the_first_checkpoint_after_the_change(store: Store, signer: Signer) -> None:
    for first in (1, 5, 9):
        fill(store, 4, first=first)
        signed(store, signer)
    tamper(store, "UPDATE audit_event SET purpose = 'ETREAT' WHERE seq = 6")
    with store.write() as session:
        query = select(*audit_tree.LEAF_COLUMNS).where(audit_event.c.seq == 6)
        digest = leaf_hash(audit_tree.leaf_data(session.connection.execute(query).one()))
        session.connection.execute(text("UPDATE audit_leaf SET hash = :hash WHERE seq = 6"), {"hash": digest})
    found = verified(store, signer)
    assert (found.ok, found.first_bad_seq) == (False, 5)
    assert "first 8 entries" in found.reason


def test_leaves_in_each_others_place_are_found(store: Store, signer: Signer) -> None:
    fill(store, 12)
    signed(store, signer)
    tamper(
        store,
        "UPDATE audit_leaf SET position = 1000 WHERE position = 3",
        "UPDATE audit_leaf SET position = 3 WHERE position = 6",
        "UPDATE audit_leaf SET position = 6 WHERE position = 1000",
    )
    found = verified(store, signer)
    assert (found.ok, found.first_bad_seq) == (False, 1)


def test_a_changed_kept_hash_is_found(store: Store, signer: Signer) -> None:
    fill(store, 300)
    signed(store, signer)
    drop_triggers(store)
    with store.write() as session:
        session.connection.execute(text("UPDATE audit_tile SET hash = :hash"), {"hash": sha256(b"forged").digest()})
    assert "kept hash" in verified(store, signer).reason


@pytest.mark.parametrize("change", ["signed_at = signed_at - 1", "origin = 'elsewhere'"])
def test_a_changed_checkpoint_is_found(store: Store, signer: Signer, change: str) -> None:
    fill(store, 3)
    signed(store, signer)
    tamper(store, f"UPDATE audit_checkpoint SET {change}")  # noqa: S608 - a case
    assert "not signed" in verified(store, signer).reason


def test_a_checkpoint_under_another_key_is_found(store: Store, signer: Signer) -> None:
    fill(store, 3)
    signed(store, Signer(signer.origin, Ed25519PrivateKey.generate()))
    assert "not signed" in verified(store, signer).reason


def test_a_late_event_takes_the_next_place_where_numbers_can_commit_late(store: Store, signer: Signer) -> None:
    with store.write() as session:
        put_in(session, 1, 1)
        put_in(session, 3, 3)
    first = signed(store, signer)
    with store.write() as session:
        put_in(session, 2, 2)
    second = signed(store, signer)
    found = verified(store, signer, first)
    if store.is_postgresql:
        assert (first.size, second.size, found.ok) == (2, 3, True)
    else:
        # SQLite has one writer, so a lower number that appears later was put there by hand.
        assert (first.size, second.size, found.first_bad_seq) == (2, 2, 2)


def settled_seq(store: Store) -> int:
    with store.read() as session:
        return int(session.connection.execute(text("SELECT max(settled_seq) FROM audit_checkpoint")).scalar_one())


def test_nothing_settles_while_a_running_transaction_may_hold_a_number(
    postgres_cluster: Cluster, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_tree, "_CLOCK_MARGIN_US", 0)
    databases = PostgresqlDatabases(postgres_cluster)
    store = Store(databases.empty())
    store.create_all()
    fill(store, 1)
    with store.write() as slow:
        events.append(slow, [plain_event(2)])
        for number in (3, 4):
            fill(store, 1, first=number)
            signed(store, signer)
        assert settled_seq(store) < 2
    fill(store, 1, first=5)
    assert signed(store, signer).size == 5
    fill(store, 1, first=6)
    signed(store, signer)
    assert settled_seq(store) == 5
    assert verified(store, signer) == Verification(ok=True, verified=6)
    store.close()
    databases.close()


def test_proofs_from_the_database_verify(store: Store, signer: Signer) -> None:
    fill(store, 700)
    old = signed(store, signer)
    fill(store, 44, first=701)
    new = signed(store, signer)
    numbers = [1, 256, 257, 700, 701, 744]
    with store.read() as session:
        prover = audit_tree.Prover(session)
        proofs = audit_tree.proofs(session, prover, numbers, new.size)
        assert sorted(proofs) == numbers
        for proof in proofs.values():
            assert verify_inclusion(leaf_hash(proof.leaf), proof.position, new.size, proof.path, new.root)
        assert audit_tree.proofs(session, prover, [744], old.size) == {}
        extended = prover.consistency(old.size, new.size)
    assert verify_consistency(old.size, old.root, new.size, new.root, extended)


def test_signing_again_without_news_returns_the_newest_checkpoint(store: Store, signer: Signer) -> None:
    fill(store, 3)
    first = signed(store, signer)
    with store.write() as session:
        assert checkpoints.sign(session, signer, NOW + timedelta(minutes=1)) == first
    with store.read() as session:
        assert checkpoints.newest(session) == first


def test_a_note_is_read_back_and_a_changed_one_refused(store: Store, signer: Signer) -> None:
    fill(store, 3)
    checkpoint = signed(store, signer)
    note = checkpoint.note()
    assert note.startswith("record.example.org/audit\n3\n")
    assert checkpoints.parse_note(note, signer.public_key) == checkpoint
    with pytest.raises(ValueError, match="not signed"):
        checkpoints.parse_note(note.replace("\n3\n", "\n2\n"), signer.public_key)
    with pytest.raises(ValueError, match="not a checkpoint"):
        checkpoints.parse_note("hello", signer.public_key)


def test_the_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    first = checkpoints.load_signer(tmp_path / "keys", "a/audit")
    again = checkpoints.load_signer(tmp_path / "keys", "a/audit")
    assert first.public_key == again.public_key
    assert [path.name for path in (tmp_path / "keys").iterdir()] == [checkpoints.KEY_FILE]
    assert (tmp_path / "keys" / checkpoints.KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_ed25519_key_is_refused(tmp_path: Path, rsa_pem: Callable[[], bytes]) -> None:
    (tmp_path / checkpoints.KEY_FILE).write_bytes(rsa_pem())
    with pytest.raises(ValueError, match="not an Ed25519"):
        checkpoints.load_signer(tmp_path, "a/audit")


@pytest.fixture
def rsa_pem() -> Callable[[], bytes]:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - this fixture alone
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - this fixture alone

    def make() -> bytes:
        key = rsa.generate_private_key(65537, 2048)
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    return make
