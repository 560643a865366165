"""Programs from npm that tests run beside the server: installed as a lock file pins them, kept between runs."""

import hashlib
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from fhir_server.spec.build_packages import _npm

_INSTALL_S = 180


def node() -> str:
    """Return the command of Node.js that belongs to the machine's npm, else the one in the wheel."""
    command = _npm()
    return command[0] if len(command) > 1 else shutil.which("node") or "node"


def installed(source: Path) -> Path:
    """Return a folder with the files of `source`, a package with its lock file, and what that file pins."""
    files = sorted(path for path in source.iterdir() if path.suffix in {".json", ".mjs"})
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"fhir-server-{source.name}-{digest}"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name) / "fresh"
        fresh.mkdir()
        for file in files:
            shutil.copy(file, fresh)
        command = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=fresh, check=True, timeout=_INSTALL_S, capture_output=True)
        # Beside its place first: another worker never meets half of it.
        shutil.copytree(fresh, own := folder.with_name(f"{folder.name}.{threading.get_native_id()}"))
    try:
        own.replace(folder)
    except OSError:
        # Another worker was first.
        shutil.rmtree(own)
    return folder
