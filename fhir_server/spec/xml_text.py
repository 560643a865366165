"""From the bytes of an XML document to UTF-8 that may be parsed: encoding known, no document type, no entities.

The parser is told the encoding, so nothing in the document chooses how it is read. A document type is refused before
the parser sees it: without one there are no entities, internal or external, and nothing to fetch or to multiply.
"""

from __future__ import annotations

import codecs
import re

from fhir_server.spec.outcome import FhirError, Kind

# INVARIANT: each decodes in time and space proportional to the text, and none runs code.
_CODECS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "windows-1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
_MARKS = (
    # INVARIANT: UTF-32 first, for its mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, ""),
    (codecs.BOM_UTF32_BE, ""),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    # Without a mark, the first character of a document gives the order of bytes away.
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
_DECLARED = re.compile(rb"<\?xml\s[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
# INVARIANT: possessive, so that a million comments leave nothing behind to come back to.
_PROLOGUE = re.compile(rb"\s*+(?:<\?xml\s[^>]*\?>)?(?:\s++|<!--.*?-->)*+", re.DOTALL)


def utf8_document(raw: bytes, limit_bytes: int, charset: str = "") -> bytes:
    """Return a document as UTF-8 without a byte order mark.

    Args:
        raw: From outside.
        limit_bytes: Longest document to accept.
        charset: Of the Content-Type, which goes before what the document says of itself (RFC 7303); "" where absent.

    Raises:
        FhirError: 413 when too long; 400 for an encoding that is not known or not kept to, or for a document type.
    """
    if len(raw) > limit_bytes:
        raise FhirError(Kind.TOO_LARGE, f"The content is longer than the {limit_bytes} bytes accepted here.")
    text = _as_utf8(raw, charset)
    prologue = _PROLOGUE.match(text)
    ahead = text[prologue.end() : prologue.end() + 3] if prologue else b""
    if ahead == b"<!D":
        raise FhirError(Kind.MALFORMED, "The content must have no document type and no entities.")
    if ahead.startswith(b"<?"):
        raise FhirError(Kind.MALFORMED, "The content must have no processing instructions.")
    return text


def _as_utf8(raw: bytes, charset: str) -> bytes:
    codec = next((marked for mark, marked in _MARKS if raw.startswith(mark)), None)
    if codec is None:
        declared = _DECLARED.match(raw)
        name = (charset or (declared[1].decode() if declared else "utf-8")).lower()
        codec = _CODECS.get(name)
    if not codec:
        raise FhirError(Kind.MALFORMED, "The content has an encoding that is not known here; send UTF-8.")
    try:
        return raw.decode(codec).removeprefix("\ufeff").encode()
    except UnicodeError as error:
        raise FhirError(Kind.MALFORMED, f"The content is not {codec.upper()} text.") from error
