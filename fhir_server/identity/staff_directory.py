"""Who works where, as the directory says: Practitioner, PractitionerRole and Organization by their identifiers.

Nothing here is a right, and nothing of a record is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fhir_server.spec import json
from fhir_server.store import belonging, directory, resources
from fhir_server.store.database import Session

USER_ID = "https://fhir.nhs.uk/Id/sds-user-id"
ROLE_ID = "https://fhir.nhs.uk/Id/sds-role-profile-id"
GMC = "https://fhir.hl7.org.uk/Id/gmc-number"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"


def only(session: Session, resource_type: str, system: str, value: str) -> dict[str, Any] | None:
    """Return the one active resource with an identifier, None where there is none or doubt."""
    keys = set(belonging.keys_with_identifier(session, resource_type, system, value))
    if len(keys) != 1:
        return None
    found = _stored(session, directory.reference_of(session, keys.pop(), resource_type))
    if found is None or found.get("active") is False:
        return None
    # The index knows hashes; the word of the resource counts.
    has_it = any(
        identifier.get("system") == system and identifier.get("value") == value
        for identifier in found.get("identifier", ())
    )
    return found if has_it else None


def is_taken(session: Session, resource_type: str, system: str, value: str) -> bool:
    """Return whether anything of a type has an identifier, former and doubtful ones too."""
    return bool(belonging.keys_with_identifier(session, resource_type, system, value))


def _stored(session: Session, reference: str) -> dict[str, Any] | None:
    resource_type, _, logical_id = reference.partition("/")
    stored = resources.current(session, resource_type, logical_id) if logical_id else None
    if stored is None or stored.deleted or stored.content is None:
        return None
    found: dict[str, Any] = json.decode(stored.content, len(stored.content) + 1)
    return found


def name_of(session: Session, reference: str) -> str:
    """Return what an Organization is called, "" where it is not in the directory."""
    organization = _stored(session, reference) if reference.startswith("Organization/") else None
    return str((organization or {}).get("name", ""))


def has_code(session: Session, reference: str, code: str) -> bool:
    """Return whether an Organization has an ODS code."""
    organization = _stored(session, reference) if reference.startswith("Organization/") else None
    return organization is not None and any(
        identifier.get("system") == ODS and identifier.get("value") == code
        for identifier in organization.get("identifier", ())
    )


def is_current(role: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a role has begun and not ended; its last day counts."""
    period, today = role.get("period", {}), now.date().isoformat()
    start, end = (str(period.get(name, ""))[:10] for name in ("start", "end"))
    return (not start or start <= today[: len(start)]) and (not end or end >= today[: len(end)])
