"""Hold resources and extensions to profiles (https://hl7.org/fhir/R4/profiling.html).

Comes in: a value that was checked against FHIR R4 itself. Goes out: problems in its `Run`. A profile is compiled when
it is first claimed. INVARIANT: the work for one resource is bounded, whatever it and its profiles are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.spec.checks import Json, Place, Run
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.extension_contexts import contexts_of, may_stand_at
from fhir_server.spec.profile_elements import check_element
from fhir_server.spec.profile_nodes import Node, ProfileError, build
from fhir_server.spec.profile_registry import CORE
from fhir_server.spec.profile_rules import compile_rule
from fhir_server.spec.profile_scope import NESTING_LIMIT, WORK_PER_RESOURCE, Budget, Scope, TooCostlyError
from fhir_server.spec.profile_values import Item

_TOLD = "information"
_EXPRESSION_WORK = 50


class Compiled:
    """A profile ready to be applied.

    Attributes:
        root: Its elements.
        type: The type it is a profile of.
        missing: Canonicals it derives from that are not known.
        beyond: Keys of invariants that are not evaluated.
    """

    __slots__ = ("beyond", "missing", "root", "type")

    def __init__(self, root: Node, missing: tuple[str, ...], beyond: tuple[str, ...]) -> None:
        """Keep what was compiled."""
        self.root = root
        self.type = root.path
        self.missing = missing
        self.beyond = beyond


def compiled(definitions: Definitions, canonical: str) -> Compiled | None:
    """Return a profile, None where it is not known.

    Raises:
        ProfileError: It is known and cannot be put in force.
    """
    profiles = definitions.profiles
    if found := profiles.compiled.get(("profile", canonical)):
        return found  # type: ignore[no-any-return]
    if (resource := profiles.find(canonical)) is None:
        return None
    made = compile_profile(definitions, resource)
    # INVARIANT: only canonicals that are known are kept, for the others come from outside without end.
    profiles.compiled["profile", canonical] = made
    return made


def compile_profile(definitions: Definitions, resource: Any) -> Compiled:
    """Return a StructureDefinition as a profile.

    Raises:
        ProfileError: It cannot be put in force.
    """
    root, missing = build(definitions.profiles, resource)
    if not definitions.is_type(root.path):
        raise ProfileError("StructureDefinition.type", "is a type of FHIR R4")
    beyond: dict[str, None] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        node.rule = compile_rule(definitions, node)
        beyond.update(dict.fromkeys(node.rule.beyond))
        waiting += [*node.children.values(), *node.slices.values()]
    return Compiled(root, missing, tuple(beyond))


def check_claimed(value: Json, place: Place, run: Run) -> None:
    """Hold a resource to the profiles that its `meta.profile` names; those not known here are told as information."""
    meta = value.get("meta")
    claimed = meta.get("profile") if type(meta) is dict else None
    if type(claimed) is not list:
        return
    for index, canonical in enumerate(claimed):
        if type(canonical) is str:
            where: Place = (((place, "meta"), "profile"), index)
            if not check_profile(canonical, value, place, where, run):
                text = "names a profile that is not known here: nothing of it was looked at"
                run.advise(where, "not-supported", text, _TOLD)


def check_required(value: Json, place: Place, run: Run) -> None:
    """Hold a resource to the profiles that the configuration requires of its type."""
    for canonical in run.definitions.profiles.required.get(str(value.get("resourceType")), ()):
        if not check_profile(canonical, value, place, place, run):
            run.add(place, "not-supported", f"must satisfy the profile {canonical}, which is not known here yet")


def check_asked(profiles: Iterable[str], value: Json, place: Place, run: Run) -> None:
    """Hold a resource to profiles that somebody asks for; what is not known cannot be affirmed."""
    for canonical in profiles:
        if not check_profile(canonical, value, place, place, run):
            run.add(place, "not-supported", "cannot be held to the profile asked for, which is not known here")


def check_profile(canonical: str, value: Json, place: Place, claim: Place, run: Run) -> bool:
    """Hold a resource to a profile, and return whether it is known.

    Args:
        canonical: Its URL, with or without `|version`.
        value: The resource.
        place: Where it is.
        claim: What names the profile, for what is wrong with that.
        run: Where problems go.
    """
    definitions, resource_type = run.definitions, str(value.get("resourceType"))
    url = canonical.partition("|")[0]
    name = url.removeprefix(CORE)
    if url != name and definitions.is_type(name):
        if not definitions.is_a(resource_type, name):
            run.add(claim, "invalid", f"must name a profile of {resource_type}, not of {name}")
        return True
    try:
        found = compiled(definitions, canonical)
    except ProfileError as error:
        run.advise(claim, "not-supported", f"names a profile that cannot be applied: {error}")
        return False
    if found is None:
        return False
    if not definitions.is_a(resource_type, found.type):
        run.add(claim, "invalid", f"must name a profile of {resource_type}, not of {found.type}")
        return True
    for base in found.missing:
        text = f"names a profile that derives from {base}, which is not known here: nothing of that was looked at"
        run.advise(claim, "not-supported", text, _TOLD)
    for key in found.beyond:
        run.advise(claim, "not-supported", f"names a profile whose invariant {key} is not evaluated here")
    run.budget = run.budget or Budget()
    run.budget.left += WORK_PER_RESOURCE
    _apply(found, Item(value, None, resource_type, resource_type, place), canonical, run)
    return True


def check_extension(value: Json, place: Place, run: Run) -> None:
    """Hold an extension to its definition, where that is known."""
    url = value.get("url")
    if type(url) is str and url in run.definitions.profiles.extensions:
        _check_context(url, place, run)
        conforms_to(url, Item(value, None, "Extension", "Extension", place), run)


def _check_context(url: str, place: Place, run: Run) -> None:
    """Hold an extension to the elements that its definition says it is for."""
    kept = run.definitions.profiles.compiled
    key = ("contexts", url)
    if key not in kept:
        kept[key] = contexts_of(run.definitions.profiles.find(url) or {})
    allowed = kept[key]
    if allowed is None:
        return
    if allowed.expressions:
        # Each is asked of the whole resource, by each extension: what that may cost is limited.
        run.budget = budget = run.budget or Budget()
        budget.left -= _EXPRESSION_WORK
        if budget.left < 0:
            run.add(place, "too-costly", f"takes too much to be held to the contexts of {url}")
            return
    if not may_stand_at(run.definitions, allowed, place, (run.container, run.resource)):
        run.add(place, "extension", f"may stand on {allowed} only, says the definition of {url}")


def conforms_to(canonical: str, item: Item, run: Run) -> bool:
    """Hold an element to a profile of its type; return whether that is known."""
    try:
        found = compiled(run.definitions, canonical)
    except ProfileError:
        return False
    if found is None:
        return False
    if not run.definitions.is_a(item.type, found.type):
        run.add(item.place, "invalid", f"must be of type {found.type}, says the profile {canonical}")
        return True
    _apply(found, item, canonical, run)
    return True


def _apply(found: Compiled, item: Item, canonical: str, run: Run) -> None:
    run.budget = budget = run.budget or Budget()
    doing = (id(item.value), canonical)
    # A profile may name itself for a part of itself.
    if doing in budget.active or len(budget.active) >= NESTING_LIMIT:
        return
    budget.active.add(doing)
    scope = Scope(run, canonical, budget, found.root, conforms_to, lambda url: _root_of(run.definitions, url))
    try:
        check_element(found.root, item, scope)
    except TooCostlyError:
        run.add(item.place, "too-costly", f"takes too much to be held to the profile {canonical}")
    finally:
        budget.active.discard(doing)


def _root_of(definitions: Definitions, canonical: str) -> Node | None:
    try:
        found = compiled(definitions, canonical)
    except ProfileError:
        return None
    return found.root if found else None
