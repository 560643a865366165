"""`_filter` as criteria: the tree of `filter_syntax` over the parameters, shapes and hops of every other search.

https://hl7.org/fhir/R4/search_filter.html. An operator is asked of the set of values that a parameter has: `ne` is an
unequal value among them, `not (… eq …)` that none is equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fhir_server.search import date, keys, string, syntax
from fhir_server.search.build import Builder
from fhir_server.search.criteria import AllOf, AnyOf, Composite, Not, Part
from fhir_server.search.filter_syntax import Junction, Negation, Node, Step, Test, parse_filter
from fhir_server.search.filter_tests import Around, Beyond, Otherwise, Whole
from fhir_server.search.index import ON_THE_ROW
from fhir_server.search.model import Criterion, Match
from fhir_server.search.on_row import LastUpdated
from fhir_server.search.shapes import component_parameter
from fhir_server.spec.definitions import SearchParameter

_PREFIXED = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_MODIFIERS = {"in": "in", "ni": "not-in", "ss": "below", "sb": "above"}
_OPERATORS: Mapping[str, Sequence[str]] = {
    "string": ("eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le"),
    "number": _PREFIXED,
    "quantity": _PREFIXED,
    "date": (*_PREFIXED, "co", "po"),
    "token": ("eq", "ne", "in", "ni", "ss", "sb"),
    "reference": ("re", "eq", "ne"),
    "uri": ("eq", "ne", "ss", "sb"),
    "composite": ("eq",),
}
_SYSTEMS = {
    "loinc": "http://loinc.org",
    "snomed": "http://snomed.info/sct",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ucum": "http://unitsofmeasure.org",
}
_SHORT_SYSTEM = re.compile(rf"(?:^|(?<=[|$]))({'|'.join(_SYSTEMS)})(?=\|)")
_GROUPED = {
    ("Group", "characteristic"): ("characteristic-value", {"code": "characteristic", "value": "value"}),
    ("DocumentReference", "relatesTo"): ("relationship", {"code": "relation", "target": "relatesto"}),
}
"""Names that only `_filter` has, of elements whose parts are parameters of their own: the composite that ties them."""


def criterion(builder: Builder, types: tuple[str, ...], text: str) -> Criterion:
    """Return the criterion of one `_filter`.

    Raises:
        FhirError: 400 that says what is not understood, or which operators a parameter has.
    """
    return _node(builder, types, parse_filter(text), 0)


def _node(builder: Builder, types: tuple[str, ...], node: Node, depth: int) -> Criterion:
    match node:
        case Test():
            return _path(builder, types, node.path, node, depth)
        case Negation(inner):
            return Not(_node(builder, types, inner, depth))
        case Junction(word, nodes):
            found = tuple(_node(builder, types, each, depth) for each in nodes)
            return AllOf(found) if word == "and" else AnyOf(found)


def _path(builder: Builder, types: tuple[str, ...], path: tuple[Step, ...], test: Test, depth: int) -> Criterion:
    step, further = path[0], path[1:]
    builder.reach(step.name, depth)
    if step.name.startswith("_has:"):
        source, parameter, rest = builder.has(types, step.name)
        inner = (Step(rest, step.inner), *further)
        return builder.referring(source, parameter, _path(builder, (source,), inner, test, depth + 1))
    if not further:
        return _leaf(builder, types, step.name, test)
    code, _, modifier = step.name.partition(":")
    if len(types) == 1 and (types[0], code) in _GROUPED:
        composite, names = _GROUPED[types[0], code]
        return _occurrence(builder, builder.parameters(types, composite), names, (step, further, test))
    parameters = builder.parameters(types, code)
    if parameters[0].type == "composite":
        return _occurrence(builder, parameters, None, (step, further, test))

    def beyond(targets: tuple[str, ...]) -> Criterion:
        found = _path(builder, targets, further, test, depth + 1)
        return AllOf((_node(builder, targets, step.inner, depth + 1), found)) if step.inner else found

    codes = dict.fromkeys((_code(further[0]), *(_codes(step.inner) if step.inner else ())))
    found = builder.chain(parameters, modifier, tuple(codes), beyond)
    assert found is not None  # noqa: S101 - None stands for an empty value, which a filter cannot have
    return found


def _code(step: Step) -> str:
    return step.name.partition(":")[0]


def _codes(node: Node) -> list[str]:
    """Return the parameters that a resource needs to have to be asked this."""
    if isinstance(node, Test):
        return [_code(node.path[0])]
    return [code for each in (node.nodes if isinstance(node, Junction) else (node.node,)) for code in _codes(each)]


def _leaf(builder: Builder, types: tuple[str, ...], name: str, test: Test) -> Criterion:
    code, _, modifier = name.partition(":")
    parameters = builder.parameters(types, code)
    first, operator = parameters[0], test.operator
    if modifier:
        raise syntax.unsupported(
            "_filter", f"takes no modifier, such as that of '{syntax.shown(name)}': use operators."
        )
    if operator == "pr":
        if test.value not in {"true", "false"}:
            raise syntax.invalid("_filter", f"has true or false after '{code} pr'.")
        return builder.missing(parameters, ["false" if test.value == "true" else "true"])
    _check(first, operator)
    if first.type == "composite":
        return builder.composite(parameters, "", [_spelled(test.value)])
    if code in ON_THE_ROW:
        return _on_the_row(builder, types, first, test)
    return builder.indexed(types, parameters, _match(builder, first, test))


def _check(parameter: SearchParameter, operator: str) -> None:
    allowed = ("eq", "ne") if parameter.code == "_id" else _OPERATORS.get(parameter.type, ())
    if operator not in allowed:
        raise syntax.unsupported(
            "_filter",
            f"has no '{operator}' for '{parameter.code}', a {parameter.type}. "
            f"Supported: {', '.join((*allowed, 'pr'))}.",
        )


def _on_the_row(builder: Builder, types: tuple[str, ...], parameter: SearchParameter, test: Test) -> Criterion:
    if parameter.code == "_id":
        return builder.on_the_row(types, parameter, "not" if test.operator == "ne" else "", [test.value])
    if test.operator == "co":
        raise syntax.unsupported("_filter", "has no 'co' for '_lastUpdated', which is an instant.")
    found = _dated(builder, parameter, test)
    assert isinstance(found, date.DateTest)  # noqa: S101 - what is left for a date
    return LastUpdated(found)


def _match(builder: Builder, parameter: SearchParameter, test: Test) -> Match:
    """Return what a row of a parameter must satisfy."""
    operator, value = test.operator, _spelled(test.value)
    if "\0" in value:
        raise syntax.invalid("_filter", "has a NUL character, which no FHIR text can have.")
    match parameter.type:
        case "string":
            return _text(parameter, operator, test.value)
        case "date" if operator in {"co", "po"}:
            return Match(date.TABLE, _dated(builder, parameter, test), rank=7)
        case "date" | "number" | "quantity":
            return builder.read(parameter, "", [operator + value])
        case _ if operator == "ne":
            found = builder.read(parameter, "", [value])
            return Match(found.table, Otherwise(found.test), found.suffix, rank=8)
        case _:
            return builder.read(parameter, _MODIFIERS.get(operator, ""), [value])


def _dated(builder: Builder, parameter: SearchParameter, test: Test) -> date.DateTest | Around:
    prefix = test.operator if test.operator in _PREFIXED else "eq"
    found = date.read(parameter, "", [prefix + test.value], builder.reading).test
    assert isinstance(found, date.DateTest)  # noqa: S101 - what this shape reads
    wanted = found.comparisons[0]
    match test.operator:
        case "po":
            # Two intervals overlap: what `ap` asks, without its margin.
            return date.DateTest((replace(wanted, prefix="ap"),))
        case "co":
            return Around(wanted.lo, wanted.hi)
        case _:
            return found


def _text(parameter: SearchParameter, operator: str, value: str) -> Match:
    folded = string.comparable(value)
    if not folded:
        raise syntax.invalid(parameter.code, "needs at least one letter, digit or sign to compare.")
    match operator:
        case "sw":
            return Match(string.TABLE, string.StartsWith.of((folded,)), rank=3)
        case "co":
            return Match(string.TABLE, string.Contains((f"%{string.literal(folded)}%",)), rank=7)
        case "ew":
            return Match(string.TABLE, string.Contains((f"%{string.literal(folded)}",)), rank=7)
        case "eq":
            return Match(string.TABLE, Whole.of(folded), rank=3)
        case "ne":
            return Match(string.TABLE, Otherwise(Whole.of(folded)), rank=8)
    if len(folded) > string.HEAD_CHARACTERS:
        raise syntax.invalid(
            "_filter", f"compares texts of at most {string.HEAD_CHARACTERS} characters by '{operator}'."
        )
    return Match(string.TABLE, Beyond(operator, folded), rank=7)


def _occurrence(
    builder: Builder,
    parameters: tuple[SearchParameter, ...],
    names: Mapping[str, str] | None,
    asked: tuple[Step, tuple[Step, ...], Test],
) -> Criterion:
    """Return that one occurrence of a composite element meets a filter and a test on its parts."""
    step, further, test = asked
    first = parameters[0]
    parts = [component_parameter(builder.reading.definitions, first, each) for each in first.components]
    tests = [*(_flat(step.inner) if step.inner else ()), replace(test, path=further)]
    held = []
    for each in tests:
        name = each.path[0].name
        code = names.get(name) if names else name
        position = next((number for number, part in enumerate(parts) if part.code == code), None)
        if position is None or len(each.path) > 1 or each.operator == "pr":
            known = ", ".join(names or [part.code for part in parts])
            raise syntax.unsupported("_filter", f"compares parts of '{step.name.partition(':')[0]}' here: {known}.")
        _check(parts[position], each.operator)
        found = _match(builder, parts[position], each)
        if found.negated:
            raise syntax.unsupported("_filter", f"has no '{each.operator}' for a part of '{step.name}'.")
        params = tuple(keys.of(parameter, keys.part(position)) for parameter in parameters)
        held.append(Part(found.table, params, found.test))
    return Composite((tuple(held),))


def _flat(node: Node) -> list[Test]:
    match node:
        case Test():
            return [node]
        case Junction("and", nodes):
            return [test for each in nodes for test in _flat(each)]
        case _:
            raise syntax.unsupported("_filter", "joins tests of the parts of one element by 'and' only.")


def _spelled(value: str) -> str:
    """Return the value with the short names of code systems spelled out."""
    return _SHORT_SYSTEM.sub(lambda found: _SYSTEMS[found[1]], value) if "|" in value else value
