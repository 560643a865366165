"""A stored row as the verdict in memory wants it."""

from __future__ import annotations

from fhir_server.access.rare import BINARY
from fhir_server.access.verdict import Record
from fhir_server.store import facts
from fhir_server.store.database import Session


def record_of(session: Session, key: int) -> Record | None:
    """Return what the gate knows of a current row, whoever may see it; None where there is none.

    INVARIANT: for deciding only; whoever is told of the decision has to be one who may see the row.
    """
    found = facts.of_row(session, key)
    if found is None:
        return None
    dates = None if found.date_lo is None or found.date_hi is None else (found.date_lo, found.date_hi)
    return Record(
        found.type,
        tuple(filter(None, (found.patient, *found.further))),
        found.label,
        found.confidentiality,
        found.author,
        found.tokens,
        key,
        found.released_at,
        dates,
        found.references,
        found.referred_by,
        record_of(session, found.context) if found.type == BINARY and found.context else None,
        found.contained,
    )
