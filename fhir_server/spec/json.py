"""Read and write JSON without losing what the sender wrote: the digits of decimals and the order of keys.

Comes in: bytes from outside, of which nothing is known. Goes out: a dictionary of plain values, or a `FhirError` that
says what is wrong with the text. Rules beyond RFC 8259: https://hl7.org/fhir/R4/json.html.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from json import JSONDecoder
from typing import Any, NoReturn

import msgspec

from fhir_server.spec.outcome import FhirError, Kind

Json = dict[str, Any]

DEPTH_LIMIT = 64
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"[ \t\r\n]*(:?)', re.DOTALL)


class WrittenDecimal(Decimal):
    """A decimal whose text is not what `Decimal` would print, such as `1.0E3`."""

    __slots__ = ("text",)
    text: str

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return (_decimal, (self.text,))


def decode(raw: bytes, limit_bytes: int) -> Json:
    """Return the object in a JSON text; decimals become `Decimal` with every digit they came with.

    Args:
        raw: UTF-8, with or without a byte order mark.
        limit_bytes: Longest text to accept.

    Raises:
        FhirError: 413 when too long; 400 when it is not UTF-8, not JSON, not one object, nested deeper than 64, or has
            a member twice (two readers might take different ones).
    """
    if len(raw) > limit_bytes:
        raise FhirError(Kind.TOO_LARGE, f"The content is longer than the {limit_bytes} bytes accepted here.")
    raw = raw.removeprefix(_BYTE_ORDER_MARK)
    try:
        value = _DECODER.decode(raw)
    except UnicodeDecodeError as error:
        raise FhirError(Kind.MALFORMED, "The content is not UTF-8 text.") from error
    except RecursionError as error:
        raise _too_deep() from error
    except InvalidOperation as error:
        raise FhirError(Kind.MALFORMED, "The content has a number beyond any decimal.") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise FhirError(Kind.MALFORMED, f"The content is not JSON: {error}.") from error
    if type(value) is not dict:
        raise FhirError(Kind.MALFORMED, "The content is not a JSON object.")
    if _has_duplicate(raw, _count_members(value)):
        _refuse_duplicate(raw)
    return value


def decode_own(raw: bytes) -> Json:
    """Return the object in a JSON text that this server wrote, decimals as `decode`; what `decode` checks is not."""
    value: Json = _DECODER.decode(raw)
    return value


def encode(value: Any) -> bytes:
    """Return compact UTF-8 JSON: keys in their order, decimals with the text they were read with."""
    return _ENCODER.encode(value)


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if str(number) == text:
        return number
    written = WrittenDecimal(text)
    written.text = text
    return written


def _encode_written(value: Any) -> msgspec.Raw:
    if isinstance(value, WrittenDecimal):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"JSON has no {type(value).__name__}.")


_DECODER = msgspec.json.Decoder(float_hook=_decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=_encode_written)


def _count_members(value: Json) -> int:
    """Return the number of members of all objects, level by level."""
    members = 0
    level: list[Any] = [value]
    for _ in range(DEPTH_LIMIT):
        below: list[Any] = []
        for container in level:
            if type(container) is dict:
                members += len(container)
                values: Any = container.values()
            else:
                values = container
            below += [each for each in values if type(each) is dict or type(each) is list]
        if not below:
            return members
        level = below
    raise _too_deep()


def _has_duplicate(raw: bytes, members: int) -> bool:
    """Return whether a valid JSON text has more member names than its objects have members.

    A name ends in `":`. Unless a space stands before a colon, counting those bytes finds every name, and perhaps texts
    that begin with a colon. So equal counts acquit at a tenth of the price of telling strings apart; others are counted
    exactly.
    """
    if not _SPACED_COLON.search(raw) and raw.count(b'":') == members:
        return False
    return sum(1 for colon in _STRING.findall(raw) if colon) != members


def _refuse_duplicate(raw: bytes) -> NoReturn:
    """Name the first member that an object has twice."""
    repeated = ""

    def scan(names: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        seen: set[str] = set()
        for name, _ in names:
            if name in seen:
                repeated = repeated or name
            seen.add(name)

    JSONDecoder(object_pairs_hook=scan).decode(raw.decode())
    raise FhirError(Kind.MALFORMED, f"The content names the member '{repeated[:64]}' twice in one object.")


def _too_deep() -> FhirError:
    return FhirError(Kind.MALFORMED, f"The content is nested deeper than {DEPTH_LIMIT} levels.")
