"""Compartments: what refers to a resource, and the resource itself (https://hl7.org/fhir/R4/compartmentdefinition.html)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, FromClause, exists, or_, select, type_coerce, union_all

from fhir_server.search.keys import of_parameters
from fhir_server.search.model import Scope
from fhir_server.search.prepare import value as value_field
from fhir_server.store import index_rows


@dataclass(frozen=True, slots=True)
class InCompartment:
    """The resource names the centre of a compartment with one of its parameters, or is the centre.

    Attributes:
        params: Keys of the reference parameters, of all searched types.
        holds_itself: Whether the centre belongs to its own compartment.
        rank: See `Match.rank`.
        centre: Key of the resource whose compartment it is.
        of_patient: Whether that is a Patient.
    """

    params: tuple[int, ...]
    holds_itself: bool
    rank: int
    centre: int = value_field()
    of_patient: bool = False

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:  # noqa: ARG002
        """Return the condition on a readable row."""
        index = index_rows.alias("index_reference")
        naming = select(index.c.key).where(of_parameters(index, self.params), index.c.target == self.centre)
        if not self.params:
            return row.c.key == self.centre
        if leads:
            # One set of keys to start from: databases answer an OR of the two by looking at every row.
            return row.c.key.in_(
                union_all(naming, select(type_coerce(self.centre, BigInteger))) if self.holds_itself else naming
            )
        named = exists(naming.where(index.c.key == row.c.key).correlate(row))
        return or_(named, row.c.key == self.centre) if self.holds_itself else named
