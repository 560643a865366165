"""The `value` of a primitive element: from the text of an XML attribute to the JSON value, and back."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError
from fhir_server.spec.xml_narrative import ILLEGAL, REPLACEMENT
from fhir_server.spec.xml_shapes import Content

_BOOLEANS = {"true": True, "false": False}
# FHIR allows a sign, JSON does not.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})|\+[1-9][0-9]{0,17}", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_LONGEST_DECIMAL = 400
# A parser makes a space of each that is not written as a reference.
_LINE_BREAKS = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_UNSAFE = re.compile(f"[&<>\"'\n\r\t]|{ILLEGAL.pattern}")


class ValueTextError(ValueError):
    """The text is no value of the type; the message says what one looks like."""


def parse_value(content: Content, text: str) -> Any:
    """Return the JSON value that a text stands for; a decimal keeps its digits.

    Raises:
        ValueTextError: The text is none.
    """
    if not text:
        raise ValueTextError("must not be empty")
    if content is Content.BOOLEAN:
        if text not in _BOOLEANS:
            raise ValueTextError("must be true or false")
        return _BOOLEANS[text]
    if content is Content.INTEGER:
        if not _INTEGER.fullmatch(text):
            raise ValueTextError("must be a whole number")
        return int(text)
    if content is Content.DECIMAL:
        return _decimal(text)
    return text


def _decimal(text: str) -> Any:
    if len(text) > _LONGEST_DECIMAL or not _DECIMAL.fullmatch(text):
        raise ValueTextError("must be a number")
    try:
        return json.decode(b'{"value":%b}' % text.encode(), 2 * _LONGEST_DECIMAL)["value"]
    except FhirError as error:
        raise ValueTextError("must be a number of a size that can be kept") from error


def value_text(value: Any) -> str:
    """Return a JSON value as the text of an attribute, without the quotes around it.

    A character that no XML document may hold, and that no string of FHIR holds either, becomes U+FFFD.
    """
    if value is True:
        return "true"
    if value is False:
        return "false"
    text = str(value)
    return _escaped(text) if _UNSAFE.search(text) else text


def _escaped(text: str) -> str:
    text = escape(ILLEGAL.sub(REPLACEMENT, text))
    for character, reference in _LINE_BREAKS.items():
        text = text.replace(character, reference)
    return text
