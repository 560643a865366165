"""The project's shared REST and search cases, run by their own runner against a server as it is deployed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import Databases
from tests.http.live import LiveServer, operator_token
from tests.server import create_schema

RUNNER = Path(__file__).parents[3] / "shared" / "cases" / "run_cases.py"

pytestmark = pytest.mark.skipif(not RUNNER.exists(), reason="needs ../shared/cases, which is not part of a clone")


@pytest.mark.parametrize("kind", ["rest", "search"])
def test_every_firm_case_passes(databases: Databases, tmp_path: Path, kind: str) -> None:
    url = databases.prepared("schema", create_schema)
    live = LiveServer(url, tmp_path)
    try:
        base = f"http://127.0.0.1:{live.port}/fhir"
        command = [sys.executable, str(RUNNER), kind, base, "--token", operator_token(url)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    finally:
        live.stop()
    assert done.returncode == 0, done.stderr
    assert f"{kind}: firm" in done.stdout
    # Unseen cases ask of the same resources.
    assert "LOAD FAIL" not in done.stdout, done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith("X ")], done.stdout
