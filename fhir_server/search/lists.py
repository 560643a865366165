"""Lists: `_list` finds what is on a list (https://hl7.org/fhir/R4/search.html#list).

A stored List by its id, or one of the lists FHIR has names for, which this server keeps as what is current by its own
status (https://hl7.org/fhir/R4/lifecycle.html#lists). INVARIANT: a List is a row of `readable`, so what is on a hidden
one is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause

from fhir_server.search import reference
from fhir_server.search.criteria import AllOf, AnyOf, Has
from fhir_server.search.model import Criterion, Reading, Scope
from fhir_server.search.on_row import LogicalId
from fhir_server.search.syntax import invalid, shown, unescape, unsupported
from fhir_server.spec.definitions import SearchParameter
from fhir_server.spec.values import parse_reference
from fhir_server.store.keys import hash32, reference_key, type_key

CODE = "_list"
LISTED = hash32("List.entry.item on the list")
"""Key of the `index_reference` rows of what is on a List: `List.item` without the entries that are deleted from it."""
PARAMETER = SearchParameter(LISTED, CODE, "special", "Resource", "", (), (), url="")

_NOT_WRONG = ("verification-status:not", "refuted,entered-in-error")
# One of unknown status counts: leaving out a warning is the greater danger (R4 search, handling missing data).
_ALLERGY = (("clinical-status:not", "inactive,resolved"), _NOT_WRONG)
_CURRENT: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]] = {
    "$current-problems": {"Condition": (("clinical-status", "active,recurrence,relapse"), _NOT_WRONG)},
    "$current-medications": {
        "MedicationRequest": (("status", "active"), ("intent:not", "proposal,plan,option")),
        "MedicationStatement": (("status", "active"),),
    },
    "$current-allergies": {"AllergyIntolerance": _ALLERGY},
    "$current-drug-allergies": {"AllergyIntolerance": (*_ALLERGY, ("category", "medication,biologic"))},
}
"""By name and type, the searches that find what is current; a patient is named by the other parameters."""

Make = Callable[[tuple[str, ...], str, str], Criterion | None]


def rows(resource: Mapping[str, Any], reading: Reading) -> Iterator[reference.Columns]:
    """Yield the columns of the `index_reference` rows of what is on a List."""
    for entry in resource.get("entry", ()):
        if entry.get("item") and entry.get("deleted") is not True:
            yield from reference.write("Reference", entry["item"], PARAMETER, reading)


def criterion(types: tuple[str, ...], modifier: str, texts: Sequence[str], reading: Reading, make: Make) -> Criterion:
    """Understand `_list`; several values are alternatives.

    Args:
        types: Searched types; none means every type.
        modifier: What follows a colon.
        texts: Ids of Lists, or names of functional lists.
        reading: Where this server is.
        make: Returns the criterion of a search parameter of some types.

    Raises:
        FhirError: 400 for a modifier, another resource than a List, or a functional list that is not kept.
    """
    if modifier:
        raise unsupported(f"{CODE}:{modifier}", "takes no modifier.")
    values = [unescape(text) for text in texts]
    ids = tuple(_id(value, reading.fhir_base) for value in values if not value.startswith("$"))
    found: list[Criterion] = []
    if ids:
        lists = LogicalId(ids, tuple(reference_key("List", each) for each in ids))
        found.append(Has("List", (LISTED,), lists))
    for value in values:
        if value.startswith("$"):
            found += _current(value, types, make)
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def _id(value: str, fhir_base: str) -> str:
    if "/" not in value:
        return value
    named = parse_reference(value, fhir_base)
    if named.type != "List" or not named.id or named.version:
        raise invalid(CODE, "is the id of a List of this server, or the name of a functional list.")
    return named.id


def _current(name: str, types: tuple[str, ...], make: Make) -> Iterator[Criterion]:
    if name not in _CURRENT:
        raise unsupported(
            CODE, f"names the functional list {shown(name)}, which is not kept here. Supported: {', '.join(_CURRENT)}."
        )
    for kind, searches in _CURRENT[name].items():
        if not types or kind in types:
            made = (make((kind,), code, value) for code, value in searches)
            yield AllOf((OfType(kind), *(each for each in made if each is not None)))


@dataclass(frozen=True, slots=True)
class OfType:
    """The resource is of a type: what has not a value, whatever its type is, is not enough for a list."""

    type: str
    rank: int = 9

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:  # noqa: ARG002
        """Return the condition on a readable row."""
        return row.c.type == type_key(self.type)
