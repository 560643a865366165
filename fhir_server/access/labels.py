"""Privacy labels as bit masks, and the label a resource gets on write (access.md §4, nhs.md §6).

Each record row carries exactly one of the four labels, or all four bits when it is unset: then a permit must list all
of them and any deny hits it. A label system that is not known counts as unset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SYSTEM = "https://fhir-server.example.org/CodeSystem/privacy-label"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

GENERAL, MENTAL_HEALTH, SEXUAL_HEALTH, SOCIAL_CARE = 1, 2, 4, 8
UNSET = GENERAL | MENTAL_HEALTH | SEXUAL_HEALTH | SOCIAL_CARE
EVERY = 0x7F
"""What a permit without labels covers: all that may be given to anybody."""
WITHHELD = 0x80
"""Beyond every permit and every emergency: what tells of a Consent tells a grantee what is hidden from it."""

BY_CODE = {
    "general": GENERAL,
    "mental-health": MENTAL_HEALTH,
    "sexual-health": SEXUAL_HEALTH,
    "social-care": SOCIAL_CARE,
}
CODE_OF = {mask: code for code, mask in BY_CODE.items()}

_SENSITIVITY = dict.fromkeys(
    ("MH", "PSY", "PSYTHPN", "BH", "ETH", "ETHUD", "OPIOIDUD", "EMOTDIS"), MENTAL_HEALTH
) | dict.fromkeys(("SEX", "STD", "HIV", "SDV"), SEXUAL_HEALTH)
LEVELS = {"U": 0, "L": 1, "M": 2, "N": 3, "R": 4, "V": 5}
NORMAL, RESTRICTED, HIGHEST = 3, 4, 5

# Codings in meta.security that say nothing about who may see the resource.
_NEUTRAL_SYSTEMS = {
    "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
}

_PRACTICE_SETTING = dict.fromkeys(("710", "711", "712", "713", "715"), MENTAL_HEALTH) | dict.fromkeys(
    ("360", "504"), SEXUAL_HEALTH
)
_ORGANIZATION_TYPE = {
    "mental-health-trust": MENTAL_HEALTH,
    "mental-health": MENTAL_HEALTH,
    "local-authority": SOCIAL_CARE,
    "social-care": SOCIAL_CARE,
}
_SETTING_ELEMENTS = ("serviceType", "specialty", "category", "type")

_STANDARD = {
    GENERAL: ((CONFIDENTIALITY, "N"),),
    SOCIAL_CARE: ((CONFIDENTIALITY, "N"),),
    MENTAL_HEALTH: ((CONFIDENTIALITY, "R"), (ACT_CODE, "MH")),
    SEXUAL_HEALTH: ((CONFIDENTIALITY, "R"), (ACT_CODE, "SEX")),
}


def mask_of_coding(system: str, code: str) -> int | None:
    """Return the label mask of a security coding, None where it is no label, `UNSET` where it is not known."""
    if system == SYSTEM:
        return BY_CODE.get(code, UNSET)
    if system == ACT_CODE:
        return _SENSITIVITY.get(code, UNSET)
    if system == CONFIDENTIALITY or system in _NEUTRAL_SYSTEMS:
        return None
    return UNSET


def sent(resource: Mapping[str, Any]) -> int:
    """Return the mask of the labels the sender put on the resource, 0 where there are none."""
    mask = 0
    for coding in _security(resource):
        mask |= mask_of_coding(coding.get("system", ""), coding.get("code", "")) or 0
    return mask


def confidentiality(resource: Mapping[str, Any]) -> int:
    """Return the highest v3-Confidentiality level stated; normal where there is none, highest where unknown."""
    levels = [
        LEVELS.get(coding.get("code", ""), HIGHEST)
        for coding in _security(resource)
        if coding.get("system") == CONFIDENTIALITY
    ]
    return max(levels, default=NORMAL)


def by_source(resource: Mapping[str, Any], organization: Mapping[str, Any] | None) -> int:
    """Return the default label by practice setting, else by the type of the writing organisation, else `UNSET`."""
    context = resource.get("context")
    settings = [context.get("practiceSetting")] if isinstance(context, Mapping) else []
    settings += [resource.get(name) for name in _SETTING_ELEMENTS]
    for code in _codes(settings):
        if code in _PRACTICE_SETTING:
            return _PRACTICE_SETTING[code]
    if organization is None:
        return UNSET
    types = list(_codes([organization.get("type")]))
    for code in types:
        if code in _ORGANIZATION_TYPE:
            return _ORGANIZATION_TYPE[code]
    return GENERAL


def codings_for(mask: int, resource: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the codings to add to `meta.security` so that the local label and the standard ones are in step."""
    if mask not in CODE_OF:
        return []
    present = {(coding.get("system"), coding.get("code")) for coding in _security(resource)}
    has_level = any(system == CONFIDENTIALITY for system, _ in present)
    wanted = [(SYSTEM, CODE_OF[mask])]
    wanted += [pair for pair in _STANDARD[mask] if not (has_level and pair[0] == CONFIDENTIALITY)]
    return [{"system": system, "code": code} for system, code in wanted if (system, code) not in present]


def kept(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return the codings of the replaced version that the next keeps because it says nothing of its own.

    R4 leaves it to servers whether an update without security labels removes them; here it never does, for it would
    show what was hidden.
    """
    if sent(new):
        return []
    has_level = any(coding.get("system") == CONFIDENTIALITY for coding in _security(new))
    found = []
    for coding in _security(old):
        system = coding.get("system", "")
        if system == CONFIDENTIALITY:
            if not has_level:
                found.append(coding)
        elif mask_of_coding(system, coding.get("code", "")):
            found.append(coding)
    return found


def _security(resource: Mapping[str, Any]) -> list[Mapping[str, str]]:
    meta = resource.get("meta")
    return list(meta.get("security", ())) if isinstance(meta, Mapping) else []


def _codes(values: list[Any]) -> list[str]:
    found: list[str] = []
    for value in values:
        for concept in value if isinstance(value, list) else [value]:
            if isinstance(concept, Mapping):
                found += [coding["code"] for coding in concept.get("coding", ()) if "code" in coding]
    return found
