"""All of one patient's record: what belongs to the patient, and what of nobody's record it refers to.

`Patient/[id]/$everything` (https://hl7.org/fhir/R4/patient-operation-everything.html) as a criterion of search, so
that paging, totals and the gate are those of every other search. INVARIANT: a reference is followed only from a row
of `readable` to a row of `readable`: what a hidden resource refers to is not there because of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import CTE, ColumnElement, FromClause, Select, or_, select, union

from fhir_server.search import results
from fhir_server.search.date import Comparison, DateTest
from fhir_server.search.model import Criterion, Scope, SearchRequest
from fhir_server.search.on_row import LastUpdated
from fhir_server.search.prepare import value as value_field
from fhir_server.spec.definitions import Definitions
from fhir_server.store import index_rows
from fhir_server.store.keys import reference_key
from fhir_server.store.visibility import RULES, readable

_HOPS = 2
"""A prescription names a role, the role names the practitioner and the organisation."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller wants of the record.

    Attributes:
        patient_id: Logical id of the patient.
        types: Types to return; empty for all.
        start: Care at or after this instant, microseconds since the epoch; None without limit.
        end: Care before this instant; None without limit.
        since: Interval [lo, hi) of `_since`; None without limit.
        count: Page size.
        cursor: Sealed position, "" for the first page.
        understood: The parameters as understood, in order.
    """

    patient_id: str
    types: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    since: tuple[int, int] | None = None
    count: int = results.DEFAULT_COUNT
    cursor: str = ""
    understood: tuple[tuple[str, str], ...] = ()


def request_of(asked: Asked, definitions: Definitions) -> SearchRequest:
    """Return the search that finds what was asked for."""
    patient = reference_key("Patient", asked.patient_id)
    criteria: list[Criterion] = [_Record(_every_type(definitions), patient, asked.start, asked.end)]
    if asked.since is not None:
        criteria.append(LastUpdated(DateTest((Comparison("ge", *asked.since),))))
    return SearchRequest(
        "Patient",
        asked.types,
        tuple(criteria),
        count=asked.count,
        total_wanted=True,
        cursor=asked.cursor,
        understood=asked.understood,
    )


def _every_type(definitions: Definitions) -> tuple[str, ...]:
    """Return every type: the index on patients begins with the type."""
    return tuple(sorted(definitions.resource_types))


@dataclass(frozen=True, slots=True)
class _Record:
    """The resource is of the patient's record, or a resource of nobody's record that this one refers to.

    Care dates limit the record; a resource without one (an allergy, the Patient) is always part of it.
    """

    types: tuple[str, ...]
    patient: int = value_field()
    start: int | None = value_field()
    end: int | None = value_field()
    rank: int = 0

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:  # noqa: ARG002
        """Return the condition on a readable row."""
        own = union(self._first(scope), self._further(scope)).cte("record")
        steps = [own]
        for number in range(_HOPS):
            steps.append(_referred(scope, steps[-1]).cte(f"referred_{number}"))
        return row.c.key.in_(union(*(select(step.c.key) for step in steps)))

    def _first(self, scope: Scope) -> Select[tuple[int]]:
        row = readable(scope.visibility, self.types)
        return select(row.c.key).where(row.c.patient == self.patient, *self._during(row))

    def _further(self, scope: Scope) -> Select[tuple[int]]:
        """Return the rows that name other patients first."""
        row, named = readable(scope.visibility), RULES.resource_patient.alias()
        shared = select(named.c.key).where(named.c.patient == self.patient)
        return select(row.c.key).where(row.c.key.in_(shared), *self._during(row))

    def _during(self, row: FromClause) -> list[ColumnElement[bool]]:
        limits: list[ColumnElement[bool]] = []
        if self.start is not None:
            limits.append(or_(row.c.date_hi.is_(None), row.c.date_hi > self.start))
        if self.end is not None:
            limits.append(or_(row.c.date_lo.is_(None), row.c.date_lo < self.end))
        return limits


def _referred(scope: Scope, step: CTE) -> Select[tuple[int]]:
    """Return what these rows refer to and nobody's record holds: people, organisations, places, medicines."""
    row, index = readable(scope.visibility), index_rows.alias("index_reference")
    targets = select(index.c.target).where(index.c.key.in_(select(step.c.key)))
    return select(row.c.key).where(row.c.patient == 0, row.c.key.in_(targets))
