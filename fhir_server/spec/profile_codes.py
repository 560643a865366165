"""Hold codes to the value sets that a profile binds them to (https://hl7.org/fhir/R4/terminologies.html#strength).

A required binding is an error, an extensible one advice; the others say nothing. A value set is one of FHIR R4, or what
the caller's look-up knows; one that nobody knows is told as information.
"""

from __future__ import annotations

from typing import Any

from fhir_server.spec.checks import Membership
from fhir_server.spec.profile_rules import Rule
from fhir_server.spec.profile_scope import Scope
from fhir_server.spec.profile_values import Item

_CODES = frozenset({"code", "string", "uri", "url", "canonical", "id", "markdown", "oid", "uuid"})
_CODINGS = frozenset({"Coding", "Quantity", "Age", "Count", "Distance", "Duration"})


def check_binding(rule: Rule, item: Item, scope: Scope) -> None:
    """Hold an item to the binding of a rule."""
    required = rule.strength == "required"
    if not required and not (scope.run.advice and rule.strength == "extensible"):
        return
    if item.type not in _CODES | _CODINGS and item.type != "CodeableConcept":
        return
    is_member = membership(rule.value_set, scope)
    if is_member is None:
        text = f"is bound to {rule.value_set}, which is not known here: its codes were not looked at"
        scope.run.advise(item.place, "not-supported", text, "information")
        return
    pairs = _pairs(item)
    if any(is_member(*pair) for pair in pairs):
        return
    if not pairs and not (required and item.type == "CodeableConcept"):
        return
    if required:
        scope.refuse(item.place, "code-invalid", f"must have a code of the value set {rule.value_set}")
    else:
        scope.advise(item.place, "code-invalid", f"should have a code of the value set {rule.value_set}")


def _pairs(item: Item) -> list[tuple[str | None, str]]:
    """Return systems and codes; None is a system that the element implies."""
    if item.type in _CODES:
        return [(None, item.value)] if type(item.value) is str else []
    value: Any = item.value if type(item.value) is dict else {}
    codings = [value] if item.type in _CODINGS else value.get("coding")
    found: list[tuple[str | None, str]] = []
    for coding in codings if type(codings) is list else ():
        code, system = (coding.get("code"), coding.get("system", "")) if type(coding) is dict else (None, None)
        if type(code) is str and type(system) is str:
            found.append((system, code))
    return found


def membership(canonical: str, scope: Scope) -> Membership | None:
    """Return how to tell whether a code is in a value set, None where it is not known."""
    definitions = scope.definitions
    url, _, version = canonical.partition("|")
    if version not in {"", "4.0.1"} or definitions.value_set(url) is None:
        return scope.run.codes(canonical) if scope.run.codes else None
    kept = definitions.compiled.get(("members", url))
    if kept is None:
        systems = {system: frozenset(codes) for system, codes in definitions.code_systems(url).items()}
        every = frozenset().union(*systems.values())
        kept = definitions.compiled["members", url] = (systems, every)
    found, codes = kept
    return lambda system, code: code in (codes if system is None else found.get(system, ()))
