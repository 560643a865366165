"""The contracts of setup.cfg: imports go down only."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_import_contract_is_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    assert command.exists() or shutil.which("lint-imports"), "import-linter is not installed: make test"
    result = subprocess.run(
        [str(command), "--config", "setup.cfg", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
