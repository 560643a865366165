"""audit checkpoint, verify, check, public-key, grants."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.cli.conftest import Run
from tests.server import build

_UNPROTECT = {
    "sqlite": ("DROP TRIGGER audit_event_no_update",),
    "postgresql": ("ALTER TABLE audit_event DISABLE TRIGGER audit_event_append_only",),
}


def test_an_untouched_log_verifies_against_a_kept_checkpoint(run: Run, patients: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text(run("audit", "checkpoint").output)
    run("load", str(patients))
    run("audit", "checkpoint")
    found = json.loads(run("audit", "verify", "--checkpoint", str(kept), "--json").output)
    assert found["ok"]
    assert found["verified"] == 4  # the first load, and each that the second replaced


def test_a_changed_entry_is_named_with_exit_code_1(run: Run, patients: Path, environment: dict[str, str]) -> None:
    run("audit", "checkpoint")
    engine = create_engine(environment["FHIR_SERVER_DATABASE_URL"])
    with engine.begin() as connection:
        for statement in _UNPROTECT[engine.dialect.name]:
            connection.execute(text(statement))
        seq = connection.execute(text("SELECT min(seq) FROM audit_event")).scalar_one()
        connection.execute(text("UPDATE audit_event SET outcome = '8' WHERE seq = :seq"), {"seq": seq})
    engine.dispose()
    assert f"entry {seq}" in run("audit", "verify", expected=1).output
    assert json.loads(run("audit", "verify", "--json", expected=1).stdout)["first_bad_entry"] == seq


@pytest.mark.parametrize("content", ["", "not a checkpoint", "\x00"])
def test_a_file_that_is_no_checkpoint_is_a_sentence(run: Run, tmp_path: Path, content: str) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text(content)
    assert "not a checkpoint" in run("audit", "verify", "--checkpoint", str(kept), expected=1).output


def test_a_downloaded_log_is_checked_without_server_or_database(
    run: Run, patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text(run("audit", "checkpoint").output)
    key = run("audit", "public-key").output.strip()
    run("load", str(patients))
    run("audit", "checkpoint")
    path = tmp_path / "log.json"
    path.write_text(_download(environment, tmp_path, f"from={kept.read_text().splitlines()[1]}"))
    for name in environment:
        monkeypatch.delenv(name)
    found = json.loads(run("audit", "check", str(path), "--older", str(kept), "--public-key", key, "--json").stdout)
    assert found["ok"]
    assert found["proved"] >= 1
    assert found["public_key"] == key
    assert key in run("audit", "check", str(path)).output
    path.write_text(path.read_text().replace('"outcome":"0"', '"outcome":"8"'))
    assert "does NOT hold: entry 1 " in run("audit", "check", str(path), expected=1).output
    assert not json.loads(run("audit", "check", str(path), "--json", expected=1).stdout)["ok"]
    assert "32 bytes" in run("audit", "check", str(path), "--public-key", "x", expected=2).output


def _download(environment: dict[str, str], folder: Path, query: str) -> str:
    server = build(environment["FHIR_SERVER_DATABASE_URL"], folder)
    try:
        return server.call("GET", f"Patient/p0/$access-log-proof?{query}", server.token("Patient/p0")).text
    finally:
        server.close()


def test_grants_are_one_transaction_of_sql(run: Run) -> None:
    statements = run("audit", "grants", 'a"b').output.splitlines()
    assert (statements[0], statements[-1]) == ("BEGIN;", "COMMIT;")
    assert 'GRANT USAGE ON SCHEMA public TO "a""b";' in statements
    assert run("audit", "grants", "", expected=2).output
