"""Each criterion of a Consent's provision, read from JSON and refused where the gate cannot enforce it (access.md §3).

A criterion that a provision does not name is None: its child inherits what stands above it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from fhir_server.access import labels, purposes
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import period_interval
from fhir_server.store import grants
from fhir_server.store.keys import NONE, hash64, key_of_reference, type_key

Json = Mapping[str, Any]
Labels = tuple[int, tuple[int, ...]]

ACTOR_TYPES: Final = (
    "Practitioner", "PractitionerRole", "Organization", "CareTeam", "Group", "RelatedPerson", "Device",
)  # fmt: skip
_ACTOR_ROLES: Final = ("IRCP", "PRCP", "GRANTEE")
_TYPES_SYSTEM: Final = "http://hl7.org/fhir/resource-types"
_ACTIONS: Final = {
    "access": grants.READ, "use": grants.READ, "disclose": grants.READ, "collect": grants.WRITE,
    "correct": grants.WRITE,
}  # fmt: skip
_MEANINGS: Final = {
    "instance": grants.INSTANCE, "related": grants.RELATED, "dependents": grants.DEPENDENTS,
    "authoredby": grants.AUTHORED_BY,
}  # fmt: skip
MANDATE_TYPE: Final = type_key("Consent")


def refuse(element: str, message: str) -> FhirError:
    """Return the refusal of what the gate cannot enforce (422)."""
    return FhirError(Kind.UNENFORCEABLE, f"{element} {message}", (element,))


def check_modifiers(element: Json, path: str) -> None:
    """Refuse what may change the meaning of an element in a way that the gate does not know."""
    for name in ("modifierExtension", "implicitRules"):
        if name in element:
            raise refuse(f"{path}.{name}", "is not understood and must be absent")


def actors(provision: Json, path: str) -> tuple[int, ...] | None:
    """Return the keys of `provision.actor`."""
    keys = []
    for index, actor in enumerate(provision.get("actor", ())):
        where = f"{path}.actor[{index}]"
        check_modifiers(actor, where)
        roles = {coding.get("code") for coding in actor.get("role", {}).get("coding", ())}
        if not roles & set(_ACTOR_ROLES):
            raise refuse(f"{where}.role", f"must be one of {', '.join(_ACTOR_ROLES)}")
        keys.append(key_of_reference(_reference(actor.get("reference"), f"{where}.reference", ACTOR_TYPES)))
    return tuple(dict.fromkeys(keys)) or None


def period(provision: Json, path: str) -> tuple[int, int] | None:
    """Return the time during which the provision counts."""
    return _interval(provision, path, "period")


def data_period(provision: Json, path: str) -> tuple[int, int] | None:
    """Return the clinical time of the data that the provision is about."""
    return _interval(provision, path, "dataPeriod")


def purposes_of(provision: Json, path: str) -> tuple[int, tuple[int, ...]] | None:
    """Return (bits, keys of purposes of other code systems)."""
    if not provision.get("purpose"):
        return None
    bits, others = 0, []
    for index, coding in enumerate(provision["purpose"]):
        system, code = coding.get("system", purposes.SYSTEM), coding.get("code", "")
        if system != purposes.SYSTEM and code:
            others.append(purposes.key(system, code))
        elif purposes.known(code):
            bits |= purposes.covered_by(code)
        else:
            raise refuse(f"{path}.purpose[{index}]", "must be a purpose of use of v3-ActReason, or of another system")
    return bits, tuple(others)


def actions(provision: Json, path: str) -> int | None:
    """Return the bits of what may be done: reading for access, use and disclose, writing for collect and correct."""
    bits = 0
    for index, concept in enumerate(provision.get("action", ())):
        found = [_ACTIONS.get(coding.get("code"), 0) for coding in concept.get("coding", ())]
        if not any(found):
            raise refuse(f"{path}.action[{index}]", f"must be one of {', '.join(_ACTIONS)}")
        for each in found:
            bits |= each
    return bits or None


def labels_of(provision: Json, path: str) -> Labels | None:
    """Return (label mask, confidentiality levels)."""
    if not provision.get("securityLabel"):
        return None
    mask, levels = 0, []
    for index, coding in enumerate(provision["securityLabel"]):
        where = f"{path}.securityLabel[{index}]"
        system, code = coding.get("system", ""), coding.get("code", "")
        if system == labels.CONFIDENTIALITY:
            if code not in labels.LEVELS:
                raise refuse(where, f"must be one of {', '.join(labels.LEVELS)}")
            levels.append(labels.LEVELS[code])
            continue
        covered = labels.covered_by(system, code)
        if not covered:
            known = f"{', '.join(labels.BY_CODE)} of {labels.SYSTEM}, or a sensitivity of {labels.ACT_CODE}"
            raise refuse(where, f"is not a label this server knows; allowed: {known}")
        mask |= covered
    return mask, tuple(levels)


def classes(provision: Json, path: str, types: Collection[str]) -> tuple[int, ...] | None:
    """Return the keys of the resource types of `provision.class`, each of which has to be one of `types`."""
    keys = []
    for index, coding in enumerate(provision.get("class", ())):
        code = coding.get("code", "")
        if coding.get("system") != _TYPES_SYSTEM or code not in types:
            raise refuse(f"{path}.class[{index}]", f"must be a resource type of {_TYPES_SYSTEM}")
        keys.append(type_key(code))
    return tuple(dict.fromkeys(keys)) or None


def codes(provision: Json, path: str) -> tuple[tuple[int, int], ...] | None:
    """Return (code, system) keys as the token index has them; system 0 for any."""
    keys = []
    for index, concept in enumerate(provision.get("code", ())):
        codings = concept.get("coding", ())
        if not codings or not all(coding.get("code") for coding in codings):
            raise refuse(f"{path}.code[{index}]", "must have codings with a code: a text cannot be compared")
        for coding in codings:
            system = coding.get("system")
            keys.append((hash64(str(coding["code"]).casefold()), hash64(system) if system else NONE))
    return tuple(dict.fromkeys(keys)) or None


def data(provision: Json, path: str) -> tuple[tuple[int, int], ...] | None:
    """Return (meaning, key of what it is about)."""
    keys = []
    for index, each in enumerate(provision.get("data", ())):
        where = f"{path}.data[{index}]"
        check_modifiers(each, where)
        if each.get("meaning") not in _MEANINGS:
            raise refuse(f"{where}.meaning", f"must be one of {', '.join(_MEANINGS)}")
        keys.append(
            (_MEANINGS[each["meaning"]], key_of_reference(_reference(each.get("reference"), f"{where}.reference", ())))
        )
    return tuple(dict.fromkeys(keys)) or None


def _interval(provision: Json, path: str, name: str) -> tuple[int, int] | None:
    if name not in provision:
        return None
    found = period_interval(provision[name])
    if found is None:
        raise refuse(f"{path}.{name}", "must have a start or an end")
    return found


def _reference(value: object, where: str, types: tuple[str, ...]) -> str:
    text = value.get("reference", "") if isinstance(value, Mapping) else ""
    kind, _, logical_id = str(text).partition("/")
    if not kind or not logical_id or "/" in logical_id or (types and kind not in types):
        allowed = f"one of {', '.join(types)}" if types else "a resource of this server, as Type/id"
        raise refuse(where, f"must be a reference to {allowed}")
    return str(text)
