"""Rebuild what is derived from content (index rows, hot columns, consent grants) while the server goes on serving.

Not an interaction: nothing is disclosed and no version changes. Whose a row is stays as it was decided on its write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fhir_server.access.closure import CONTAINERS, compile_memberships
from fhir_server.access.consent import compile_consent
from fhir_server.interactions.model import Context
from fhir_server.search import index
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError
from fhir_server.store import derived, grants, memberships
from fhir_server.store.database import Session
from fhir_server.store.derived import Derived, Stored

_BATCH_COUNT = 100


def rebuild(context: Context, types: Sequence[str] = ()) -> Iterator[int]:
    """Rebuild the given types (none: all), a transaction per batch; yield the size of each batch once committed."""
    after: int | None = None
    while True:
        with context.store.write() as session:
            batch = derived.stored(session, types, after=after, limit=_BATCH_COUNT)
            derived.replace(session, [_derived(session, context, row) for row in batch])
        if not batch:
            return
        yield len(batch)
        after = batch[-1].key


def _derived(session: Session, context: Context, row: Stored) -> Derived:
    resource = json.decode(row.content, len(row.content) + 1)
    if resource["resourceType"] == "Consent":
        _restore_grants(session, context, resource, row.key)
    if resource["resourceType"] in CONTAINERS:
        memberships.replace(session, row.key, compile_memberships(resource, row.key, context.fhir_base))
    hot = index.hot(context.definitions, resource)
    rows = index.rows(context.definitions, resource, key=row.key, patient=row.patient, fhir_base=context.fhir_base)
    return Derived(row.key, hot.code, hot.date_lo, hot.date_hi, rows)


def _restore_grants(session: Session, context: Context, resource: json.Json, key: int) -> None:
    try:
        compiled = compile_consent(resource, key, context.definitions.resource_types)
    except FhirError:
        # INVARIANT: a Consent that the gate of today cannot enforce permits nothing.
        compiled = ()
    grants.replace(session, key, compiled)
