"""Answer a Binary as the bytes it holds, in pieces, whole or a range of them (https://hl7.org/fhir/R4/binary.html#rest).

The stored JSON is looked into, not copied: beside it nothing as large as the content is held.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator

import msgspec
from flask import Request, Response

from fhir_server.spec.outcome import FhirError, Kind

_PART = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,127}"
_MEDIA_TYPE = re.compile(rf'{_PART}/{_PART}(?: ?; ?{_PART}=(?:{_PART}|"[ !#-\[\]-~]{{0,127}}")){{0,8}}')
"""What may stand in a Content-Type (RFC 9110 §8.3.1); a Binary's code may be any text."""
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]")
_PIECE = 1 << 20
_GROUP, _GROUP_BYTES = 4, 3


class _Stored(msgspec.Struct):
    """What of a stored Binary is looked at; `data` is a view of the JSON, with its quotation marks."""

    content_type: str = msgspec.field(default="", name="contentType")
    data: msgspec.Raw = msgspec.Raw(b'""')


_STORED = msgspec.json.Decoder(_Stored)


def raw_binary(request: Request, content: bytes) -> Response:
    """Return the response with the bytes of a Binary.

    Args:
        request: May ask for one range of bytes (RFC 9110 §14); several, and other units, are answered with the whole.
        content: JSON of the Binary.

    Raises:
        FhirError: RANGE (416) for a range that begins beyond the end.
    """
    stored = _STORED.decode(content)
    encoded = _base64_of(stored.data)
    length = len(encoded) // _GROUP * _GROUP_BYTES - bytes(encoded[-2:]).count(b"=")
    first, last = 0, length - 1
    is_part = False
    # What has weak entity tags meets no condition of a range (RFC 9110 §13.1.5).
    asked = None if "If-Range" in request.headers else request.range
    if asked is not None and asked.units == "bytes" and len(asked.ranges) == 1:
        found = asked.range_for_length(length)
        if found is None:
            raise FhirError(Kind.RANGE, f"The range begins beyond the {length} bytes of the content")
        first, last, is_part = found[0], found[1] - 1, True
    response = Response(_pieces(encoded, first, last + 1), status=206 if is_part else 200)
    kind = stored.content_type
    response.content_type = kind if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream"
    response.content_length = last + 1 - first
    response.headers["Accept-Ranges"] = "bytes"
    if is_part:
        response.headers["Content-Range"] = f"bytes {first}-{last}/{length}"
    # INVARIANT: no browser runs, shows or guesses at what somebody else has stored; `nosniff` has every answer.
    response.headers["Content-Disposition"] = "attachment"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    return response


def _base64_of(data: msgspec.Raw) -> memoryview:
    """Return the base64 in a JSON string, without the white space that it may have."""
    inside = memoryview(data)[1:-1]
    if not _NOT_BASE64.search(inside):
        return inside
    return memoryview("".join(msgspec.json.decode(data, type=str).split()).encode())


def _pieces(encoded: memoryview, first: int, end: int) -> Iterator[bytes]:
    """Yield the bytes from `first` up to `end`."""
    while first < end:
        group = first // _GROUP_BYTES
        stop = min(-(-end // _GROUP_BYTES), group + _PIECE)
        skipped = group * _GROUP_BYTES
        # Of the last group there are fewer bytes where it is padded.
        piece = b64decode(encoded[group * _GROUP : stop * _GROUP])[first - skipped : end - skipped]
        yield piece
        first += len(piece)
