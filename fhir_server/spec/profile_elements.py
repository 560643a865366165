"""Hold the elements of a value to the nodes of a profile: occurrences, types, fixed values, bindings, invariants.

Comes in: a node whose rules are compiled, and an item. Goes out: problems in the scope. Slices: `profile_slices.py`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from fhir_server.spec import invariants
from fhir_server.spec.checks import Json, Place, reference_type
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.elements import Child
from fhir_server.spec.profile_codes import check_binding
from fhir_server.spec.profile_limits import find_excess
from fhir_server.spec.profile_nodes import Node
from fhir_server.spec.profile_registry import CORE
from fhir_server.spec.profile_rules import NOTHING, Rule, TypeRule
from fhir_server.spec.profile_scope import Scope
from fhir_server.spec.profile_slices import check_slices
from fhir_server.spec.profile_values import Item, children_of, is_equal, is_like, items_of

_SHOWN_LENGTH = 200
Plan = tuple[tuple[Node, tuple[Child, ...]], ...]


def check_element(node: Node, item: Item, scope: Scope) -> None:
    """Hold one item, with all below it, to a node."""
    scope.spend()
    rule: Rule = node.rule
    if rule.types and not _check_types(rule, item, scope):
        return
    if rule.fixed is not NOTHING and not is_equal(rule.fixed, item.value):
        scope.refuse(item.place, "value", f"must be {_shown(rule.fixed)}")
    if rule.pattern is not NOTHING and not is_like(rule.pattern, item.value):
        scope.refuse(item.place, "value", f"must have {_shown(rule.pattern)}")
    if rule.limits and (excess := find_excess(rule.limits, item.type, item.value)):
        scope.refuse(item.place, "value", excess)
    if rule.value_set:
        check_binding(rule, item, scope)
    for broken in _broken(rule.invariants, item, scope):
        scope.refuse(item.place, "invariant", f"must satisfy {broken.text} ({broken.key})")
    if scope.run.advice:
        for broken in _broken(rule.advice, item, scope):
            scope.advise(item.place, "invariant", f"should satisfy {broken.text} ({broken.key})")
    holder, context = item.holder()
    owner = holder if type(holder) is dict else {}
    if node.children:
        for child, places in _plan(node, context, scope):
            check_items(child, places, owner, item.place, scope)


def check_items(node: Node, places: tuple[Child, ...], owner: Json, place: Place, scope: Scope) -> None:
    """Hold all items of an element to a node and its slices."""
    items = items_of(places, owner, place)
    where: Place = (place, node.name)
    check_count(node.rule, len(items), where, "", scope)
    for item in items:
        check_element(node, item, scope)
    if node.slices:
        check_slices(node, items, where, scope, check_element)


def check_count(rule: Rule, count: int, place: Place, of: str, scope: Scope) -> None:
    """Hold the number of items to the least and the most that there may be."""
    if count < rule.min:
        text = f"is required{of}" if rule.min == 1 else f"must have at least {rule.min} items{of}"
        scope.refuse(place, "required", text)
    elif rule.max is not None and count > rule.max:
        scope.refuse(place, "invalid", f"must have at most {rule.max} items{of}" if rule.max else f"must be absent{of}")


def _plan(node: Node, context: str, scope: Scope) -> Plan:
    """Return the children of a node with where each is in JSON, below an item of this type."""
    made: Plan | None = node.plans.get(context)
    if made is None:
        definitions = scope.definitions
        found = [(child, children_of(definitions, context, child.name)) for child in node.children.values()]
        found += _repeated(definitions, node, context, scope.root)
        made = node.plans[context] = tuple(found)
    return made


def _repeated(definitions: Definitions, node: Node, context: str, root: Node) -> list[tuple[Node, tuple[Child, ...]]]:
    """Return the children whose content repeats an element that the profile speaks of (`Questionnaire.item.item`)."""
    found = []
    for name, children in definitions.fields(context).items():
        path = children[0].element.content_reference if children else ""
        target: Node | None = root
        for part in path.split(".")[1:]:
            target = target.children.get(part) if target else None
        if name not in node.children and path and target is not None and target is not root:
            repeated = Node(f"{node.path}.{name}")
            repeated.children = target.children
            repeated.rule = replace(target.rule, min=0, max=None)
            found.append((repeated, children))
    return found


def _check_types(rule: Rule, item: Item, scope: Scope) -> bool:
    """Hold an item to the types of a rule, and return whether it has one of them."""
    definitions = scope.definitions
    allowed = [each for each in rule.types if each.code == item.type or definitions.is_a(item.type, each.code)]
    if not allowed:
        shown = ", ".join(dict.fromkeys(each.code for each in rule.types))
        scope.refuse(_untyped(item.place), "invalid", f"must be of type {shown}")
        return False
    if all(each.profiles for each in allowed):
        _check_profiles(tuple(url for each in allowed for url in each.profiles), item, scope)
    if item.type == "Reference":
        _check_target(allowed, item, scope)
    return True


def _untyped(place: Place) -> Place:
    """Return the place of a choice without the type that it has."""
    segment = place[1]
    return (place[0], segment.partition(".ofType(")[0]) if type(segment) is str else place


def _check_profiles(urls: tuple[str, ...], item: Item, scope: Scope) -> None:
    if len(urls) == 1:
        scope.conforms_to(urls[0], item, scope.run)
        return
    known = True
    for url in urls:

        def check(trial: Scope, url: str = url) -> None:
            nonlocal known
            known &= trial.conforms_to(url, item, trial.run)

        if scope.holds(check) and known:
            return
    if known:
        scope.refuse(item.place, "invalid", f"must satisfy one of the profiles {', '.join(urls)}")


def _check_target(allowed: list[TypeRule], item: Item, scope: Scope) -> None:
    definitions = scope.definitions
    names: list[str] = []
    for url in (target for each in allowed for target in each.targets):
        known = definitions.profiles.find(url)
        name = str(known["type"]) if known else url.removeprefix(CORE)
        if not definitions.is_type(name):
            # The profile of somebody else: nobody here knows of which type it is.
            return
        names.append(name)
    found = reference_type(item.value, scope.run)
    if names and found and not any(definitions.is_a(found, name) for name in names):
        scope.refuse((item.place, "reference"), "value", f"must refer to one of {', '.join(dict.fromkeys(names))}")


def _broken(rules: tuple[invariants.Rule, ...], item: Item, scope: Scope) -> list[invariants.Rule]:
    value = item.twin if item.value is None else item.value
    return [rule for rule in rules if rule.breaks(value, scope.run.resource)]


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN_LENGTH else "what the profile says"
