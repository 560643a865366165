"""Compile one ElementDefinition of a profile to what `profile_check` looks at (https://hl7.org/fhir/R4/elementdefinition.html).

Comes in: the merged definition of a node. Goes out: an immutable `Rule`. What is not evaluated is listed in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_server.spec import invariants
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.invariant_functions import UncompilableError
from fhir_server.spec.invariants import Rule as Invariant
from fhir_server.spec.profile_limits import Limits, limits_of
from fhir_server.spec.profile_nodes import Node, ProfileError

Json = Mapping[str, Any]

NOTHING: Any = object()
"""No fixed value, no pattern."""
_PATTERN_SIZE_LIMIT = 1_000
_SLICES_LIMIT = 200


class TypeRule(NamedTuple):
    """One type that an element may have: its name, profiles of which it must satisfy one, and targets of references."""

    code: str
    profiles: tuple[str, ...]
    targets: tuple[str, ...]


class Discriminator(NamedTuple):
    """How slices are told apart: by `value`, `pattern`, `exists`, `type` or `profile` of what is at a path."""

    kind: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a profile demands of one element.

    Attributes:
        min, max: Occurrences; None is no limit.
        types: Types it may have; none where the profile says nothing of them.
        fixed, pattern: What it must be, or be like; `NOTHING` where it may be anything.
        limits: The least, the most and the longest; None where there is none.
        strength, value_set: Of its binding; empty where it has none.
        invariants: FHIRPath of severity error.
        advice: FHIRPath of severity warning.
        beyond: Keys of the invariants that do not compile.
        discriminators: How its slices are told apart.
        closed: Whether every item must be of a slice.
        open_at_end: Whether items of no slice come last.
        ordered: Whether slices come in the order of the profile.
    """

    min: int
    max: int | None
    types: tuple[TypeRule, ...]
    fixed: Any
    pattern: Any
    limits: Limits | None
    strength: str
    value_set: str
    invariants: tuple[Invariant, ...]
    advice: tuple[Invariant, ...]
    beyond: tuple[str, ...]
    discriminators: tuple[Discriminator, ...]
    closed: bool
    open_at_end: bool
    ordered: bool


def compile_rule(definitions: Definitions, node: Node) -> Rule:
    """Return what the definition of a node demands.

    Raises:
        ProfileError: It contradicts itself, or is too large.
    """
    definition = node.definition
    maximum = definition.get("max", "*")
    if maximum != "*" and not (maximum.isascii() and maximum.isdigit() and len(maximum) < len("1000000000")):
        raise ProfileError(f"{node.path} max", "is a number or *")
    if len(node.slices) > _SLICES_LIMIT:
        raise ProfileError(f"{node.path} slicing", f"has at most {_SLICES_LIMIT} slices")
    binding = definition.get("binding", {})
    slicing = definition.get("slicing", {})
    errors, advice, beyond = _invariants(definitions, node)
    return Rule(
        definition.get("min", 0),
        None if maximum == "*" else int(maximum),
        tuple(_types(definition)),
        _exact(node, "fixed"),
        _exact(node, "pattern"),
        limits_of(definition),
        binding.get("strength", ""),
        binding.get("valueSet", ""),
        errors,
        advice,
        beyond,
        tuple(map(_discriminator, slicing.get("discriminator", ()))) or _implied(node),
        slicing.get("rules") == "closed",
        slicing.get("rules") == "openAtEnd",
        slicing.get("ordered", False),
    )


def _types(definition: Json) -> Iterator[TypeRule]:
    types = definition.get("type", ())
    # The definitions of ids and URLs name types of FHIRPath, which say nothing beyond the base.
    if any(each.get("code", "").startswith("http") for each in types):
        return
    for each in types:
        yield TypeRule(
            each.get("code", ""),
            tuple(filter(None, each.get("profile", ()))),
            tuple(filter(None, each.get("targetProfile", ()))),
        )


def _exact(node: Node, prefix: str) -> Any:
    found = next((value for name, value in node.definition.items() if name.startswith(prefix)), NOTHING)
    if found is not NOTHING and _size(found) > _PATTERN_SIZE_LIMIT:
        raise ProfileError(f"{node.path} {prefix}[x]", f"has at most {_PATTERN_SIZE_LIMIT} parts")
    return found


def _size(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        count += 1
        waiting += item.values() if type(item) is dict else item if type(item) is list else ()
    return count


def _discriminator(stated: Json) -> Discriminator:
    path = stated.get("path", "$this")
    # `extension('url')` has dots of its own.
    steps: list[str] = []
    for part in path.split("."):
        if steps and steps[-1].count("(") > steps[-1].count(")"):
            steps[-1] += f".{part}"
        else:
            steps.append(part)
    return Discriminator(stated.get("type", "value"), tuple(each for each in steps if each != "$this"))


def _implied(node: Node) -> tuple[Discriminator, ...]:
    """Return how the slices of extensions and choices are told apart where a profile does not repeat it."""
    if node.name in {"extension", "modifierExtension"}:
        return (Discriminator("value", ("url",)),)
    return (Discriminator("type", ()),) if node.path.endswith("[x]") else ()


def _invariants(
    definitions: Definitions, node: Node
) -> tuple[tuple[Invariant, ...], tuple[Invariant, ...], tuple[str, ...]]:
    errors: dict[str, Invariant] = {}
    advice: dict[str, Invariant] = {}
    beyond: list[str] = []
    for stated in node.definition.get("constraint", ()):
        key, text = stated.get("key", ""), stated.get("expression", "")
        if not text or invariants.is_of_base(key, text):
            continue
        try:
            made = invariants.compile_rule(definitions, key, text, node.path.partition(".")[0])
        except UncompilableError:
            beyond.append(key)
            continue
        (advice if stated.get("severity") == "warning" else errors)[key] = made
    return tuple(errors.values()), tuple(advice.values()), tuple(dict.fromkeys(beyond))
