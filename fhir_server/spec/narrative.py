"""Check the XHTML of a Narrative: well-formed, formatting only, nothing that runs or loads from elsewhere.

https://hl7.org/fhir/R4/narrative.html#xhtml. The text is kept as it came; who shows it still sanitises it.
"""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"
_NAMESPACE_SEPARATOR = " "

ELEMENTS = frozenset(
    {
        *("a", "abbr", "acronym", "address", "b", "bdo", "big", "blockquote", "br", "caption", "center", "cite"),
        *("code", "col", "colgroup", "dd", "del", "dfn", "div", "dl", "dt", "em", "font", "h1", "h2", "h3", "h4"),
        *("h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "ol", "p", "pre", "q", "s", "samp", "small", "span"),
        *("strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul"),
        "var",
    }
)
ATTRIBUTES = frozenset(
    {
        *("abbr", "accesskey", "align", "alt", "axis", "bgcolor", "border", "cellpadding", "cellspacing", "char"),
        *("charoff", "cite", "class", "clear", "color", "colspan", "compact", "datetime", "dir", "face", "frame"),
        *("headers", "height", "href", "hspace", "id", "lang", "name", "noshade", "nowrap", "rel", "rowspan", "rules"),
        *("scope", "size", "span", "src", "start", "style", "summary", "tabindex", "title", "type", "valign", "value"),
        *("vspace", "width"),
    }
)
_XML_ATTRIBUTES = frozenset({"lang", "space", "base"})
_XML = "http://www.w3.org/XML/1998/namespace"

# Browsers skip these in a URL, so they can hide a scheme.
_SKIPPED_IN_URL = re.compile(r"[\x00-\x20]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LINK_SCHEMES = frozenset({"ftp", "http", "https", "mailto", "tel", "urn"})
_IMAGE = re.compile(r"data: ?image/(png|gif|jpeg|webp);base64,[A-Za-z0-9+/=\s]*")
_STYLE_IMAGE = re.compile(r"url\(data: ?image/(png|gif|jpeg|webp);base64,[A-Za-z0-9+/=\s]*\)")
# A backslash, or a comment in the middle, can spell any of the others.
_ACTIVE_STYLE = re.compile(
    r"url\s*\(|expression\s*\(|@import|javascript:|behaviou?r\s*:|-moz-binding|\\|/\*", re.IGNORECASE
)


class NarrativeError(ValueError):
    """The XHTML breaks a rule; the message says which, without quoting the text."""


def check_narrative(text: str) -> None:
    """Accept the `div` of a Narrative.

    Raises:
        NarrativeError: Not well-formed, not one `div` of the XHTML namespace, empty, or more than formatting.
    """
    if not text.lstrip().startswith("<div"):
        raise NarrativeError("must be one XHTML div element")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=_NAMESPACE_SEPARATOR)
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = reader.refuse_declaration
    parser.EntityDeclHandler = reader.refuse_declaration
    parser.ProcessingInstructionHandler = reader.refuse_declaration
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise NarrativeError("must be well-formed XHTML without HTML entities") from error
    if not reader.has_content:
        raise NarrativeError("must have visible text or an image")


class _Reader:
    """What the parser calls; remembers whether there was anything to see."""

    def __init__(self) -> None:
        self.has_content = False
        self._at_root = True

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(_NAMESPACE_SEPARATOR)
        if namespace != XHTML:
            raise NarrativeError(f"must use only elements of the namespace {XHTML}")
        if self._at_root and local != "div":
            raise NarrativeError("must be one XHTML div element")
        self._at_root = False
        if local not in ELEMENTS:
            raise NarrativeError("must hold formatting elements only: no scripts, styles, forms, frames or objects")
        self.has_content = self.has_content or local == "img"
        for attribute, value in attributes.items():
            _check_attribute(local, attribute, value)

    def characters(self, text: str) -> None:
        if not self.has_content and not text.isspace():
            self.has_content = True

    def refuse_declaration(self, *_: Any) -> None:
        raise NarrativeError("must have no document type, entity or processing instruction")


def _check_attribute(element: str, name: str, value: str) -> None:
    namespace, _, local = name.rpartition(_NAMESPACE_SEPARATOR)
    if namespace == _XML and local in _XML_ATTRIBUTES:
        return
    if namespace or local.lower() not in ATTRIBUTES:
        raise NarrativeError("must hold formatting attributes only: no event handlers")
    if local == "src" and not (element == "img" and _is_inside(value)):
        raise NarrativeError("must show images of its own only: '#id', a relative URL or data:image")
    if local in {"href", "cite"} and _scheme(value) not in _LINK_SCHEMES | {""}:
        raise NarrativeError(f"must link by these schemes only: {', '.join(sorted(_LINK_SCHEMES))}")
    if local == "style" and _ACTIVE_STYLE.search(_STYLE_IMAGE.sub("", value)):
        raise NarrativeError("must have styles that load and run nothing")


def _is_inside(source: str) -> bool:
    if _IMAGE.fullmatch(source):
        return True
    return not _scheme(source) and not _SKIPPED_IN_URL.sub("", source).replace("\\", "/").startswith("//")


def _scheme(url: str) -> str:
    match = _SCHEME.match(_SKIPPED_IN_URL.sub("", url))
    return match[1].lower() if match else ""
