"""The write face of search: the index rows and hot columns of a resource.

Comes in: a validated resource. Goes out: rows by table, each with the columns of its shape. Nothing here knows a
parameter by name but `_HOT_CODES`, `_HOT_DATES` and `_HOT_QUANTITY`, which say which one fills the hot columns. Rows of
tokens carry the clinical time too, so that a search by code finds the newest first (`search.walk`), and what was
measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_server.search import contained, date, keys, lists, quantity, reference, string, token, uri, words
from fhir_server.search.model import Reading
from fhir_server.search.shapes import SHAPES, component_parameter
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

_WITH_ROWS_BESIDE = frozenset({"token", "reference"})
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
        rows: Index rows by table name; every row of a table has the same columns, none is twice.
    """

    hot: Hot
    rows: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Owner:
    key: int
    patient: int
    date: int
    value: float | None

    def row(self, table: str, param: int, columns: Mapping[str, Any], item: int = 0) -> dict[str, Any]:
        row = {"key": self.key, "param": param, "patient": self.patient, "item": item, **columns}
        if table == token.TABLE:
            row |= {"date": self.date, "value": self.value}
        return row


def derive(definitions: Definitions, resource: dict[str, Any], *, key: int, patient: int, fhir_base: str) -> Derivation:
    """Return the hot columns and index rows of a resource.

    Args:
        definitions: R4 definitions.
        resource: A validated resource with its id.
        key: Its `reference_key`.
        patient: Key of the first patient it belongs to, 0 for none.
        fhir_base: Service base URL without trailing slash; makes absolute references of this server local.
    """
    reading = Reading(definitions, fhir_base, now_us=0)
    valued = nodes(definitions, resource)
    hot = _hot(reading, resource["resourceType"], valued)
    owner = _Owner(key, patient, NO_DATE if hot.date_lo is None else hot.date_lo, _value(valued, reading))
    found: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = defaultdict(dict)
    for table, row in (*_simple(valued, owner, reading), *_composites(resource, owner, reading)):
        found[table].setdefault(tuple(row.values()), row)
    if resource["resourceType"] == "List":
        for columns in lists.rows(resource, reading):
            row = owner.row(reference.TABLE, lists.LISTED, columns)
            found[reference.TABLE].setdefault(tuple(row.values()), row)
    if "contained" in resource or resource["resourceType"] == _BUNDLE:

        def of_one(inside: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
            return _simple(nodes(definitions, inside), owner, reading)

        for table, row in contained.rows(resource, of_one, owner.row(token.TABLE, 0, {})):
            found[table].setdefault(tuple(row.values()), row)
    for param, columns in words.rows(definitions, resource):
        row = owner.row(words.TABLE, param, columns)
        found[words.TABLE].setdefault(tuple(row.values()), row)
    return Derivation(hot, {table: list(unique.values()) for table, unique in found.items()})


def _simple(valued: Valued, owner: _Owner, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    for parameter, values in valued:
        if parameter.code in ON_THE_ROW or parameter.type not in SHAPES:
            continue
        shape = SHAPES[parameter.type]
        for kind, value in values:
            for columns in shape.write(kind, value, parameter, reading):
                yield shape.TABLE, owner.row(shape.TABLE, parameter.key, columns)
            if parameter.code == _CANONICAL_URL and parameter.type == "uri":
                version = next((found[0][1] for each, found in valued if each.code == _CANONICAL_VERSION), None)
                columns = reference.write_canonical(value, version, parameter.resource_type)
                yield reference.TABLE, owner.row(reference.TABLE, keys.CANONICAL, columns)
                if version:
                    for columns in uri.write(kind, f"{value}|{version}", parameter, reading):
                        yield uri.TABLE, owner.row(uri.TABLE, parameter.key, columns)
        if parameter.type in _WITH_ROWS_BESIDE:
            yield from _beside(parameter, values, owner, reading)
        elif string.has_later(parameter):
            yield from _later(parameter, values, owner)


def _beside(
    parameter: SearchParameter, values: Iterable[Node], owner: _Owner, reading: Reading
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows beside: texts and types of tokens, identifiers and versions of references."""
    if parameter.type == "token":
        typed = keys.of(parameter, keys.OF_TYPE)
        for kind, value in values:
            for text in token.texts(kind, value):
                yield string.TABLE, owner.row(string.TABLE, parameter.key, string.row(text))
            for columns in token.write_beside(kind, value):
                yield token.TABLE, owner.row(token.TABLE, typed, columns)
            if parameter.system == token.MIME:
                for columns in token.write_mime(kind, value):
                    yield token.TABLE, owner.row(token.TABLE, keys.of(parameter, keys.BELOW), columns)
    elif parameter.type == "reference":
        for kind, value in values:
            if kind != "Reference" or value.get("identifier"):
                yield from _beside_reference(parameter, kind, value, owner, reading)


def _later(parameter: SearchParameter, values: Iterable[Node], owner: _Owner) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows by which the later parts of a family name are found."""
    for _, value in values:
        for columns in string.write_later(value):
            yield string.TABLE, owner.row(string.TABLE, keys.of(parameter, keys.LATER), columns)


def _beside_reference(
    parameter: SearchParameter, kind: str, value: Any, owner: _Owner, reading: Reading
) -> Iterator[tuple[str, dict[str, Any]]]:
    if kind == "Reference":
        for columns in token.write("Identifier", value["identifier"], parameter, reading):
            yield token.TABLE, owner.row(token.TABLE, parameter.key, columns)
    elif isinstance(value, str):
        for columns in reference.write_versions(value, reading):
            yield reference.TABLE, owner.row(reference.TABLE, keys.of(parameter, keys.BELOW), columns)


def _composites(resource: dict[str, Any], owner: _Owner, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    for parameter, occurrences in composite_nodes(reading.definitions, resource):
        parts = [component_parameter(reading.definitions, parameter, each) for each in parameter.components]
        for item, occurrence in enumerate(occurrences[:_OCCURRENCES_LIMIT], start=1):
            for position, (part, values) in enumerate(zip(parts, occurrence, strict=True)):
                shape = SHAPES[part.type]
                for kind, value in values:
                    for columns in shape.write(kind, value, part, reading):
                        yield (
                            shape.TABLE,
                            owner.row(shape.TABLE, keys.of(parameter, keys.part(position)), columns, item),
                        )


def _hot(reading: Reading, resource_type: str, valued: Valued) -> Hot:
    """Return the hot columns of a resource: which parameters fill them, `hot_code` and `hot_date` say."""
    found = {parameter.code: values for parameter, values in valued}
    interval = None
    if code := hot_date(reading.definitions, resource_type):
        interval = next((got for kind, value in found.get(code, ()) if (got := date.interval_of(kind, value))), None)
    return Hot(_hot_code(reading, resource_type, found), *(interval or (None, None)))


def _hot_code(reading: Reading, resource_type: str, found: Mapping[str, list[Node]]) -> int:
    code = hot_code(reading.definitions, resource_type)
    if not code or code not in found:
        return NONE
    parameter = reading.definitions.search_parameters(resource_type)[code]
    codes = {
        columns["code"]
        for kind, value in found.get(code, ())
        for columns in token.write(kind, value, parameter, reading)
        if columns["code"]
    }
    return keys.SEVERAL if len(codes) > 1 else next(iter(codes), NONE)


def _value(valued: Valued, reading: Reading) -> float | None:
    """Return the one number that a resource has for the hot quantity, None where it has another, several or a range."""
    found = [
        columns
        for parameter, values in valued
        if is_hot_quantity(parameter)
        for kind, value in values
        for columns in quantity.write(kind, value, parameter, reading)
    ]
    if len(found) != 1 or found[0]["lo"] != found[0]["hi"]:
        return None
    number: float = found[0]["lo"]
    return number


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
