"""load, export, reindex: the record in and out of files."""

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, text

from fhir_server import settings
from fhir_server.assembly import make_context
from fhir_server.cli.load_batch import Loader
from fhir_server.interactions.load_texts import Text
from fhir_server.store import load_parts
from fhir_server.store.database import Session, Store
from fhir_server.store.job_tables import load_part
from fhir_server.store.load_parts import Part
from tests.cli.conftest import Run


def _patient(number: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{number}", **more}


def _lines(*resources: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in resources)


def _exported(run: Run, folder: Path, *options: str) -> dict[str, list[dict[str, Any]]]:
    run("export", "--out", str(folder), *options)
    return {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in folder.iterdir()}


def test_plain_and_compressed_lines_bundles_and_single_resources_are_loaded(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.ndjson").write_bytes(_lines(_patient(1), _patient(2)))
    (folder / "b.ndjson.gz").write_bytes(gzip.compress(_lines(_patient(3))))
    (folder / "c.ndjson.bz2").write_bytes(bz2.compress(_lines(_patient(4))))
    (folder / "d.json").write_bytes(_lines(_patient(5)))
    entry = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    (folder / "e.json").write_bytes(_lines({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}))
    (folder / "f.json").write_bytes(
        _lines({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": _patient(6)}]})
    )
    (folder / "readme.txt").write_text("not data")
    summary = json.loads(run("load", str(folder), "--json").output)
    assert summary == {"files": 6, "loaded": 7, "refused": 0}
    exported = _exported(run, tmp_path / "out")
    assert list(exported) == ["Patient"]
    assert {each["id"] for each in exported["Patient"]} >= {f"p{number}" for number in range(1, 7)}


def test_what_is_refused_is_named_by_line_and_the_rest_is_loaded(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mixed.ndjson"
    nameless = {"resourceType": "Patient", "id": ""}
    broken = b"nonsense\n[]\n{}\n" + _lines(nameless)
    path.write_bytes(_lines(_patient(1), _patient(2, gender="unheard-of"), _patient(3)) + broken)
    result = run("load", str(path), expected=1)
    assert "2 resources loaded, 5 refused" in result.output
    for line in (2, 4, 5, 6, 7):
        assert f"mixed.ndjson:{line}: " in result.output


def test_a_killed_load_goes_on_to_the_line_and_tells_every_refusal(
    run: Run, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third commit fails as if the process had died: what two committed is neither lost nor stored twice."""
    path, report = tmp_path / "patients.ndjson", tmp_path / "refused.ndjson"
    odd = {"resourceType": "Patient", "gender": "unheard-of"}
    # Without an id each would be stored again under another.
    texts = [odd if number == 3 else {"resourceType": "Patient"} for number in range(10)]
    path.write_bytes(b"\n" + _lines(*texts))
    monkeypatch.setattr("fhir_server.cli.load_files._BATCH_COUNT", 2)
    committed, note = list[Part](), load_parts.note

    def dies(session: Session, part: Part) -> None:
        note(session, part)
        committed.append(part)
        if len(committed) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("fhir_server.store.load_parts.note", dies)
    run("load", str(path), expected=1)
    monkeypatch.setattr("fhir_server.store.load_parts.note", note)
    options = ("--refusals", str(report), "--json")
    assert json.loads(run("load", str(path), "--continue", *options, expected=1).stdout) == {
        "files": 1, "loaded": 9, "refused": 1,
    }  # fmt: skip
    (refusal,) = [json.loads(line) for line in report.read_text().splitlines()]
    assert (refusal["file"], refusal["line"]) == (str(path), 5)
    assert refusal["reason"].startswith("Patient.gender must be one of")
    engine = create_engine(environment["FHIR_SERVER_DATABASE_URL"])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM resource")).scalar_one() == 9
        assert connection.execute(text("SELECT count(*) FROM load_part")).scalar_one() == 0
        acts = connection.execute(text("SELECT content FROM audit_event WHERE kind = 'load-resources'")).scalars().all()
    engine.dispose()
    told = [json.loads(each)["entity"][0]["name"] for each in acts]
    assert told == [f"lines {first} to {first + 1} of patients.ndjson: {count} Patient"
                    for first, count in ((2, 2), (4, 1), (6, 2), (8, 2), (10, 2))]  # fmt: skip


def test_a_file_that_was_changed_since_a_killed_load_is_loaded_anew(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "patients.ndjson"
    path.write_bytes(_lines(_patient(1), _patient(2)))
    engine = create_engine(environment["FHIR_SERVER_DATABASE_URL"])
    with engine.begin() as connection:
        values = {"file": str(path.resolve()), "mark": "of then", "first_line": 1, "last_line": 2}
        connection.execute(insert(load_part).values(**values, loaded_count=2, refused="[]"))
    engine.dispose()
    assert json.loads(run("load", str(path), "--continue", "--json").stdout)["loaded"] == 2


def test_a_transaction_that_a_process_of_the_pool_posts_is_found_by_parameters_of_the_operators_own(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    own = {
        "resourceType": "SearchParameter", "url": "https://record.example/called", "name": "Called", "status": "active",
        "description": "x", "code": "called", "base": ["Patient"], "type": "string", "expression": "Patient.name.text",
    }  # fmt: skip
    path = tmp_path / "own.ndjson"
    path.write_bytes(_lines(own))
    run("load", str(path))
    patient = {"resource": _patient(1, name=[{"text": "Zebedee"}]), "request": {"method": "PUT", "url": "Patient/p1"}}
    bundle = _lines({"resourceType": "Bundle", "type": "transaction", "entry": [patient]})
    store = Store(environment["FHIR_SERVER_DATABASE_URL"])
    context = make_context(settings.load(environment), store)
    (done,) = Loader(context, "").load(Part("f", "m", 1, 1), [Text(1, bundle)])
    assert (done.loaded_count, done.refused) == (1, ())
    assert context.live is not None
    key = context.live().search_parameters("Patient")["called"].key
    with store.read() as session:
        found = session.connection.execute(text("SELECT count(*) FROM index_string WHERE param = :key"), {"key": key})
        assert found.scalar_one() == 1
    store.close()


def test_several_processes_load_what_one_does(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "patients.ndjson"
    path.write_bytes(_lines(*(_patient(number) for number in range(450)), _patient(450, gender="unheard-of")))
    result = run("load", str(path), "--processes", "2", "--json", expected=1)
    assert json.loads(result.stdout) == {"files": 1, "loaded": 450, "refused": 1}
    assert "patients.ndjson:451: " in result.stderr


def test_an_organisation_loads_as_itself_and_each_refusal_is_on_the_log(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "mixed.ndjson"
    organization = {"resourceType": "Organization", "id": "other"}
    path.write_bytes(_lines(_patient(1), organization, _patient(2, gender="x"), _patient(3, id="no id of FHIR")))
    result = run("load", str(path), "--organization", "Organization/trust", expected=1)
    assert "1 resources loaded, 3 refused" in result.output
    engine = create_engine(environment["FHIR_SERVER_DATABASE_URL"])
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT content FROM audit_event ORDER BY seq"))
        found = [json.loads(content) for (content,) in rows]
    engine.dispose()
    assert [each["outcome"] for each in found] == ["0", "4", "4", "4"]
    assert "no id of FHIR" not in json.dumps(found)


@pytest.mark.parametrize("name", ["data.csv", "data.ndjson.zst", "data.ndjson.gz"])
def test_a_file_that_cannot_be_read_is_a_sentence(run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"nothing of the kind")
    result = run("load", str(path), expected=2 if name.endswith("csv") else 1)
    assert "data." in result.output


def test_export_writes_the_bytes_that_are_served(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "o.ndjson"
    path.write_bytes(
        b'{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50}}\n'
    )
    run("load", str(path))
    run("export", "--out", str(tmp_path / "out"), "--type", "Observation")
    assert b'"value":1.50' in (tmp_path / "out" / "Observation.ndjson").read_bytes()


def test_export_of_what_changed_since(run: Run, patients: Path, tmp_path: Path) -> None:
    assert len(_exported(run, tmp_path / "all", "--since", "2020-01-01")["Patient"]) == 3
    assert _exported(run, tmp_path / "none", "--since", "2999-01-01") == {}


def test_export_leaves_a_folder_that_holds_something_alone(run: Run, patients: Path, tmp_path: Path) -> None:
    assert "not empty" in run("export", "--out", str(tmp_path), expected=2).output
    assert "no resource type" in run("export", "--out", "new", "--type", "Nonsense", expected=2).output.replace(
        "not a", "no"
    )


def test_reindex_restores_what_is_derived_from_content(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "o.ndjson"
    observation = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"coding": [{"code": "c"}]}}
    path.write_bytes(_lines({**observation, "effectiveDateTime": "2026-01-01"}, _patient(1, name=[{"family": "A"}])))
    run("load", str(path))
    engine = create_engine(environment["FHIR_SERVER_DATABASE_URL"])
    derived = "SELECT key, param, code FROM index_token ORDER BY key, param, code"
    hot = "SELECT key, code, date_lo, date_hi FROM resource ORDER BY key"
    with engine.begin() as connection:
        before = [connection.execute(text(query)).all() for query in (derived, hot)]
        connection.execute(text("DELETE FROM index_token"))
        connection.execute(text("UPDATE resource SET code = 0, date_lo = NULL"))
    assert json.loads(run("reindex", "--json").output) == {"indexed": 2}
    with engine.connect() as connection:
        assert [connection.execute(text(query)).all() for query in (derived, hot)] == before
    engine.dispose()
    assert json.loads(run("reindex", "--type", "Patient", "--json").output) == {"indexed": 1}
