"""The XHTML of a Narrative inside an XML document: out as it is stored, in as it was written.

JSON holds the `div` as a text, XML as elements. So that nothing of it changes on the way, the reader takes the part of
the document itself wherever that part means the same alone, and the writer puts the stored text into the document.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any
from xml.parsers import expat

from fhir_server.spec.narrative import XHTML

# What no XML document may hold, however it is written (https://www.w3.org/TR/xml/#charsets).
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REPLACEMENT = "\ufffd"
_SEPARATOR = " "


class _UnfitError(Exception):
    """The text is no `div` that may stand in a document as it is."""


def embeddable(text: str) -> str:
    """Return the text of a `div` for a place in a document.

    Narratives are checked before they are stored. One that was stored by other means and is no such `div` goes out as
    the plain text that it is, so it cannot end the document or bring in elements of its own.
    """
    stripped = text.strip()
    if is_div(stripped):
        return stripped
    return f'<div xmlns="{XHTML}">{escape(ILLEGAL.sub(REPLACEMENT, text), quote=False)}</div>'


def is_div(text: str) -> bool:
    """Return whether this is well-formed as one XHTML `div` that needs nothing around it, and declares nothing."""
    if not text.startswith("<div"):
        return False
    parser = expat.ParserCreate("utf-8", _SEPARATOR)
    at_root = True

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal at_root
        if at_root and name != f"{XHTML}{_SEPARATOR}div":
            raise _UnfitError
        at_root = False

    def refuse(*_: Any) -> None:
        raise _UnfitError

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    parser.ProcessingInstructionHandler = refuse
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, _UnfitError, UnicodeEncodeError):
        return False
    return True


class DivRecorder:
    """Follows a `div` of a document being parsed.

    Args:
        alone: Whether the `div` names its namespace itself, so that its text may be taken as it was written.
        start: Index of its first byte.
    """

    def __init__(self, *, alone: bool, start: int) -> None:
        """Begin before the start tag of the `div`."""
        self.depth = 0
        self._alone = alone
        self._start = start
        self._written: list[str] = []

    def open(self, local: str, prefix: str, attributes: dict[str, str]) -> None:
        """Note a start tag."""
        self._alone = self._alone and not prefix
        named = ""
        for name, value in attributes.items():
            _, *rest = name.split(_SEPARATOR)
            # An unprefixed attribute has no namespace; of the others only those of XML itself may stay.
            self._alone = self._alone and (not rest or rest[1:] == ["xml"])
            plain = f"{rest[1]}:{rest[0]}" if rest[1:] else name
            named += f' {plain}="{escape(value)}"'
        root = f' xmlns="{XHTML}"' if not self.depth else ""
        self._written.append(f"<{local}{root}{named}>")
        self.depth += 1

    def text(self, text: str) -> None:
        """Note characters."""
        self._written.append(escape(text, quote=False))

    def close(self, local: str) -> None:
        """Note an end tag."""
        self.depth -= 1
        self._written.append(f"</{local}>")

    def result(self, document: bytes, last_tag: int) -> str:
        """Return the text of the `div` whose end tag starts at this byte of the document."""
        if not self._alone or last_tag == self._start:
            return "".join(self._written)
        return document[self._start : document.index(b">", last_tag) + 1].decode()
