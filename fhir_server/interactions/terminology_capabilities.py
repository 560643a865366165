"""TerminologyCapabilities: which code systems searches know by themselves (https://hl7.org/fhir/R4/terminologycapabilities.html).

Nothing is claimed of `$expand`, `$validate-code`, `$translate` and `$closure`: there are none. Stored CodeSystem and
ValueSet resources count in searches as well, as far as the caller may read them, so no public list can name them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from fhir_server.spec import code_systems
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.values import instant_text


def terminology_statement(
    definitions: Definitions, *, fhir_base: str, software: Mapping[str, Any], now: datetime
) -> Any:
    """Return the TerminologyCapabilities of this server.

    Args:
        definitions: With the code systems of FHIR itself.
        fhir_base: Service base URL.
        software: `software` of the CapabilityStatement.
        now: When it was generated.
    """
    return {
        "resourceType": "TerminologyCapabilities",
        "status": "active",
        "date": instant_text(now),
        "description": (
            "Searches of tokens by :in, :not-in, :above and :below: by the code systems listed here and the value sets "
            "of FHIR R4, and by stored CodeSystem and ValueSet resources that the caller may read."
        ),
        "kind": "instance",
        "software": dict(software),
        "implementation": {"description": "The record that belongs to the patient", "url": fhir_base},
        "codeSystem": sorted(_code_systems(definitions), key=lambda each: str(each["uri"])),
        "codeSearch": "explicit",
    }


def _code_systems(definitions: Definitions) -> Iterator[dict[str, Any]]:
    for url in definitions.terminology_urls("CodeSystem"):
        found = definitions.terminology("CodeSystem", url)
        system = code_systems.read(found) if found else None
        if system is not None and system.is_usable:
            version = {"version": [{"code": system.version, "isDefault": True}]} if system.version else {}
            yield {"uri": url, **version, "subsumption": True}
