"""`explain` shows how a search is answered, and nothing of a record."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_a_search_is_explained_with_its_indexes(run: Run, patients: Path) -> None:
    assert patients.exists()
    for extra in (
        (),
        ("--as", "Practitioner/1"),
        ("--as", "Patient/p1"),
        ("--as", "Organization/1", "--purpose", "HRESCH"),
    ):
        for search in (
            "Patient?identifier=http://a.test|1&_sort=-birthdate",
            "Observation?subject:Patient.name=ann&_filter=not(code eq x)",
            "?_type=Patient,Observation&_id=secret-value",
            "Patient/p1/*",
        ):
            found = json.loads(run("explain", search, "--json", *extra).stdout)
            assert set(found) == {"sql", "plan", "indexes", "scans"}
            assert "secret-value" not in found["sql"]
            assert found["plan"]
    shown = run("explain", "Patient?identifier=http://a.test|1", "--as", "Practitioner/1").stdout
    assert "SELECT" in shown
    assert "consent_grant" in shown
    assert "Indexes: " in shown
    assert "ix_index_token" in shown


def test_what_is_no_search_is_refused_in_a_sentence(run: Run) -> None:
    for url in (
        "Patient/1",
        "metadata",
        "AuditEvent?patient=1",
        "Patient?nosuch=1",
        "Nothing?x=1",
        "Patient/$everything",
    ):
        assert "40" in run("explain", url, expected=1).output
    run("explain", "Patient?_id=1", "--as", "somebody", expected=2)
