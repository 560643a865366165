"""audit checkpoint, audit verify."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.cli.conftest import Run

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
    assert found["verified"] >= 6


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
