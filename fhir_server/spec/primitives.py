"""Tell whether a JSON value is a value of a FHIR primitive type (https://hl7.org/fhir/R4/datatypes.html)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

_DAY = r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_PARTIAL = r"[0-9]{4}(-(0[1-9]|1[0-2]))?"
_FIRST_DAY_IN_DOUBT = "29"

# Beyond what any quantity needs, and within what a double of the database can hold.
_DECIMAL_DIGIT_LIMIT = 64
_DECIMAL_EXPONENT_LIMIT = 300
_STRING_LENGTH_LIMIT = 1024 * 1024

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_WHITE_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Primitive:
    """How to check one primitive type.

    Attributes:
        accepts: Whether a JSON value is a value of the type.
        types: Python types the decoder makes of its JSON form.
        form: What its JSON form is called in a diagnostic.
        rule: What a value must look like, for a diagnostic.
    """

    accepts: Callable[[Any], bool]
    types: tuple[type, ...]
    form: str
    rule: str


def is_string(value: Any) -> bool:
    """Return whether this is a text that FHIR allows: not empty, no control characters, at most 1 MB."""
    if type(value) is not str or not value or len(value) > _STRING_LENGTH_LIMIT:
        return False
    # `isprintable` runs at memory speed and is false for little more than line breaks.
    return value.isprintable() or not _CONTROL.search(value)


def _is_boolean(value: Any) -> bool:
    return value is True or value is False


def _integer(low: int) -> Callable[[Any], bool]:
    def accepts(value: Any) -> bool:
        return type(value) is int and low <= value < 2**31

    return accepts


def _is_decimal(value: Any) -> bool:
    if isinstance(value, Decimal):
        if not value.is_finite() or len(str(value)) > _DECIMAL_DIGIT_LIMIT:
            return False
        return abs(value.adjusted()) <= _DECIMAL_EXPONENT_LIMIT
    return type(value) is int and abs(value) < 10**_DECIMAL_DIGIT_LIMIT


def _matching(pattern: str) -> Callable[[Any], bool]:
    match = re.compile(pattern, re.ASCII).fullmatch

    def accepts(value: Any) -> bool:
        return type(value) is str and match(value) is not None

    return accepts


def _dated(pattern: str) -> Callable[[Any], bool]:
    """Return a check for texts of a pattern whose day, if they name one, is in the calendar."""
    match = re.compile(pattern, re.ASCII).fullmatch

    def accepts(value: Any) -> bool:
        if type(value) is not str or match(value) is None or value.startswith("0000"):
            return False
        day = value[8:10]
        return day < _FIRST_DAY_IN_DOUBT or _exists(value[:10])

    return accepts


def _exists(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def _is_base64(value: Any) -> bool:
    if type(value) is not str or not value:
        return False
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        compact = _WHITE_SPACE.sub("", value)
        return compact != value and _is_base64(compact)
    return True


# No control characters, which XML cannot carry (https://www.w3.org/TR/xml/#charsets).
_PRINTED = r"[^\s\x00-\x1f]"
_TEXT = ((str,), "string")

ELEMENT_ID = Primitive(_matching(f"{_PRINTED}+"), *_TEXT, "an id of an element: text without spaces")
"""What the id of an element may be; that of a resource is of type `id`."""

PRIMITIVES: Mapping[str, Primitive] = {
    "base64Binary": Primitive(_is_base64, *_TEXT, "base64"),
    "boolean": Primitive(_is_boolean, (bool,), "boolean", "true or false"),
    "canonical": Primitive(_matching(f"{_PRINTED}+"), *_TEXT, "a URL without spaces, with an optional |version"),
    "code": Primitive(
        _matching(rf"{_PRINTED}+( {_PRINTED}+)*"), *_TEXT, "a code: words with single spaces between them"
    ),
    "date": Primitive(_dated(f"{_PARTIAL}|{_DAY}"), *_TEXT, "an existing date: YYYY, YYYY-MM or YYYY-MM-DD"),
    "dateTime": Primitive(
        _dated(f"{_PARTIAL}|{_DAY}(T{_TIME}{_ZONE})?"),
        *_TEXT,
        "an existing date, or date and time with seconds and zone (YYYY-MM-DDThh:mm:ss+zz:zz)",
    ),
    "decimal": Primitive(_is_decimal, (int, Decimal), "number", f"a number of at most {_DECIMAL_DIGIT_LIMIT} digits"),
    "id": Primitive(_matching(r"[A-Za-z0-9\-.]{1,64}"), *_TEXT, "1 to 64 letters, digits, '-' and '.'"),
    "instant": Primitive(
        _dated(f"{_DAY}T{_TIME}{_ZONE}"), *_TEXT, "an existing time with seconds and zone (YYYY-MM-DDThh:mm:ss+zz:zz)"
    ),
    "integer": Primitive(_integer(-(2**31)), (int,), "whole number", "a whole number of 32 bits"),
    "markdown": Primitive(is_string, *_TEXT, "text without control characters"),
    "oid": Primitive(_matching(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+"), *_TEXT, "an OID as urn:oid:…"),
    "positiveInt": Primitive(_integer(1), (int,), "whole number", "a whole number from 1 to 2147483647"),
    "string": Primitive(is_string, *_TEXT, "text without control characters"),
    "time": Primitive(_matching(_TIME), *_TEXT, "a time of day: hh:mm:ss"),
    "unsignedInt": Primitive(_integer(0), (int,), "whole number", "a whole number from 0 to 2147483647"),
    "uri": Primitive(_matching(f"{_PRINTED}+"), *_TEXT, "a URI without spaces"),
    "url": Primitive(_matching(f"{_PRINTED}+"), *_TEXT, "a URL without spaces"),
    "uuid": Primitive(
        _matching(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
        *_TEXT,
        "a UUID as urn:uuid:… in lower case",
    ),
}
