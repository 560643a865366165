"""Resources made from the definitions alone, with a value in every element: for what no official example has."""

from __future__ import annotations

import re
from typing import Any

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.elements import PRIMITIVES, Child

Json = dict[str, Any]

_DEEPEST = 6
_LEFT_OUT = frozenset({"id", "contained", "text", "implicitRules", "modifierExtension"})
_EXTENSION = re.compile(r"(?:extension|hasExtension)\('([^']+)'\)")
_VALUES: dict[str, tuple[Any, ...]] = {
    "boolean": (True, False),
    "integer": (1, 0),
    "positiveInt": (1, 2),
    "unsignedInt": (0, 3),
    "decimal": (1.5, 0),
    "date": ("2020-02-29", "1999"),
    "dateTime": ("2020-02-29T10:00:00Z", "2019-05"),
    "instant": ("2020-02-29T10:00:00.123Z", "2021-01-01T00:00:00+01:00"),
    "time": ("10:00:00", "23:59:59"),
    "base64Binary": ("YQ==", "Yg=="),
    "xhtml": ('<div xmlns="http://www.w3.org/1999/xhtml">a</div>',),
}


def fill(definitions: Definitions, resource_type: str, variant: int) -> Json:
    """Return a resource of a type; variants differ in the types of choices, in values and in how many there are."""
    resource: Json = {"resourceType": resource_type, "id": f"x{variant}"}
    resource |= _object(definitions, resource_type, variant, (resource_type,))
    expressions = " ".join(each.expression for each in definitions.search_parameters(resource_type).values())
    if extensions := [{"url": url, "valueString": f"of {url}"} for url in sorted(set(_EXTENSION.findall(expressions)))]:
        resource["extension"] = extensions
        for item in resource.get("item", ()):
            item["extension"] = extensions
    return resource


def _object(definitions: Definitions, context: str, variant: int, within: tuple[str, ...]) -> Json:
    made: Json = {}
    for name, children in definitions.fields(context).items():
        if name in _LEFT_OUT or name == "extension":
            continue
        child = children[(variant + len(within)) % len(children)]
        count = 2 if child.element.many and (variant + len(made)) % 2 else 1
        values = [_value(definitions, child, variant + number, within) for number in range(count)]
        if values[0] is not None:
            made[child.json_name] = values if child.element.many else values[0]
    return made


def _value(definitions: Definitions, child: Child, variant: int, within: tuple[str, ...]) -> Any:
    if child.type in PRIMITIVES:
        values = _VALUES.get(child.type, (f"{child.type}-a", f"{child.type}-b"))
        if child.type == "code" and child.element.binding:
            values = tuple(sorted(definitions.value_set(child.element.binding) or values))
        return values[variant % len(values)]
    if child.type == "Reference":
        target = sorted(child.targets or ("Patient", "Device"))[variant % max(1, len(child.targets) or 2)]
        return {"reference": f"{'Patient' if target == 'Resource' else target}/r{variant}"}
    if child.type == "Resource":
        return {"resourceType": "Basic", "id": f"b{variant}", "code": {"text": "x"}}
    if child.context in within or len(within) >= _DEEPEST:
        return None
    return _object(definitions, child.context, variant, (*within, child.context)) or None
