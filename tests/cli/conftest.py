"""The command line over a database of its own, run in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fhir_server.cli import main
from tests.databases import Databases
from tests.server import create_schema

Run = Callable[..., Result]


@pytest.fixture
def environment(databases: Databases, tmp_path: Path) -> dict[str, str]:
    """Return the settings of a server whose schema is there."""
    return {
        "FHIR_SERVER_DATABASE_URL": databases.prepared("schema", create_schema),
        "FHIR_SERVER_KEY_DIRECTORY": str(tmp_path / "keys"),
        "FHIR_SERVER_MAIL_URL": f"file://{tmp_path / 'outbox'}",
        "FHIR_SERVER_SMS_URL": f"file://{tmp_path / 'outbox'}",
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs one command; it fails where the exit code is not the expected one."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run_one(*arguments: str, expected: int = 0, **options: Any) -> Result:
        result = CliRunner().invoke(main, arguments, **options)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == expected, result.output
        assert "Traceback" not in result.output
        return result

    return run_one


@pytest.fixture
def patients(run: Run, tmp_path: Path) -> Path:
    """Return a file of three patients, loaded."""
    path = tmp_path / "patients.ndjson"
    lines = [json.dumps({"resourceType": "Patient", "id": f"p{number}", "active": True}) for number in range(3)]
    path.write_text("\n".join(lines) + "\n")
    run("load", str(path))
    return path
