"""Versions that a conditional request names (RFC 9110 section 13; https://hl7.org/fhir/R4/http.html#concurrency).

Comparison is weak, as FHIR asks: `W/"3"` and `"3"` are one version.
"""

from __future__ import annotations

import re

from fhir_server.interactions.model import Interaction
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.resources import Version

ANY = "*"
_TAG = re.compile(r'(?:W/)?"([A-Za-z0-9.\-]{1,64})"|([A-Za-z0-9.\-]{1,64})')


def parse_etags(text: str, name: str, expression: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the version ids of a condition, `*` alone for any; a version without its quotes is taken as well.

    Args:
        text: What was sent.
        name: Header or element that it was sent in.
        expression: FHIRPath of the element, if it is one.

    Raises:
        FhirError: INVALID_VALUE (400). A condition that is not understood must not be passed over: the write that it
            was to prevent would be done.
    """
    if text.strip() == ANY:
        return (ANY,)
    found = [_TAG.fullmatch(part.strip()) for part in text.split(",")]
    if None in found:
        raise FhirError(Kind.INVALID_VALUE, f'{name} is a version such as W/"3", several with commas, or *', expression)
    return tuple(each[1] or each[2] for each in found if each)


def check_version(interaction: Interaction, old: Version) -> None:
    """Refuse a change of a version that `If-Match` does not name, or `If-None-Match` does.

    Raises:
        FhirError: VERSION_REQUIRED (412).
    """
    wanted, unwanted = interaction.if_match, interaction.if_none_match
    if wanted == (ANY,) and old.deleted:
        raise FhirError(Kind.VERSION_REQUIRED, "If-Match asks for a current version, and there is none")
    if wanted and ANY not in wanted and str(old.version) not in wanted:
        raise FhirError(
            Kind.VERSION_REQUIRED, f"If-Match says version {', '.join(wanted)[:20]}, the current one differs"
        )
    if unwanted and not old.deleted and not {ANY, str(old.version)}.isdisjoint(unwanted):
        raise FhirError(Kind.VERSION_REQUIRED, f"If-None-Match, but there is that version of {old.type}/{old.id}")
