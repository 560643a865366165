"""Style sheets, scripts and pictures: fingerprinted, compressed, kept by browsers for a year.

In comes a path below `static/`; out goes the file, from memory. The fingerprint covers every file and is a folder of
the URL, so that a script may import another by its relative path and a style sheet its pictures. Knows no page.
"""

from __future__ import annotations

import gzip
import mimetypes
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from flask import Blueprint, Response, abort, request

_ROOT = Path(__file__).parent / "static"
_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".svg": "image/svg+xml"}
_COMPRESSED = frozenset({"text/css", "text/javascript", "image/svg+xml"})
_YEAR_S = 31_536_000

blueprint = Blueprint("assets", __name__)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent.

    Attributes:
        content: Its bytes.
        gzipped: The same compressed, b"" where that would not help.
        media_type: Value of `Content-Type`.
    """

    content: bytes
    gzipped: bytes
    media_type: str


@cache
def _names() -> dict[str, Path]:
    # INVARIANT: only names found here are ever opened, so no path of a request can leave the folder.
    return {path.relative_to(_ROOT).as_posix(): path for path in sorted(_ROOT.rglob("*")) if path.is_file()}


@cache
def fingerprint() -> str:
    """Return a short digest of all files, stable as long as none changes."""
    digest = sha256()
    for name, path in _names().items():
        digest.update(name.encode())
        digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def url(name: str) -> str:
    """Return the URL path of a file below `static/`, such as `css/portal.css`."""
    return f"/assets/{fingerprint()}/{name}"


@cache
def _load(name: str) -> Asset:
    path = _names()[name]
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    content = path.read_bytes()
    gzipped = gzip.compress(content, 9, mtime=0) if media_type in _COMPRESSED else b""
    return Asset(content, gzipped, media_type)


@blueprint.get("/assets/<version>/<path:name>")
def serve(version: str, name: str) -> Response:
    """Answer with a file; an outdated fingerprint gets the present file, not to be kept."""
    if name not in _names():
        abort(404)
    asset = _load(name)
    zipped = bool(asset.gzipped) and bool(request.accept_encodings["gzip"])
    response = Response(asset.gzipped if zipped else asset.content, content_type=asset.media_type)
    if zipped:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    keep = version == fingerprint()
    response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable" if keep else "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
