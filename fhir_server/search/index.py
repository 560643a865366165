"""The write face of search: the index rows and hot columns of a resource.

Comes in: a validated resource. Goes out: rows by table, each with the columns of its shape. Nothing here knows a
parameter by name but `_HOT_CODES`, `_HOT_DATES` and `_HOT_QUANTITY`, which say which one fills the hot columns. Rows of
tokens carry the clinical time too, so that a search by code finds the newest first (`search.walk`), and what was
measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from fhir_server.search import contained, keys, lists, reference, string, token, uri, words
from fhir_server.search.model import Reading
from fhir_server.search.shapes import SHAPES, Shape, component_parameter
from fhir_server.spec.definitions import Definitions, SearchParameter
from fhir_server.spec.extract import composite_nodes, nodes
from fhir_server.spec.gather import Node
from fhir_server.spec.paths import Field, Path, parse
from fhir_server.spec.routes import Key
from fhir_server.store.index_rows import NO_DATE
from fhir_server.store.keys import NONE

_HOT_CODES = ("code", "vaccine-code", "type", "service-type", "class", "category")
_HOT_DATES = (
    "date",
    "onset-date",
    "authoredon",
    "effective-time",
    "authored-on",
    "authored",
    "period",
    "created",
    "issued",
)
_HOT_QUANTITY = "value-quantity"
ON_THE_ROW = frozenset({"_id", "_lastUpdated"})
"""Parameters that columns of the resource row answer."""

Valued = Sequence[tuple[SearchParameter, list[Node]]]
Composites = Sequence[tuple[SearchParameter, list[list[list[Node]]]]]


class Add(Protocol):
    """Takes an index row of whichever resource."""

    def __call__(self, table: str, param: int, columns: tuple[Any, ...], item: int = 0, /) -> None:
        """Add a row: table, parameter, the columns that its value fills, and the occurrence of a composite."""


_BUNDLE = "Bundle"
_CANONICAL_URL, _CANONICAL_VERSION = "url", "version"
_OCCURRENCES_LIMIT = 1_000


class Hot(NamedTuple):
    """Hot columns of a resource row.

    Attributes:
        code: Key of its one code, `keys.SEVERAL`, or 0.
        date_lo, date_hi: Clinical time [lo, hi) in microseconds, None where it has none.
    """

    code: int
    date_lo: int | None
    date_hi: int | None


class Derivation(NamedTuple):
    """What a resource is found by.

    Attributes:
        hot: Hot columns of its row.
        rows: Index rows by table name, columns in the order of the table (`many_rows.Rows`); none is twice.
    """

    hot: Hot
    rows: dict[str, list[tuple[Any, ...]]]


class _Way(NamedTuple):
    """How nodes of a parameter, or of a part of a composite, become rows.

    Attributes:
        param: Key of the rows.
        parameter: What says how they are compared.
        shape: What writes them.
        kind: What the columns depend on beside the node: ways of one kind write the same.
    """

    param: int
    parameter: SearchParameter
    shape: Shape
    kind: Hashable


class _Plan(NamedTuple):
    """What is the same for all resources of a type, so that it is found out once.

    Attributes:
        ways: By the key of each parameter that has rows.
        parts: By the key of each composite, the ways of its parts.
        code, date: The codes of the parameters that fill the hot columns, "" for none.
        quantity: Key of the parameter whose number the rows of tokens say, 0 for none.
    """

    ways: Mapping[int, _Way]
    parts: Mapping[int, Sequence[_Way]]
    code: str
    date: str
    quantity: int


class _Writing(NamedTuple):
    """What one resource is written with.

    Attributes:
        reading: What a shape needs.
        known: By kind of way, datatype and identity of the node what was written of it: a code or quantity is a value
            of several parameters. INVARIANT: nodes live as long as this, or another may have the identity.
    """

    reading: Reading
    known: dict[tuple[Hashable, str, int], Sequence[tuple[Any, ...]]]

    def columns(self, way: _Way, kind: str, value: Any) -> Sequence[tuple[Any, ...]]:
        """Return the columns of the rows of one node."""
        name = (way.kind, kind, id(value))
        found = self.known.get(name)
        if found is None:
            found = self.known[name] = tuple(way.shape.write(kind, value, way.parameter, self.reading))
        return found


def derive(definitions: Definitions, resource: dict[str, Any], *, key: int, patient: int, fhir_base: str) -> Derivation:
    """Return the hot columns and index rows of a resource.

    Args:
        definitions: R4 definitions.
        resource: A validated resource with its id.
        key: Its `reference_key`.
        patient: Key of the first patient it belongs to, 0 for none.
        fhir_base: Service base URL without trailing slash; makes absolute references of this server local.
    """
    resource_type = resource["resourceType"]
    plan, writing = _plan(definitions, resource_type), _Writing(Reading(definitions, fhir_base, now_us=0), {})
    valued, composites = nodes(definitions, resource), composite_nodes(definitions, resource)
    hot = _hot(plan, valued, writing)
    # What rows of tokens say beside the code.
    when, number = NO_DATE if hot.date_lo is None else hot.date_lo, _value(plan, valued, writing)
    found: dict[str, dict[tuple[Any, ...], None]] = defaultdict(dict)

    def add(table: str, param: int, columns: tuple[Any, ...], item: int = 0) -> None:
        if table == token.TABLE:
            found[table][(key, param, patient, item, *columns, when, number)] = None
        else:
            found[table][(key, param, patient, item, *columns)] = None

    _add_simple(plan, valued, writing, add)
    _add_composites(plan, composites, writing, add)
    if resource_type == "List":
        for listed in lists.rows(resource, writing.reading):
            add(reference.TABLE, lists.LISTED, listed)
    if "contained" in resource or resource_type == _BUNDLE:
        for table, param, item, columns in contained.rows(resource, partial(_rows_of_one, writing.reading)):
            add(table, param, columns, item)
    for param, text in words.rows(definitions, resource):
        add(words.TABLE, param, text)
    return Derivation(hot, {table: list(unique) for table, unique in found.items()})


def _rows_of_one(reading: Reading, resource: dict[str, Any]) -> list[tuple[str, int, tuple[Any, ...]]]:
    """Return table, parameter and columns of the rows that a contained resource would have on its own."""
    plan, valued = _plan(reading.definitions, resource["resourceType"]), nodes(reading.definitions, resource)
    found: list[tuple[str, int, tuple[Any, ...]]] = []

    def add(table: str, param: int, columns: tuple[Any, ...], _item: int = 0) -> None:
        found.append((table, param, columns))

    _add_simple(plan, valued, _Writing(reading, {}), add)
    return found


def _plan(definitions: Definitions, resource_type: str) -> _Plan:
    known: _Plan | None = definitions.compiled.get(("index", resource_type))
    return known or definitions.compiled.setdefault(("index", resource_type), _planned(definitions, resource_type))


def _planned(definitions: Definitions, resource_type: str) -> _Plan:
    parameters = definitions.search_parameters(resource_type).values()
    parts: dict[int, list[_Way]] = {}
    for composite in parameters:
        for position, component in enumerate(composite.components):
            parameter = component_parameter(definitions, composite, component)
            way = _way(definitions, keys.of(composite, keys.part(position)), parameter)
            parts.setdefault(composite.key, []).append(way)
    return _Plan(
        ways={
            each.key: _way(definitions, each.key, each)
            for each in parameters
            if each.type in SHAPES and each.code not in ON_THE_ROW
        },
        parts=parts,
        code=hot_code(definitions, resource_type),
        date=hot_date(definitions, resource_type),
        quantity=next((each.key for each in parameters if is_hot_quantity(each)), NONE),
    )


def _way(definitions: Definitions, param: int, parameter: SearchParameter) -> _Way:
    shape = SHAPES[parameter.type]
    kind: Hashable = shape.TABLE
    if shape.TABLE == token.TABLE:
        kind = (shape.TABLE, token.case_matters(definitions, parameter), parameter.system)
    return _Way(param, parameter, shape, kind)


def _add_simple(plan: _Plan, valued: Valued, writing: _Writing, add: Add) -> None:
    for parameter, values in valued:
        way = plan.ways.get(parameter.key)
        if way is None:
            continue
        table = way.shape.TABLE
        for kind, value in values:
            for columns in writing.columns(way, kind, value):
                add(table, way.param, columns)
        if table == token.TABLE:
            _add_beside_tokens(parameter, values, add)
        elif table == reference.TABLE:
            _add_beside_references(parameter, values, writing.reading, add)
        elif table == uri.TABLE and parameter.code == _CANONICAL_URL:
            _add_canonical(parameter, values, valued, writing.reading, add)
        elif table == string.TABLE and string.has_later(parameter):
            # The later parts of a family name.
            for _, value in values:
                for columns in string.write_later(value):
                    add(table, keys.of(parameter, keys.LATER), columns)


def _add_composites(plan: _Plan, found: Composites, writing: _Writing, add: Add) -> None:
    for composite, occurrences in found:
        for item, occurrence in enumerate(occurrences[:_OCCURRENCES_LIMIT], start=1):
            for way, values in zip(plan.parts[composite.key], occurrence, strict=True):
                for kind, value in values:
                    for columns in writing.columns(way, kind, value):
                        add(way.shape.TABLE, way.param, columns, item)


def _add_canonical(
    parameter: SearchParameter, values: Iterable[Node], valued: Valued, reading: Reading, add: Add
) -> None:
    """Add the rows by which references find a resource with a canonical URL, and it is found with its version."""
    version = next((found[0][1] for each, found in valued if each.code == _CANONICAL_VERSION), None)
    for kind, value in values:
        add(reference.TABLE, keys.CANONICAL, reference.write_canonical(value, version, parameter.resource_type))
        if version:
            for columns in uri.write(kind, f"{value}|{version}", parameter, reading):
                add(uri.TABLE, parameter.key, columns)


def _add_beside_tokens(parameter: SearchParameter, values: Iterable[Node], add: Add) -> None:
    """Add the rows beside tokens: texts, types of identifiers, MIME types without their parameters."""
    for kind, value in values:
        for text in token.texts(kind, value):
            add(string.TABLE, parameter.key, string.row(text))
        for columns in token.write_beside(kind, value):
            add(token.TABLE, keys.of(parameter, keys.OF_TYPE), columns)
        if parameter.system == token.MIME:
            for columns in token.write_mime(kind, value):
                add(token.TABLE, keys.of(parameter, keys.BELOW), columns)


def _add_beside_references(parameter: SearchParameter, values: Iterable[Node], reading: Reading, add: Add) -> None:
    """Add the rows beside references: identifiers, and versions of canonicals."""
    for kind, value in values:
        if kind == "Reference":
            if identifier := value.get("identifier"):
                for columns in token.write("Identifier", identifier, parameter, reading):
                    add(token.TABLE, parameter.key, columns)
        elif isinstance(value, str):
            for its in reference.write_versions(value, reading):
                add(reference.TABLE, keys.of(parameter, keys.BELOW), its)


def _hot(plan: _Plan, valued: Valued, writing: _Writing) -> Hot:
    code, interval = NONE, None
    for parameter, values in valued:
        if parameter.code == plan.date:
            way = plan.ways[parameter.key]
            interval = next((each for kind, value in values for each in writing.columns(way, kind, value)), None)
        if parameter.code == plan.code:
            way = plan.ways[parameter.key]
            codes = {each[0] for kind, value in values for each in writing.columns(way, kind, value)} - {NONE}
            code = keys.SEVERAL if len(codes) > 1 else next(iter(codes), NONE)
    return Hot(code, *(interval or (None, None)))


def _value(plan: _Plan, valued: Valued, writing: _Writing) -> float | None:
    """Return the one number that a resource has for the hot quantity, None where it has another, several or a range."""
    for parameter, values in valued:
        if parameter.key == plan.quantity:
            way = plan.ways[parameter.key]
            found = [each for kind, value in values for each in writing.columns(way, kind, value)]
            return found[0][0] if len(found) == 1 and found[0][0] == found[0][1] else None
    return None


def is_hot_quantity(parameter: SearchParameter) -> bool:
    """Return whether rows of tokens say the number that a resource has for this parameter, where it is one."""
    return parameter.code == _HOT_QUANTITY and parameter.type == "quantity"


def hot_code(definitions: Definitions, resource_type: str) -> str:
    """Return the code of the token parameter whose value the hot column `code` holds, "" for none."""
    known = definitions.search_parameters(resource_type)
    return next((code for code in _HOT_CODES if code in known and known[code].type == "token"), "")


def hot_date(definitions: Definitions, resource_type: str) -> str:
    """Return the code of the date parameter whose interval the hot date columns hold, "" for none.

    INVARIANT: only a parameter with at most one value, so that a condition on the columns equals one on the index rows.
    """
    known = definitions.search_parameters(resource_type)
    for code in _HOT_DATES:
        if code in known and known[code].type == "date" and _is_single(definitions, known[code]):
            return code
    return ""


def _is_single(definitions: Definitions, parameter: SearchParameter) -> bool:
    known = _single.get((parameter.resource_type, parameter.expression))
    if known is None:
        routes = definitions.routes(parameter.resource_type, parameter.expression)
        many = any(isinstance(step, Key) and step.many for route in routes for step in route.steps)
        elements = {
            tuple(step.name for step in path.steps if isinstance(step, Field))
            for path in parse(parameter.expression)
            if isinstance(path, Path) and definitions.is_a(parameter.resource_type, path.head)
        }
        known = not many and len(elements) == 1
        _single[parameter.resource_type, parameter.expression] = known
    return known


_single: dict[tuple[str, str], bool] = {}
