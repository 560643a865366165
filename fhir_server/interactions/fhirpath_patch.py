"""FHIRPath Patch: a Parameters resource of operations on elements (https://hl7.org/fhir/R4/fhirpatch.html).

add, insert, delete, replace and move, one after the other, on a copy. Whether the result is a valid resource is decided
where it is stored, as for any update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from fhir_server.interactions.element_paths import TWIN, Field, Node, Step, Walker, parse
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.elements import PRIMITIVES, Child
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.spec.validate import validate

Json = dict[str, Any]

_OPERATIONS = 500
_TYPES = ("add", "insert", "delete", "replace", "move")
_PARTS = {
    "add": {"path", "name", "value"},
    "insert": {"path", "index", "value"},
    "delete": {"path"},
    "replace": {"path", "value"},
    "move": {"path", "source", "destination"},
}


def apply(definitions: Definitions, resource: Mapping[str, Any], parameters: Mapping[str, Any]) -> Json:
    """Return the patched resource; the given one is not changed.

    Args:
        definitions: For the elements that types have.
        resource: The current version.
        parameters: The Parameters resource that was sent.

    Raises:
        FhirError: 400 for Parameters that are no patch or a path beyond what is supported, 422 for an operation that
            cannot be applied; each names the operation.
    """
    if parameters.get("resourceType") != "Parameters":
        raise FhirError(Kind.MALFORMED, "A FHIRPath Patch is a Parameters resource", ("resourceType",))
    validate(definitions, dict(parameters))
    operations = parameters.get("parameter", ())
    if len(operations) > _OPERATIONS:
        raise FhirError(Kind.INVALID_VALUE, f"A patch has at most {_OPERATIONS} operations", ("Parameters.parameter",))
    result = deepcopy(dict(resource))
    patching = _Patching(result, Walker(definitions), definitions)
    for index, parameter in enumerate(operations):
        try:
            patching.run(parameter)
        except FhirError as error:
            where = f"Parameters.parameter[{index}]"
            issues = tuple(Issue(each.severity, each.code, each.diagnostics, (where,)) for each in error.issues)
            raise FhirError(error.kind, error.diagnostics, issues=issues) from error
    return result


@dataclass(frozen=True, slots=True)
class _Value:
    """The `value` part: a value with its type, or parts that make up an inline structure (type "")."""

    type: str
    json: Any
    extra: Any
    parts: Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class _Patching:
    """A resource being patched, in place."""

    resource: Json
    walker: Walker
    definitions: Definitions

    def run(self, parameter: Mapping[str, Any]) -> None:
        """Apply one operation."""
        if parameter.get("name") != "operation":
            raise FhirError(Kind.INVALID_VALUE, "Each parameter of a FHIRPath Patch is named 'operation'")
        parts = _parts(parameter)
        kind = _text(parts, "type")
        if kind not in _TYPES:
            raise FhirError(Kind.INVALID_VALUE, f"The type of an operation is one of {', '.join(_TYPES)}")
        given = parts.keys() - {"type"}
        if given != _PARTS[kind]:
            raise FhirError(Kind.INVALID_VALUE, f"'{kind}' takes the parts {', '.join(sorted(_PARTS[kind]))}")
        kind_of = str(self.resource.get("resourceType"))
        steps = parse(_text(parts, "path"), kind_of)
        match kind:
            case "add":
                self._add(steps, _text(parts, "name"), _value(parts["value"]))
            case "insert":
                self._insert(steps, _number(parts, "index"), _value(parts["value"]))
            case "delete":
                self._delete(steps)
            case "replace":
                self._replace(steps, _value(parts["value"]))
            case _:
                self._move(steps, _number(parts, "source"), _number(parts, "destination"))

    def _add(self, steps: tuple[Step, ...], name: str, value: _Value) -> None:
        node = self.walker.opened(self._one(steps))
        child = self._child(node, name, value)
        present = [each for each in self.walker.fields(node, name) if _has(node.value, each.json_name)]
        if child.element.many:
            self._put(node.value, child, len(node.value.get(child.json_name, ())), value)
        elif present:
            raise FhirError(Kind.INVALID_CONTENT, f"'{name[:64]}' is there already and cannot repeat; use replace")
        else:
            _set(node.value, child.json_name, self._built(child, value), value.extra)

    def _insert(self, steps: tuple[Step, ...], index: int, value: _Value) -> None:
        holder, child = self._list(steps, value)
        if index > len(holder.get(child.json_name, ())):
            raise FhirError(Kind.INVALID_CONTENT, "The index is beyond the end of the list")
        self._put(holder, child, index, value)

    def _delete(self, steps: tuple[Step, ...]) -> None:
        found = self._found(steps)
        if len(found) > 1:
            raise _ambiguous()
        for node in found:
            if node.holder is None or node.child is None:
                raise FhirError(Kind.INVALID_CONTENT, "The resource itself is deleted with DELETE")
            if node.index is None:
                node.holder.pop(node.child.json_name, None)
                node.holder.pop(f"_{node.child.json_name}", None)
            else:
                for name in (node.child.json_name, f"_{node.child.json_name}"):
                    _taken(node.holder, name, node.index)
            if node.among == TWIN and not node.holder:
                _drop(self.resource, node.holder)

    def _replace(self, steps: tuple[Step, ...], value: _Value) -> None:
        node = self._one(steps)
        if node.holder is None or node.child is None:
            raise FhirError(Kind.INVALID_CONTENT, "The resource itself is replaced with PUT")
        parent = Node(node.holder, node.among)
        child = _of_type(self.walker.fields(parent, node.child.element.name), value)
        built = self._built(child, value)
        if node.index is not None:
            node.holder[child.json_name][node.index] = built
            _place_extra(node.holder, child.json_name, node.index, value.extra)
            return
        if child.json_name != node.child.json_name:
            node.holder.pop(node.child.json_name, None)
            node.holder.pop(f"_{node.child.json_name}", None)
        node.holder.pop(f"_{child.json_name}", None)
        _set(node.holder, child.json_name, built, value.extra)

    def _move(self, steps: tuple[Step, ...], source: int, destination: int) -> None:
        holder, child = self._list(steps, None)
        length = len(holder.get(child.json_name, ()))
        if source >= length or destination >= length:
            raise FhirError(Kind.INVALID_CONTENT, "source and destination must be indexes of the list")
        for name in (child.json_name, f"_{child.json_name}"):
            items = holder.get(name)
            if type(items) is list:
                items += [None] * (length - len(items))
                items.insert(destination, items.pop(source))

    def _found(self, steps: tuple[Step, ...]) -> list[Node]:
        return self.walker.find(Node(self.resource, str(self.resource["resourceType"])), steps)

    def _one(self, steps: tuple[Step, ...]) -> Node:
        found = self._found(steps)
        if not found:
            raise FhirError(Kind.INVALID_CONTENT, "The path leads to no element of the current version")
        if len(found) > 1:
            raise _ambiguous()
        return found[0]

    def _list(self, steps: tuple[Step, ...], value: _Value | None) -> tuple[Json, Child]:
        """Return the object that holds the list which the path names, and what the list consists of."""
        if not steps or not isinstance(steps[-1], Field):
            raise FhirError(Kind.INVALID_CONTENT, "The path must end in the name of an element that repeats")
        node, name = self.walker.opened(self._one(steps[:-1])), steps[-1].name
        child = self._child(node, name, value) if value else self.walker.fields(node, name)[0]
        if not child.element.many:
            raise FhirError(Kind.INVALID_CONTENT, f"'{name[:64]}' does not repeat")
        return node.value, child

    def _child(self, node: Node, name: str, value: _Value) -> Child:
        return _of_type(self.walker.fields(node, name), value)

    def _put(self, holder: Json, child: Child, index: int, value: _Value) -> None:
        items = holder.setdefault(child.json_name, [])
        items.insert(index, self._built(child, value))
        extras = holder.get(f"_{child.json_name}")
        if type(extras) is list and index < len(extras):
            extras.insert(index, None)
        _place_extra(holder, child.json_name, index, value.extra)

    def _built(self, child: Child, value: _Value) -> Any:
        """Return the JSON of a value: as it was sent, or put together of parts."""
        if not value.parts:
            return deepcopy(value.json)
        built: Json = {}
        node = Node(built, child.context)
        for part in value.parts:
            name, inner = str(part.get("name")), _value(part)
            below = _of_type(self.walker.fields(node, name), inner)
            if below.element.many:
                self._put(built, below, len(built.get(below.json_name, ())), inner)
            elif _has(built, below.json_name):
                raise FhirError(Kind.INVALID_CONTENT, f"'{name[:64]}' cannot repeat")
            else:
                _set(built, below.json_name, self._built(below, inner), inner.extra)
        return built


def _parts(parameter: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for part in parameter.get("part", ()):
        name = str(part.get("name"))
        if name in found:
            raise FhirError(Kind.INVALID_VALUE, f"The part '{name[:64]}' is given twice")
        found[name] = part
    return found


def _text(parts: Mapping[str, Mapping[str, Any]], name: str) -> str:
    part = parts.get(name, {})
    text = part.get("valueString", part.get("valueCode"))
    if type(text) is not str:
        raise FhirError(Kind.INVALID_VALUE, f"An operation needs the part '{name}' as a string")
    return text


def _number(parts: Mapping[str, Mapping[str, Any]], name: str) -> int:
    number = parts[name].get("valueInteger")
    if type(number) is not int or number < 0:
        raise FhirError(Kind.INVALID_VALUE, f"The part '{name}' is an integer from 0")
    return number


def _value(part: Mapping[str, Any]) -> _Value:
    inner = part.get("part", ())
    names = [name for name in part if name.removeprefix("_").startswith("value")]
    if inner and not names:
        return _Value("", None, None, inner)
    if not names or "resource" in part:
        raise FhirError(Kind.INVALID_VALUE, f"The part '{str(part.get('name'))[:64]}' needs a value[x] or parts")
    name = names[0].removeprefix("_")
    return _Value(name.removeprefix("value"), part.get(name), part.get(f"_{name}"), ())


def _of_type(children: Sequence[Child], value: _Value) -> Child:
    """Return the child that takes a value of this type.

    A string may be given for any primitive that JSON writes as a string: what is stored is validated as what it is.
    """
    if len(children) == 1 and not children[0].element.choice:
        child = children[0]
        inline = child.type in {"BackboneElement", "Element"}
        alike = child.type.lower() == value.type.lower() or (child.type in PRIMITIVES and _is_primitive(value.type))
        if alike or (bool(value.parts) and (inline or child.type not in PRIMITIVES)):
            return child
        said = "parts" if inline else child.type
        raise FhirError(Kind.INVALID_CONTENT, f"'{child.element.name}' takes {said}, not {value.type[:64] or 'parts'}")
    for child in children:
        if child.type.lower() == value.type.lower():
            return child
    allowed = ", ".join(sorted({child.type for child in children}))
    raise FhirError(Kind.INVALID_CONTENT, f"'{children[0].element.name}' takes one of {allowed}")


def _is_primitive(name: str) -> bool:
    return bool(name) and name[0].lower() + name[1:] in PRIMITIVES


def _has(holder: Json, name: str) -> bool:
    return name in holder or f"_{name}" in holder


def _set(holder: Json, name: str, value: Any, extra: Any) -> None:
    if value is not None:
        holder[name] = value
    else:
        holder.pop(name, None)
    if extra is not None:
        holder[f"_{name}"] = deepcopy(extra)


def _taken(holder: Json, name: str, index: int) -> None:
    """Take an item out of an array; an array that has nothing left is no member."""
    items = holder.get(name)
    if type(items) is not list:
        return
    del items[index : index + 1]
    if not any(item is not None for item in items):
        del holder[name]


def _drop(value: Any, empty: Json) -> None:
    """Take away what a primitive has beside its value when nothing is left of it."""
    if type(value) is list:
        for index, item in enumerate(value):
            if item is empty:
                value[index] = None
            else:
                _drop(item, empty)
    elif type(value) is dict:
        for name, item in tuple(value.items()):
            _drop(item, empty)
            if item is empty or (name[0] == "_" and type(item) is list and item.count(None) == len(item)):
                del value[name]


def _place_extra(holder: Json, name: str, index: int, extra: Any) -> None:
    """Keep `id` and extensions of a primitive beside it, in an array of the same order."""
    extras = holder.get(f"_{name}")
    if extra is None:
        if type(extras) is list and index < len(extras):
            extras[index] = None
            if not any(item is not None for item in extras):
                del holder[f"_{name}"]
        return
    extras = extras if type(extras) is list else []
    extras += [None] * (len(holder[name]) - len(extras))
    extras[index] = deepcopy(extra)
    holder[f"_{name}"] = extras


def _ambiguous() -> FhirError:
    return FhirError(Kind.INVALID_CONTENT, "The path leads to more than one element; name one")
