"""Privacy labels as bit masks, and the label a resource gets on write (access.md §4, nhs.md §6).

Each record row carries exactly one of the four labels (or the finer codes of v3-ActCode that belong to it), or all four
bits when it is unset: then a permit must list all of them and any deny hits it. A label system that is not known counts
as unset. A Patient carries none: who somebody is belongs to whatever of theirs is shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SYSTEM = "https://fhir-server.example.org/CodeSystem/privacy-label"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_NOT_TO_PATIENT = "NOPAT"

GENERAL, MENTAL_HEALTH, SEXUAL_HEALTH, SOCIAL_CARE = 1, 2, 4, 8
BY_CODE = {
    "general": GENERAL,
    "mental-health": MENTAL_HEALTH,
    "sexual-health": SEXUAL_HEALTH,
    "social-care": SOCIAL_CARE,
}
CODE_OF = {mask: code for code, mask in BY_CODE.items()}
UNSET = GENERAL | MENTAL_HEALTH | SEXUAL_HEALTH | SOCIAL_CARE

# Codes of v3-ActCode that are finer than a privacy label: each has a bit of its own and belongs to the label.
_FINER = {
    "PSY": MENTAL_HEALTH, "PSYTHPN": MENTAL_HEALTH, "EMOTDIS": MENTAL_HEALTH, "COGN": MENTAL_HEALTH,
    "DVD": MENTAL_HEALTH, "SUD": MENTAL_HEALTH, "ETH": MENTAL_HEALTH, "ETHUD": MENTAL_HEALTH,
    "OPIOIDUD": MENTAL_HEALTH, "HIV": SEXUAL_HEALTH, "STD": SEXUAL_HEALTH, "SDV": SEXUAL_HEALTH,
}  # fmt: skip
# Further sensitivities, which are no kind of any privacy label: a permit has to name them, or all four labels.
_FURTHER = (
    "GDIS", "MST", "SCA", "SICKLE", "SPI", "TBOO", "VIO", "ADOL", "CEL", "DIA", "DRGIS", "EMP", "PDS", "PHY", "PRS",
    "DEMO", "DOB", "GENDER", "LIVARG", "MARST", "RACE", "REL", "B", "EMPL", "LOCIS", "SSP", "COMPT",
)  # fmt: skip
_ACT_BITS = {code: 16 << index for index, code in enumerate((*_FINER, *_FURTHER))}
# Codes that say the same as a privacy label, and codes that cover others.
_SAME = {"MH": MENTAL_HEALTH, "BH": MENTAL_HEALTH, "SEX": SEXUAL_HEALTH}
_KINDS = {"SUD": ("ETH", "ETHUD", "OPIOIDUD"), "ETH": ("ETHUD", "OPIOIDUD")}
_OF_LABEL = {
    label: label | sum(_ACT_BITS[code] for code, group in _FINER.items() if group == label) for label in CODE_OF
}

UNKNOWN = 1 << 59
"""A label that is not understood: any deny of a label hits it, only a permit of all four labels covers it."""
NO_DISCLOSURE_TO_PATIENT = 1 << 60
"""v3-ActCode#NOPAT: its author withheld it from the patient and family; plays no part for anybody else."""
WITHHELD = 1 << 61
"""Beyond every permit and every emergency: what tells of a Consent tells a grantee what is hidden from it."""
EVERY = WITHHELD - 1
"""What a permit without labels covers: all that may be given to anybody."""

LEVELS = {"U": 0, "L": 1, "M": 2, "N": 3, "R": 4, "V": 5}
NORMAL, RESTRICTED, HIGHEST = LEVELS["N"], LEVELS["R"], LEVELS["V"]

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
_SENSITIVE = sum(whole for label, whole in _OF_LABEL.items() if (CONFIDENTIALITY, "R") in _STANDARD[label])


def mask_of_coding(system: str, code: str) -> int | None:
    """Return the bits that a security coding puts on a resource, None where it is no label.

    Only what says nothing of a label is None: its confidentiality, and `NOPAT`, which concerns the patient alone.
    """
    if system == SYSTEM:
        return BY_CODE.get(code, UNSET | UNKNOWN)
    if system == ACT_CODE and code == _NOT_TO_PATIENT:
        return None
    if system == ACT_CODE:
        return _SAME.get(code) or _ACT_BITS.get(code, UNSET | UNKNOWN)
    if system == CONFIDENTIALITY or system in _NEUTRAL_SYSTEMS:
        return None
    return UNSET | UNKNOWN


def covered_by(system: str, code: str) -> int:
    """Return the bits that a label in a provision stands for: itself and what it covers; 0 for one not known."""
    if system == SYSTEM:
        return _OF_LABEL.get(BY_CODE.get(code, 0), 0)
    if system != ACT_CODE:
        return 0
    if code in _SAME:
        return _OF_LABEL[_SAME[code]]
    return _ACT_BITS.get(code, 0) | sum(_ACT_BITS[kind] for kind in _KINDS.get(code, ()))


def sent(resource: Mapping[str, Any]) -> int:
    """Return the bits of the labels the sender put on the resource, 0 where there are none.

    A finer code takes the place of the privacy label it belongs to, which is written beside it.
    """
    mask = 0
    for coding in _security(resource):
        mask |= mask_of_coding(coding.get("system", ""), coding.get("code", "")) or 0
    if mask & UNKNOWN:
        return mask
    for label, whole in _OF_LABEL.items():
        if mask & whole & ~label:
            mask &= ~label
    return mask


def withheld_from_patient(resource: Mapping[str, Any]) -> int:
    """Return `NO_DISCLOSURE_TO_PATIENT` where the author withheld the resource from the patient, else 0."""
    marked = any((each.get("system"), each.get("code")) == (ACT_CODE, _NOT_TO_PATIENT) for each in _security(resource))
    return NO_DISCLOSURE_TO_PATIENT if marked else 0


def confidentiality(resource: Mapping[str, Any]) -> int:
    """Return the highest v3-Confidentiality level stated, highest where unknown; without one, that of the labels."""
    levels = [
        LEVELS.get(coding.get("code", ""), HIGHEST)
        for coding in _security(resource)
        if coding.get("system") == CONFIDENTIALITY
    ]
    if levels:
        return max(levels)
    # The same level as would be written beside the label if it were the only one.
    return RESTRICTED if sent(resource) & _SENSITIVE else NORMAL


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
    label = label_of(mask)
    if not label:
        return []
    present = {(coding.get("system"), coding.get("code")) for coding in _security(resource)}
    has_level = any(system == CONFIDENTIALITY for system, _ in present)
    wanted = [(SYSTEM, CODE_OF[label])]
    for system, code in _STANDARD[label]:
        has_finer = system == ACT_CODE and mask != label
        if not has_finer and not (has_level and system == CONFIDENTIALITY):
            wanted.append((system, code))
    return [{"system": system, "code": code} for system, code in wanted if (system, code) not in present]


def label_of(mask: int) -> int:
    """Return the one privacy label that a resource with these bits has, 0 where it has none or several."""
    own = mask & EVERY & ~NO_DISCLOSURE_TO_PATIENT
    return next((label for label, whole in _OF_LABEL.items() if own and own & whole == own), 0)


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
        elif mask_of_coding(system, coding.get("code", "")) or withheld_from_patient({"meta": {"security": [coding]}}):
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
