"""Tell the slices of an element apart, and hold each to what the profile says of it.

https://hl7.org/fhir/R4/profiling.html#discriminator: by value, pattern, existence, type or profile of what is at a
path. A slice whose discriminator the profile does not settle takes part in nothing: none of its items is demanded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fhir_server.spec.checks import Place, reference_type
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.profile_nodes import Node
from fhir_server.spec.profile_registry import CORE
from fhir_server.spec.profile_rules import NOTHING, Discriminator, Rule
from fhir_server.spec.profile_scope import Scope
from fhir_server.spec.profile_values import Item, children_of, dig, is_like, items_of

CheckElement = Callable[[Node, Item, Scope], None]
_RESOLVE = "resolve()"
_EXTENSION = "extension("


def check_slices(node: Node, items: list[Item], place: Place, scope: Scope, check: CheckElement) -> None:
    """Put each item into its slice, and hold slices to their numbers, and items to their slice."""
    rule: Rule = node.rule
    counts = dict.fromkeys(node.slices, 0)
    settled = {name: _is_settled(rule.discriminators, each, scope) for name, each in node.slices.items()}
    order = list(node.slices)
    latest = -1
    of_none = False
    for item in items:
        name = _slice_of(node, item, settled, scope, check)
        if name is None:
            of_none = True
            if rule.closed and all(settled.values()):
                scope.refuse(item.place, "invalid", f"must be one of the slices {', '.join(order)}")
            continue
        counts[name] += 1
        if rule.open_at_end and of_none:
            scope.refuse(item.place, "invalid", "must come before what is of no slice")
        if rule.ordered and order.index(name) < latest:
            scope.refuse(item.place, "invalid", f"must come in the order {', '.join(order)}")
        latest = max(latest, order.index(name))
        _check_one(node.slices[name], item, scope, check)
    for name, each in node.slices.items():
        if settled[name]:
            _check_count(each, counts[name], place, scope)


def _check_one(node: Node, item: Item, scope: Scope, check: CheckElement) -> None:
    check(node, item, scope)
    if node.slices:
        check_slices(node, [item], item.place, scope, check)


def _check_count(node: Node, count: int, place: Place, scope: Scope) -> None:
    rule: Rule = node.rule
    if count < rule.min:
        text = f"must have at least {rule.min} of the slice {node.slice_name}"
        scope.refuse(place, "required", text)
    elif rule.max is not None and count > rule.max:
        scope.refuse(place, "invalid", f"must have at most {rule.max} of the slice {node.slice_name}")


def _slice_of(node: Node, item: Item, settled: dict[str, bool], scope: Scope, check: CheckElement) -> str | None:
    discriminators = node.rule.discriminators
    for name, each in node.slices.items():
        if not settled[name] or not all(_is_told(told, each, item, scope, check) for told in discriminators):
            continue
        if discriminators or scope.holds(partial(check, each, item)):
            return name
    return None


def _is_settled(discriminators: tuple[Discriminator, ...], node: Node, scope: Scope) -> bool:
    """Return whether the profile says enough of a slice to tell its items."""
    for kind, steps in discriminators:
        target = _node_at(node, steps, scope)
        if kind in {"value", "pattern"}:
            if _expected(node, steps, scope) is None and (target is None or not _says_something(target)):
                return False
        elif kind == "exists":
            if target is None or not (target.rule.min or target.rule.max == 0):
                return False
        elif target is None or not target.rule.types:
            return False
    return True


def _is_told(told: Discriminator, node: Node, item: Item, scope: Scope, check: CheckElement) -> bool:
    """Return whether an item is of a slice by one discriminator."""
    scope.spend()
    found = _walk(scope.definitions, item, tuple(each for each in told.steps if each != _RESOLVE))
    target = _node_at(node, told.steps, scope)
    if told.kind == "exists":
        return bool(found) is bool(target and target.rule.min)
    if told.kind in {"value", "pattern"}:
        expected = _expected(node, told.steps, scope)
        if expected is not None:
            return any(is_like(each, one.value) for each in expected for one in found)
    if target is None:
        return False
    if told.kind == "type":
        return any(_has_type(target, each, scope, resolved=_RESOLVE in told.steps) for each in found)
    return any(scope.holds(partial(check, target, each)) for each in found)


def _has_type(node: Node, item: Item, scope: Scope, *, resolved: bool) -> bool:
    name = reference_type(item.value, scope.run) if resolved else item.type
    codes = [each.code for each in node.rule.types]
    if resolved:
        codes = [url.removeprefix(CORE) for each in node.rule.types for url in each.targets]
        profiles = scope.definitions.profiles
        codes += [str(known["type"]) for each in codes if (known := profiles.find(each)) is not None]
    return any(name == code or scope.definitions.is_a(name, code) for code in codes)


def _expected(node: Node, steps: tuple[str, ...], scope: Scope) -> list[Any] | None:
    """Return what the value at a path must be (like) by what a slice fixes there or above; None for anything."""
    scope.spend()
    for exact in (node.rule.fixed, node.rule.pattern):
        if exact is not NOTHING and (found := dig(exact, steps)):
            return found
    if steps == ("url",) and (urls := [url for each in node.rule.types for url in each.profiles]):
        return [url.partition("|")[0] for url in urls]
    below = _child(node, steps[0], scope) if steps else None
    if below is None:
        return None
    if (said := _expected(below, steps[1:], scope)) is not None:
        return said
    # A slice may be known by a slice within it: of the codings of its code the one of LOINC.
    inner = [_expected(each, steps[1:], scope) for each in below.slices.values()]
    return [value for each in inner if each is not None for value in each] or None


def _node_at(node: Node, steps: tuple[str, ...], scope: Scope) -> Node | None:
    at: Node | None = node
    for step in steps:
        if step != _RESOLVE:
            at = _child(at, step, scope) if at else None
    return at


def _child(node: Node, step: str, scope: Scope) -> Node | None:
    """Return the child of a node at a step; where the profile does not speak of it, that in the profile of its type."""
    if step.startswith(_EXTENSION):
        extensions = node.children.get("extension")
        for each in extensions.slices.values() if extensions else ():
            if _expected(each, ("url",), scope) == [_url(step)]:
                return each
        return None
    if step.startswith("ofType("):
        return node
    if (found := node.children.get(step)) is not None:
        return found
    for url in (url for each in node.rule.types for url in each.profiles):
        if (root := scope.root_of(url)) is not None and step in root.children:
            child: Node = root.children[step]
            return child
    return None


def _says_something(node: Node) -> bool:
    rule: Rule = node.rule
    says = rule.fixed is not NOTHING or rule.pattern is not NOTHING or rule.strength == "required"
    return says or any(each.profiles for each in rule.types) or any(map(_says_something, node.children.values()))


def _walk(definitions: Definitions, item: Item, steps: tuple[str, ...]) -> list[Item]:
    """Return the items at a path."""
    found = [item]
    for step in steps:
        if step.startswith("ofType("):
            found = [each for each in found if each.type == step[len("ofType(") : -1]]
            continue
        name = "extension" if step.startswith(_EXTENSION) else step
        below: list[Item] = []
        for each in found:
            holder, context = each.holder()
            if type(holder) is dict:
                below += items_of(children_of(definitions, context, name), holder, each.place)
        if name != step:
            url = _url(step)
            below = [each for each in below if type(each.value) is dict and each.value.get("url") == url]
        found = below
    return found


def _url(step: str) -> str:
    return step[len(_EXTENSION) : -1].strip("'\"")
