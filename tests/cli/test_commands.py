"""Every command explains itself, and a mistake of its user is a sentence."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fhir_server.cli import COMMANDS, main
from tests.cli.conftest import Run

_LEAVES = (
    "init",
    "seed",
    "serve",
    "worker",
    "load",
    "export",
    "reindex",
    "explain",
    "config",
    "bench",
    "nhs-login-stand-in",
    "cis2-stand-in",
    "ehr-stand-in",
)
_GROUPED = (
    "client add",
    "client waiting",
    "client decide",
    "user add",
    "token issue",
    "audit verify",
    "audit checkpoint",
    "key list",
    "key rotate",
)


def test_every_command_is_described_as_it_describes_itself() -> None:
    context = click.Context(main)
    for name, (_, text) in COMMANDS.items():
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert text.endswith(".")


@pytest.mark.parametrize("name", [*(name for name in _LEAVES if name != "bench"), *_GROUPED])
def test_help_of_every_command_shows_an_example(name: str) -> None:
    result = CliRunner().invoke(main, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert "Example: fhir-server" in " ".join(result.output.split())


def test_the_registry_lists_every_promised_command() -> None:
    assert set(COMMANDS) == {*_LEAVES, *(name.split()[0] for name in _GROUPED)}


def test_an_unknown_command_is_wrong_usage(run: Run) -> None:
    assert "No such command" in run("nonsense", expected=2).output


def test_wrong_settings_are_all_told_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_NONSENSE", "1")
    monkeypatch.setenv("FHIR_SERVER_MAX_BODY_MB", "many")
    told = run("config", expected=2).output
    assert "FHIR_SERVER_NONSENSE" in told
    assert "FHIR_SERVER_MAX_BODY_MB" in told


def test_a_database_without_schema_is_told_how_to_get_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    assert "fhir-server init" in run("audit", "checkpoint", expected=1).output
    run("init")
    assert "signed" in run("audit", "checkpoint").output


def test_a_database_that_is_not_there_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", "postgresql+psycopg://127.0.0.1:1/none")
    assert "The database cannot be used" in run("init", expected=1).output


def test_config_masks_secrets(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("config", "--json").output)}
    assert set(rows["FHIR_SERVER_SECRET_KEY"]["value"]) == {"*"}
    assert rows["FHIR_SERVER_KEY_DIRECTORY"]["source"] == "environment"
