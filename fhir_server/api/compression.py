"""gzip of bodies, both ways (https://hl7.org/fhir/R4/http.html#compression)."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from functools import lru_cache

from flask import Request, Response
from werkzeug.http import parse_accept_header

from fhir_server.spec.outcome import FhirError, Kind

_WORTHWHILE_BYTES = 1_024
_FASTEST = 1
"""Records are text that repeats itself: a higher level costs several times as much for a tenth less."""
_GZIP_WINDOW = 31
_PIECE_BYTES = 1 << 20
_AS_IT_IS = "identity"
_COMPRESSED = ("application/fhir+", "application/json", "text/")


def inflated(request: Request, limit_bytes: int) -> bytes:
    """Return the body as it was before it was compressed.

    Raises:
        FhirError: As `inflated_pieces`.
    """
    if _encoding(request) == _AS_IT_IS:
        return request.get_data(cache=False)
    return b"".join(inflated_pieces(request, limit_bytes))


def inflated_pieces(request: Request, limit_bytes: int) -> Iterator[bytes]:
    """Yield the body as it was before it was compressed, in pieces of at most a megabyte.

    Raises:
        FhirError: TOO_LARGE (413) for one that grows beyond the limit, which is found without holding more than that;
            UNSUPPORTED_MEDIA_TYPE (415) for another encoding than gzip; MALFORMED (400) for what is not gzip.
    """
    sent = iter(lambda: request.stream.read(_PIECE_BYTES), b"")
    if _encoding(request) == _AS_IT_IS:
        yield from sent
        return
    length = 0
    try:
        for found in _members(sent):
            length += len(found)
            if length > limit_bytes:
                raise FhirError(Kind.TOO_LARGE, f"The content is longer than the {limit_bytes} bytes accepted here.")
            yield found
    except zlib.error as error:
        raise FhirError(Kind.MALFORMED, "The body is not gzip data, as Content-Encoding says") from error


def discard(request: Request, most_bytes: int) -> None:
    """Read what is left of a body that is refused.

    Who sends all of it before reading an answer would see the connection break, and never the 413.
    """
    source, left = request.environ["wsgi.input"], most_bytes
    while left > 0:
        piece = source.read(min(_PIECE_BYTES, left))
        if not piece:
            return
        left -= len(piece)


def _encoding(request: Request) -> str:
    encoding = request.headers.get("Content-Encoding", "").strip().lower() or _AS_IT_IS
    if encoding not in {_AS_IT_IS, "gzip", "x-gzip"}:
        raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding of a request is gzip or identity")
    return encoding


def _members(sent: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what gzip data says; a file of gzip may have several members, one after the other."""
    member = None
    for raw in sent:
        rest = raw
        while rest or member:
            member = member or zlib.decompressobj(_GZIP_WINDOW)
            found = member.decompress(rest, _PIECE_BYTES)
            yield found
            if member.eof:
                rest, member = member.unused_data, None
                continue
            rest = member.unconsumed_tail
            if len(found) < _PIECE_BYTES:
                break
    if member is not None:
        raise FhirError(Kind.MALFORMED, "The gzip data of the body ends too early")


def deflate(request: Request, response: Response) -> None:
    """Compress an answer where the caller takes gzip and it is worth it; raw Binaries stay as they were stored."""
    if not is_compressible(response.content_type or "") or response.is_streamed:
        return
    response.vary.add("Accept-Encoding")
    if "Content-Encoding" in response.headers:
        return
    content = response.get_data()
    if is_to_be_compressed(request, content):
        response.set_data(compressed(content))
        response.headers["Content-Encoding"] = "gzip"


def is_compressible(content_type: str) -> bool:
    """Return whether answers of a type are compressed for who wants that."""
    return content_type.startswith(_COMPRESSED)


def is_to_be_compressed(request: Request, content: bytes) -> bool:
    """Return whether the caller takes gzip and the content is worth it."""
    return len(content) >= _WORTHWHILE_BYTES and _takes_gzip(request.headers.get("Accept-Encoding", ""))


def compressed(content: bytes) -> bytes:
    """Return content as gzip; without a time in it, equal answers are equal bytes."""
    return gzip.compress(content, _FASTEST, mtime=0)


@lru_cache(maxsize=64)
def _takes_gzip(accepted: str) -> bool:
    return parse_accept_header(accepted)["gzip"] > 0
