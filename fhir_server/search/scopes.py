"""What a granular SMART scope narrows a type to: any search parameter of the row itself, in the search language.

`patient/Observation.rs?category=laboratory,vital-signs&date=ge2024` lets through what a search with these parameters
would find (https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters).
Comes in: type and parameters. Goes out: a condition for the gate, or None for what it cannot hold a caller to:
other resources than the row (chains, `_has`, lists), full text, whole expressions, and what depends on the hour.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from sqlalchemy import ColumnElement, FromClause, and_

from fhir_server.search.build import Builder
from fhir_server.search.criteria import Composite, HotDate, Indexed, Missing
from fhir_server.search.model import Criterion, Reading, Scope
from fhir_server.search.on_row import LastUpdated, LogicalId
from fhir_server.search.terminology import Terminology
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError
from fhir_server.store.visibility import RowCondition, Visibility

_OF_THE_ROW = (Indexed, HotDate, LogicalId, LastUpdated, Missing, Composite)
"""Criteria that look at the row and its own index rows. INVARIANT: none that asks for other rows is here."""
# So they ask for no visibility; each row is looked at for itself.
_ALONE = Scope(cast("Visibility", None), narrow=True)
_BURDEN_LIMIT = 100
"""What the values of one scope cost, counted as a search counts them: each is in every statement of its callers."""
_REMEMBERED = 256
_INSTANTS_US = (0, 1 << 52)
"""Two instants, far from each other: what is understood differently at them depends on the clock."""

Query = tuple[tuple[str, str], ...]
_known: OrderedDict[tuple[int, str, str, Query], tuple[Definitions, RowCondition | None]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Narrowing:
    """All of these criteria hold; what was deleted has nothing that one could look at."""

    criteria: tuple[Criterion, ...]

    def on(self, row: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `resource`, with its values."""
        held = (each.condition(row, _ALONE, leads=False) for each in self.criteria)
        return and_(row.c.deleted.is_(False), *held)


def narrowing(definitions: Definitions, fhir_base: str, resource_type: str, query: Query) -> RowCondition | None:
    """Return what rows a granular scope lets through.

    Args:
        definitions: R4 definitions, with the parameters that an operator added.
        fhir_base: Service base URL without trailing slash.
        resource_type: Type of the scope, `*` for every type.
        query: Its parameters, at least one, all of which have to hold; values of one are alternatives.

    Returns:
        None where the scope cannot be enforced as it is written, and so has to let nothing through.
    """
    key = (id(definitions), fhir_base, resource_type, query)
    found = _known.get(key)
    if found is None or found[0] is not definitions:
        first, second = (_read(definitions, fhir_base, resource_type, query, now_us) for now_us in _INSTANTS_US)
        _known[key] = found = (definitions, first if first == second else None)
        with suppress(KeyError):  # other threads forget, too
            if len(_known) > _REMEMBERED:
                _known.popitem(last=False)
    return found[1]


def enforceable(definitions: Definitions, fhir_base: str, resource_type: str, query: Query) -> bool:
    """Return whether the gate can hold a caller to a clinical scope of this type, with or without parameters."""
    if not query:
        return resource_type == "*" or resource_type in definitions.resource_types
    return narrowing(definitions, fhir_base, resource_type, query) is not None


def _read(
    definitions: Definitions, fhir_base: str, resource_type: str, query: Query, now_us: int
) -> RowCondition | None:
    if resource_type != "*" and resource_type not in definitions.resource_types:
        return None
    builder = Builder(Reading(definitions, fhir_base, now_us, Terminology(definitions)))
    types = () if resource_type == "*" else (resource_type,)
    try:
        found = [builder.criterion(types, name, value) for name, value in query]
    except FhirError:
        return None
    # One without a value restricts to nothing that anybody could tell.
    criteria = tuple(each for each in found if isinstance(each, _OF_THE_ROW))
    return Narrowing(criteria) if len(criteria) == len(found) and builder.burden <= _BURDEN_LIMIT else None
