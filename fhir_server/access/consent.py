"""Consent → grants: what is accepted, and each accepted node compiled to flat rows (access.md §3 to §5).

A node of the provision tree inherits each criterion it does not restate; compiling resolves that, so the gate looks
at one row
per (node, actor) and never at the tree. What the engine cannot enforce is refused on write, naming the element.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_server.access import labels
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import period_interval
from fhir_server.store.grants import Grant
from fhir_server.store.keys import NONE, key_of_reference

SCOPE = "patient-privacy"
POLICY_DENY = "https://profiles.ihe.net/ITI/PCF/Policy-deny"
MAX_NODES = 50
ALWAYS = (-(2**62), 2**62)
ANY_PURPOSE = 0x7FFFFFFF
NO_CONFIDENTIALITY = 7
"""Above every level: a deny node with it hits none by confidentiality, a permit node with it is limited by none."""

_PURPOSE_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_PURPOSES = (
    "TREAT", "ETREAT", "BTG", "HPAYMT", "HOPERAT", "HRESCH", "PATRQT", "FAMRQT", "PUBHLTH", "HMARKT", "PATADMIN",
    "CAREMGT", "CLINTRCH", "COC", "RECORDMGT", "PWATRNY", "SUPNWK", "HSYSADMIN", "HDM", "HQUALIMP",
)  # fmt: skip
PURPOSE_BITS = {code: 1 << index for index, code in enumerate(_PURPOSES)}
_ACTOR_TYPES = ("Practitioner", "PractitionerRole", "Organization", "RelatedPerson")
_ACTOR_ROLES = ("IRCP", "PRCP", "GRANTEE")
_NOT_YET = ("class", "code", "dataPeriod", "data")
_PATIENT = re.compile(r"Patient/[A-Za-z0-9\-.]{1,64}")
_READING = {"access", "use", "disclose"}


class _Criteria(NamedTuple):
    actors: tuple[int, ...]
    interval: tuple[int, int]
    purposes: int
    labels: int
    levels: tuple[int, ...]


_ROOT = _Criteria((NONE,), ALWAYS, ANY_PURPOSE, labels.EVERY, ())


@dataclass(frozen=True, slots=True)
class _Node:
    path: str
    depth: int
    permit: bool
    criteria: _Criteria


def is_privacy(consent: Mapping[str, Any]) -> bool:
    """Return whether the Consent is one the gate enforces; others are stored and play no part."""
    codings = consent.get("scope", {}).get("coding", ())
    return any(coding.get("code") == SCOPE for coding in codings)


def compile_consent(consent: Mapping[str, Any], consent_key: int) -> tuple[Grant, ...]:
    """Compile a patient-privacy Consent to grant rows; one that is not active compiles to none.

    Raises:
        FhirError: UNENFORCEABLE (422) naming the element that the gate cannot enforce.
    """
    if not is_privacy(consent):
        return ()
    patient = consent.get("patient", {}).get("reference", "")
    if not _PATIENT.fullmatch(patient):
        raise _refuse("Consent.patient.reference", "must be Patient/[id], the Patient whose record it is about")
    _check_modifiers(consent, "Consent")
    if "verification" in consent:
        raise _refuse("Consent.verification", "is not enforced and must be absent")
    provision = consent.get("provision")
    if not provision:
        raise _refuse("Consent.provision", "is required: say what is permitted or denied")
    nodes = tuple(_walk(provision, "Consent.provision", 0, _ROOT))
    if len(nodes) > MAX_NODES:
        raise _refuse("Consent.provision", f"has more than {MAX_NODES} provisions")
    if consent.get("status") != "active":
        return ()
    patient_key = key_of_reference(patient)
    grants = [_grant(node, actor, consent_key, patient_key) for node in nodes for actor in node.criteria.actors]
    if _disables_sharing(consent):
        grants.append(_emergency_block(consent_key, patient_key))
    return tuple(grants)


def _walk(provision: Mapping[str, Any], path: str, depth: int, inherited: _Criteria) -> Iterator[_Node]:
    kind = provision.get("type")
    if kind not in {"permit", "deny"}:
        raise _refuse(f"{path}.type", "must be permit or deny")
    for name in _NOT_YET:
        if name in provision:
            raise _refuse(
                f"{path}.{name}",
                "is not enforced by this server yet; allowed: period, actor, purpose, securityLabel, action",
            )
    _check_modifiers(provision, path)
    _check_action(provision, path)
    criteria = _Criteria(
        _actors(provision, path) or inherited.actors,
        _narrow(_period(provision, path), inherited.interval),
        _purposes(provision, path) or inherited.purposes,
        *(_labels(provision, path) or (inherited.labels, inherited.levels)),
    )
    yield _Node(path, depth, kind == "permit", criteria)
    for index, child in enumerate(provision.get("provision", ())):
        if depth:
            raise _refuse(f"{path}.provision", "at most one nested level is allowed")
        yield from _walk(child, f"{path}.provision[{index}]", depth + 1, criteria)


def _actors(provision: Mapping[str, Any], path: str) -> tuple[int, ...]:
    keys = []
    for index, actor in enumerate(provision.get("actor", ())):
        where = f"{path}.actor[{index}]"
        _check_modifiers(actor, where)
        roles = {coding.get("code") for coding in actor.get("role", {}).get("coding", ())}
        if not roles & set(_ACTOR_ROLES):
            raise _refuse(f"{where}.role", f"must be one of {', '.join(_ACTOR_ROLES)}")
        reference = actor.get("reference", {}).get("reference", "")
        kind, _, logical_id = reference.partition("/")
        if kind not in _ACTOR_TYPES or not logical_id or "/" in logical_id:
            raise _refuse(f"{where}.reference", f"must be a reference to one of {', '.join(_ACTOR_TYPES)}")
        keys.append(key_of_reference(reference))
    return tuple(dict.fromkeys(keys))


def _period(provision: Mapping[str, Any], path: str) -> tuple[int, int]:
    if "period" not in provision:
        return ALWAYS
    interval = period_interval(provision["period"])
    if interval is None:
        raise _refuse(f"{path}.period", "must have a start or an end")
    return interval


def _narrow(own: tuple[int, int], inherited: tuple[int, int]) -> tuple[int, int]:
    return inherited if own == ALWAYS else own


def _purposes(provision: Mapping[str, Any], path: str) -> int:
    mask = 0
    for index, coding in enumerate(provision.get("purpose", ())):
        if coding.get("system", _PURPOSE_SYSTEM) != _PURPOSE_SYSTEM or coding.get("code") not in PURPOSE_BITS:
            raise _refuse(f"{path}.purpose[{index}]", f"must be one of {', '.join(PURPOSE_BITS)} of v3-ActReason")
        mask |= PURPOSE_BITS[coding["code"]]
    return mask


def _labels(provision: Mapping[str, Any], path: str) -> tuple[int, tuple[int, ...]] | None:
    """Return (label mask, confidentiality levels) that a node names, None where it names no security label."""
    if not provision.get("securityLabel"):
        return None
    mask, levels = 0, []
    for index, coding in enumerate(provision["securityLabel"]):
        where = f"{path}.securityLabel[{index}]"
        system, code = coding.get("system", ""), coding.get("code", "")
        if system == labels.CONFIDENTIALITY:
            if code not in labels.LEVELS:
                raise _refuse(where, f"must be one of {', '.join(labels.LEVELS)}")
            levels.append(labels.LEVELS[code])
            continue
        label = labels.mask_of_coding(system, code)
        if label is None or label == labels.UNSET:
            raise _refuse(
                where, f"is not a label this server knows; allowed: {', '.join(labels.BY_CODE)} of {labels.SYSTEM}"
            )
        mask |= label
    return mask, tuple(levels)


def _reach(criteria: _Criteria, *, permit: bool) -> tuple[int, int]:
    """Return what a node covers as (label mask, confidentiality).

    Values of one criterion are OR-ed; an axis (privacy label, confidentiality) that is not named does not limit a
    permit and is not hit by a deny. It is worked out last, for a deny may inherit what a permit names, and the other
    way round.
    """
    if permit:
        return criteria.labels or labels.EVERY, max(criteria.levels, default=NO_CONFIDENTIALITY)
    return criteria.labels, min(criteria.levels, default=NO_CONFIDENTIALITY)


def _check_modifiers(element: Mapping[str, Any], path: str) -> None:
    """Refuse what may change the meaning of an element in a way that the gate does not know."""
    for name in ("modifierExtension", "implicitRules"):
        if name in element:
            raise _refuse(f"{path}.{name}", "is not understood and must be absent")


def _check_action(provision: Mapping[str, Any], path: str) -> None:
    for index, concept in enumerate(provision.get("action", ())):
        codes = {coding.get("code") for coding in concept.get("coding", ())}
        if not codes & _READING:
            raise _refuse(f"{path}.action[{index}]", f"must be one of {', '.join(sorted(_READING))}")


def _disables_sharing(consent: Mapping[str, Any]) -> bool:
    uris = {policy.get("uri") for policy in consent.get("policy", ())}
    rule = consent.get("policyRule", {})
    uris |= {coding.get("code") for coding in rule.get("coding", ())} | {rule.get("text")}
    uris |= {f"{coding.get('system', '')}/{coding.get('code', '')}" for coding in rule.get("coding", ())}
    return POLICY_DENY in uris


def _grant(node: _Node, actor: int, consent_key: int, patient_key: int) -> Grant:
    criteria = node.criteria
    mask, level = _reach(criteria, permit=node.permit)
    return Grant(
        consent=consent_key,
        node=node.path,
        depth=node.depth,
        permit=node.permit,
        patient=patient_key,
        actor=actor,
        valid_from=criteria.interval[0],
        valid_to=criteria.interval[1],
        purposes=criteria.purposes,
        labels=mask,
        confidentiality=level,
        blocks_emergency=False,
    )


def _emergency_block(consent_key: int, patient_key: int) -> Grant:
    """Return the row of policy "deny": it votes on nothing and refuses emergency access."""
    criteria = _Criteria((NONE,), ALWAYS, ANY_PURPOSE, 0, ())
    node = _Node("Consent.policy", 0, permit=False, criteria=criteria)
    grant = _grant(node, NONE, consent_key, patient_key)
    return Grant(**{**{name: getattr(grant, name) for name in Grant.__dataclass_fields__}, "blocks_emergency": True})


def _refuse(element: str, message: str) -> FhirError:
    return FhirError(Kind.UNENFORCEABLE, f"{element} {message}", (element,))
