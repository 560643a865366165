"""Which index shape serves which type of search parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from sqlalchemy import ColumnElement, FromClause

from fhir_server.search import date, near, quantity, reference, string, token, uri
from fhir_server.search.model import Match, Reading
from fhir_server.spec.definitions import Component, Definitions, SearchParameter


class Shape(Protocol):
    """The faces of a stored shape; a module of this room is one."""

    @property
    def TABLE(self) -> str:  # noqa: N802 - a constant of the module
        """Return the name of the index table."""
        ...

    @property
    def MODIFIERS(self) -> frozenset[str]:  # noqa: N802 - a constant of the module
        """Return the modifiers beside `missing`; "" is none."""
        ...

    @property
    def VALUES_LIMIT(self) -> int:  # noqa: N802 - a constant of the module
        """Return how many alternatives one parameter may list."""
        ...

    @property
    def write(self) -> Write:
        """Return the write face: columns of the index rows of one node."""
        ...

    @property
    def read(self) -> Read:
        """Return the read face: what the values of a query ask of an index row."""
        ...

    def sort_columns(self, index: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """Return what ascending and descending order compare."""
        ...


class Write(Protocol):
    """The write face of a shape."""

    def __call__(
        self, kind: str, value: Any, parameter: SearchParameter, reading: Reading, /
    ) -> Iterable[tuple[Any, ...]]:
        """Return the columns of the rows of one node, in the order of the table."""
        ...


class Read(Protocol):
    """The read face of a shape."""

    def __call__(self, parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading, /) -> Match:
        """Understand a list of alternatives, or raise a `FhirError` 400."""
        ...


SHAPES: Mapping[str, Shape] = {
    "token": token,
    "string": string,
    "date": date,
    "number": quantity,
    "quantity": quantity,
    "special": near,
    "reference": reference,
    "uri": uri,
}


def component_parameter(definitions: Definitions, composite: SearchParameter, component: Component) -> SearchParameter:
    """Return the parameter that says how to compare one part of a composite."""
    own = definitions.search_parameters(composite.resource_type).get(component.code)
    if own is not None and own.url == component.definition:
        return own
    return replace(
        composite, code=component.code, type=component.type, expression="", components=(), targets=(), system=None
    )
