"""Which format an answer has: `_format` before `Accept`, with quality values (https://hl7.org/fhir/R4/http.html#mime-type)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from flask import Request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.xml_patch import XML_PATCH
from fhir_server.spec.xml_write import write_xml

JSON = "application/fhir+json"
XML = "application/fhir+xml"
_OLD_JSON, _OLD_XML = "application/json+fhir", "application/xml+fhir"
_JSON_NAMES = (JSON, "application/json", "text/json", _OLD_JSON)
_XML_NAMES = (XML, "application/xml", "text/xml", _OLD_XML)
JSON_BODIES = frozenset(_JSON_NAMES)
XML_BODIES = frozenset(_XML_NAMES)
FHIR_XML_BODIES = frozenset({XML, _OLD_XML})
"""Those that mean a resource even where the body may be a Binary of any type."""
BINARY_AS_RESOURCE = (*_JSON_NAMES, XML, _OLD_XML)
_VERSIONS = frozenset({"4.0", "4.0.1"})
_ANY, _ANY_OF_KIND, _EXACT = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Format:
    """How resources go out.

    Attributes:
        xml: As XML, else as JSON.
        media: Media type to answer with: a general one where the caller asked for that, else FHIR's own.
    """

    xml: bool
    media: str

    @property
    def content_type(self) -> str:
        """Return the value of Content-Type."""
        return f"{self.media}; charset=utf-8"


AS_JSON = Format(xml=False, media=JSON)
AS_XML = Format(xml=True, media=XML)
# In the order of preference where the caller has none.
_FORMATS = {
    **{name: Format(xml=False, media=name) for name in _JSON_NAMES},
    _OLD_JSON: AS_JSON,
    **{name: Format(xml=True, media=name) for name in _XML_NAMES},
    _OLD_XML: AS_XML,
}
_SHORT = {"json": AS_JSON, "xml": AS_XML}


def negotiate(request: Request, query: Mapping[str, str]) -> Format:
    """Return the format that the caller wants.

    Without `_format` and `Accept`, FHIR XML is answered in XML, and anything else in JSON.

    Raises:
        FhirError: NOT_ACCEPTABLE (406) where none of the formats or versions that it names is known here.
    """
    if chosen := query.get("_format", ""):
        # A plus that is not escaped reads as a space in a URL.
        name, options = parse_options_header(chosen.strip().replace(" ", "+"))
        name = name.lower()
        found = _SHORT.get(name) or (AS_XML if name in XML_BODIES else AS_JSON if name in JSON_BODIES else None)
        if found is None or not _is_version(options):
            raise FhirError(Kind.NOT_ACCEPTABLE, f"_format {chosen[:64]} is not supported; use json or xml")
        return found
    accept = request.headers.get("Accept", "")
    if not accept.strip():
        return AS_XML if request.mimetype in FHIR_XML_BODIES | {XML_PATCH} else AS_JSON
    if accepted := _accepted(accept):
        return accepted
    raise FhirError(Kind.NOT_ACCEPTABLE, f"The answer is available as {JSON} and {XML}, of FHIR 4.0")


def negotiate_refusal(request: Request, query: Mapping[str, str]) -> Format:
    """Return the format for an OperationOutcome: as `negotiate`, but JSON where that has no answer."""
    try:
        return negotiate(request, query)
    except FhirError:
        return AS_JSON


@lru_cache(maxsize=256)
def _accepted(accept: str) -> Format | None:
    """Return what the most specific media ranges rate highest; of equals what they name, then what comes first."""
    rated: dict[str, tuple[int, float, int]] = {}
    for order, (text, quality) in enumerate(parse_accept_header(accept, MIMEAccept)):
        media, options = parse_options_header(text)
        if not _is_version(options):
            continue
        for name in _FORMATS:
            specificity = _specificity(media.lower(), name)
            if specificity > rated.get(name, (0, 0.0, 0))[0]:
                rated[name] = (specificity, quality, -order)
    wanted = [
        ((quality, specificity, order), name) for name, (specificity, quality, order) in rated.items() if quality > 0
    ]
    return _FORMATS[max(wanted, key=lambda each: each[0])[1]] if wanted else None


def _specificity(media_range: str, name: str) -> int:
    if media_range == name:
        return _EXACT
    if media_range == f"{name.partition('/')[0]}/*":
        return _ANY_OF_KIND
    return _ANY if media_range == "*/*" else 0


def _is_version(options: Mapping[str, str]) -> bool:
    named = {name.lower(): value for name, value in options.items()}
    return named.get("fhirversion", "4.0") in _VERSIONS


def is_of_this_version(request: Request) -> bool:
    """Return whether the body is of FHIR R4, as far as its Content-Type says (`fhirVersion`)."""
    return _is_version(request.mimetype_params)


def render_xml(
    definitions: Definitions, content: bytes, *, pretty: bool, kept: dict[bool, bytes] | None = None
) -> bytes:
    """Return JSON made here as XML.

    Args:
        definitions: Of FHIR R4.
        content: JSON of one resource.
        pretty: Indented.
        kept: Where to keep the XML of a document that is always the same.
    """
    if kept is not None and pretty in kept:
        return kept[pretty]
    made = write_xml(definitions, content, pretty=pretty)
    if kept is not None:
        kept[pretty] = made
    return made
