"""Searches within one patient's record: by what the row itself says of its patients.

Whoever names a patient with a parameter that makes a resource part of that patient's record has named the record: its
rows are together in the indexes of `resource`, beside their code and clinical time, and what their patient's grants
come to needs to be looked at once (PostgreSQL; for SQLite a look per row costs little).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause, and_, func, or_, select, true

from fhir_server.search import reference
from fhir_server.search.compartment import InCompartment
from fhir_server.search.criteria import Indexed
from fhir_server.search.model import Criterion, Scope
from fhir_server.search.prepare import value as value_field
from fhir_server.spec.compartments import owning_parameters
from fhir_server.spec.definitions import Definitions
from fhir_server.store.dialects import Either
from fhir_server.store.visibility import RULES


@dataclass(frozen=True, slots=True)
class InRecord:
    """A criterion that only rows of one patient's record meet.

    Attributes:
        criterion: Which says more than that.
        patient: Key of the patient, who is the row's first patient or one of its further ones.
    """

    criterion: Criterion
    patient: int = value_field()

    @property
    def rank(self) -> int:
        """Return that of the criterion."""
        return self.criterion.rank

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:
        """Return the condition on a readable row."""
        met = self.criterion.condition(row, scope, leads=leads)
        further = RULES.resource_patient.alias()
        keys = select(further.c.key).where(further.c.patient == self.patient)
        # An array is known before rows are looked for, so that one index is asked for the patient's, one for these.
        of_further = Either(
            postgresql=row.c.key == func.any(func.array(keys.scalar_subquery())), elsewhere=row.c.key.in_(keys)
        )
        mine = or_(row.c.patient == self.patient, of_further)
        # Databases start from a set that they take for small, but not from one that is asked whether it is true.
        return and_(mine, met.is_(true())) if leads else met


def within(definitions: Definitions, types: Sequence[str], criteria: Sequence[Criterion]) -> tuple[Criterion, ...]:
    """Return the criteria, the first that names one patient of whose record every match is as an `InRecord`."""
    found = list(criteria)
    params = owning_parameters(definitions, types[0]) if len(types) == 1 else frozenset[int]()
    for index, each in enumerate(found):
        patient = _patient(each, params)
        if patient is not None:
            found[index] = InRecord(each, patient)
            break
    return tuple(found)


def patient_of(criteria: Sequence[Criterion]) -> int | None:
    """Return the key of the patient whose record is searched, None where it is none or several."""
    return next((each.patient for each in criteria if isinstance(each, InRecord)), None)


def _patient(criterion: Criterion, params: frozenset[int]) -> int | None:
    match criterion:
        case Indexed(negated=False, test=reference.ReferenceTest(targets=(target,), versions=(), of_patients=True)):
            return target if params.issuperset(criterion.params) else None
        case InCompartment(of_patient=True) if criterion.params and params.issuperset(criterion.params):
            return criterion.centre
    return None
