"""gzip of bodies, both ways (https://hl7.org/fhir/R4/http.html#compression)."""

from __future__ import annotations

import gzip
import zlib

from flask import Request, Response

from fhir_server.spec.outcome import FhirError, Kind

_WORTHWHILE_BYTES = 1_024
_FASTEST = 1
"""Records are text that repeats itself: a higher level costs several times as much for a tenth less."""
_GZIP_WINDOW = 31
_COMPRESSED = ("application/fhir+", "application/json", "text/")


def inflated(request: Request, limit_bytes: int) -> bytes:
    """Return the body as it was before it was compressed.

    Raises:
        FhirError: TOO_LARGE (413) for one that grows beyond the limit, which is found without holding more than that;
            UNSUPPORTED_MEDIA_TYPE (415) for another encoding than gzip; MALFORMED (400) for what is not gzip.
    """
    raw = request.get_data(cache=False)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in {"identity", ""}:
        return raw
    if encoding not in {"gzip", "x-gzip"}:
        raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding of a request is gzip or identity")
    found = bytearray()
    try:
        # A file of gzip may have several members, one after the other.
        while raw:
            member = zlib.decompressobj(_GZIP_WINDOW)
            found += member.decompress(raw, limit_bytes + 1 - len(found))
            if len(found) > limit_bytes:
                raise FhirError(Kind.TOO_LARGE, f"The content is longer than the {limit_bytes} bytes accepted here.")
            if not member.eof:
                raise FhirError(Kind.MALFORMED, "The gzip data of the body ends too early")
            raw = member.unused_data
    except zlib.error as error:
        raise FhirError(Kind.MALFORMED, "The body is not gzip data, as Content-Encoding says") from error
    return bytes(found)


def deflate(request: Request, response: Response) -> None:
    """Compress an answer where the caller takes gzip and it is worth it; raw Binaries stay as they were stored."""
    if not (response.content_type or "").startswith(_COMPRESSED) or response.is_streamed:
        return
    response.vary.add("Accept-Encoding")
    if "Content-Encoding" in response.headers or request.accept_encodings["gzip"] <= 0:
        return
    content = response.get_data()
    if len(content) >= _WORTHWHILE_BYTES:
        # Without a time in it, equal answers are equal bytes.
        response.set_data(gzip.compress(content, _FASTEST, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
