"""Consent → grants: what is accepted, and each accepted node compiled to flat rows (access.md §3 to §5).

A node of the provision tree inherits each criterion it does not restate; compiling resolves that, so the gate looks at
one row per (node, actor) and never at the tree. Criteria that need a look at content (class, code, dataPeriod, data)
multiply rows and mark them as rare. What the engine cannot enforce is refused on write, naming the element.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final, NamedTuple

from fhir_server.access import criteria, labels, purposes
from fhir_server.access.criteria import refuse
from fhir_server.store.grants import READ, WRITE, Grant
from fhir_server.store.keys import NONE, key_of_reference

SCOPE: Final = "patient-privacy"
POLICY_DENY: Final = "https://profiles.ihe.net/ITI/PCF/Policy-deny"
NODES_LIMIT: Final = 50
LEVELS_LIMIT: Final = 4
ROWS_LIMIT: Final = 2_000
ALWAYS: Final = (-(2**62), 2**62)
NO_CONFIDENTIALITY: Final = 7
"""Above every level: a deny node with it hits none by confidentiality, a permit node with it is limited by none."""

_PATIENT = re.compile(r"Patient/[A-Za-z0-9\-.]{1,64}")


class _Criteria(NamedTuple):
    """What a node matches, with what it inherited; None is anything."""

    actors: tuple[int, ...] | None = None
    interval: tuple[int, int] | None = None
    purposes: tuple[int, tuple[int, ...]] | None = None
    actions: int | None = None
    labels: criteria.Labels | None = None
    classes: tuple[int, ...] | None = None
    codes: tuple[tuple[int, int], ...] | None = None
    data_period: tuple[int, int] | None = None
    data: tuple[tuple[int, int], ...] | None = None

    @property
    def rare(self) -> bool:
        """Return whether a criterion needs more of a row than its columns say."""
        return any(each is not None for each in (self.classes, self.codes, self.data_period, self.data))


@dataclass(frozen=True, slots=True)
class _Node:
    path: str
    position: int
    ends: int
    permit: bool
    criteria: _Criteria


def is_privacy(consent: Mapping[str, Any]) -> bool:
    """Return whether the Consent is one the gate enforces; others are stored and play no part."""
    codings = consent.get("scope", {}).get("coding", ())
    return any(coding.get("code") == SCOPE for coding in codings)


def permits(consent: Mapping[str, Any]) -> bool:
    """Return whether an active Consent permits anything to anybody, at the root of its provisions or below it."""

    def does(node: Mapping[str, Any]) -> bool:
        return node.get("type") == "permit" or any(map(does, node.get("provision", ())))

    return consent.get("status") == "active" and is_privacy(consent) and does(consent.get("provision", {}))


def compile_consent(consent: Mapping[str, Any], consent_key: int, types: Collection[str]) -> tuple[Grant, ...]:
    """Compile a patient-privacy Consent to grant rows; one that is not active compiles to none.

    Args:
        consent: The resource, valid R4.
        consent_key: Its key.
        types: The resource types there are: what `provision.class` may name.

    Raises:
        FhirError: UNENFORCEABLE (422) naming the element that the gate cannot enforce.
    """
    if not is_privacy(consent):
        return ()
    patient = consent.get("patient", {}).get("reference", "")
    if not _PATIENT.fullmatch(patient):
        raise refuse("Consent.patient.reference", "must be Patient/[id], the Patient whose record it is about")
    criteria.check_modifiers(consent, "Consent")
    if "verification" in consent:
        raise refuse("Consent.verification", "is not enforced and must be absent")
    provision = consent.get("provision")
    if not provision:
        raise refuse("Consent.provision", "is required: say what is permitted or denied")
    nodes = _nodes(provision, types)
    patient_key = key_of_reference(patient)
    grants = [grant for node in nodes for grant in _grants(node, consent_key, patient_key)]
    if len(grants) > ROWS_LIMIT:
        raise refuse("Consent.provision", f"has more than {ROWS_LIMIT} combinations of its criteria")
    if consent.get("status") != "active":
        return ()
    if disables_sharing(consent):
        grants.append(_emergency_block(consent_key, patient_key))
    return tuple(grants)


def _nodes(provision: Mapping[str, Any], types: Collection[str]) -> list[_Node]:
    nodes: list[_Node] = []

    def walk(node: Mapping[str, Any], path: str, level: int, inherited: _Criteria) -> None:
        kind = node.get("type")
        if kind not in {"permit", "deny"}:
            raise refuse(f"{path}.type", "must be permit or deny")
        if level > LEVELS_LIMIT or len(nodes) >= NODES_LIMIT:
            raise refuse(path, f"is too much: at most {NODES_LIMIT} provisions, {LEVELS_LIMIT} levels deep")
        criteria.check_modifiers(node, path)
        own = _criteria(node, path, inherited, types)
        position = len(nodes)
        nodes.append(_Node(path, position, position, kind == "permit", own))
        for index, child in enumerate(node.get("provision", ())):
            walk(child, f"{path}.provision[{index}]", level + 1, own)
        nodes[position] = replace(nodes[position], ends=len(nodes) - 1)

    walk(provision, "Consent.provision", 1, _Criteria())
    return nodes


def _criteria(node: Mapping[str, Any], path: str, inherited: _Criteria, types: Collection[str]) -> _Criteria:
    own = _Criteria(
        criteria.actors(node, path),
        criteria.period(node, path),
        criteria.purposes_of(node, path),
        criteria.actions(node, path),
        criteria.labels_of(node, path),
        criteria.classes(node, path, types),
        criteria.codes(node, path),
        criteria.data_period(node, path),
        criteria.data(node, path),
    )
    found = inherited._replace(**{name: value for name, value in own._asdict().items() if value is not None})
    if node["type"] == "permit" and criteria.MANDATE_TYPE in (found.classes or ()) and not _for_relatives(node):
        raise refuse(f"{path}.class", "may name Consent only for actors who are RelatedPersons: a full proxy")
    return found


def _for_relatives(node: Mapping[str, Any]) -> bool:
    """Return whether a node itself names its actors, all of them RelatedPersons."""
    named = [str(actor.get("reference", {}).get("reference", "")) for actor in node.get("actor", ())]
    return bool(named) and all(reference.startswith("RelatedPerson/") for reference in named)


def _grants(node: _Node, consent_key: int, patient_key: int) -> Iterator[Grant]:
    """Yield the rows of a node: one, unless it names several values of criteria that are compared one by one."""
    own = node.criteria
    bits, others = own.purposes or (purposes.ANY, ())
    for_purposes = [(bits, NONE)] if bits else []
    for_purposes += [(0, other) for other in others]
    mask, level = _reach(own.labels, permit=node.permit)
    interval = own.interval or ALWAYS
    data: tuple[int | None, int | None] = own.data_period or (None, None)
    combinations = product(
        own.actors or (NONE,), for_purposes, own.classes or (NONE,), own.codes or ((NONE, NONE),),
        own.data or ((NONE, NONE),),
    )  # fmt: skip
    for count, (actor, purpose, kind, code, about) in enumerate(combinations):
        if count > ROWS_LIMIT:
            return
        yield Grant(
            consent_key, node.path, node.position, node.ends, node.permit, patient_key, actor, *interval, *purpose,
            own.actions or (READ | WRITE), mask, level, own.rare, kind, *code, *data, *about, blocks_emergency=False,
        )  # fmt: skip


def _reach(named: criteria.Labels | None, *, permit: bool) -> tuple[int, int]:
    """Return what a node covers as (label mask, confidentiality).

    Values of one criterion are OR-ed; an axis (privacy label, confidentiality) that is not named does not limit a
    permit and is not hit by a deny; a node that names neither covers and hits everything. It is worked out last, for a
    deny may inherit what a permit names, and the other way round.
    """
    if named is None:
        return labels.EVERY, NO_CONFIDENTIALITY if permit else 0
    mask, levels = named
    whole = mask & labels.UNSET == labels.UNSET
    if permit:
        covered = labels.EVERY if whole or not mask else mask | labels.NO_DISCLOSURE_TO_PATIENT
        return covered, max(levels, default=NO_CONFIDENTIALITY)
    # What its author keeps from the patient is no label: it makes a deny hit nothing that it would not hit without.
    every = labels.EVERY & ~labels.NO_DISCLOSURE_TO_PATIENT
    hit = every if whole else mask | (labels.UNKNOWN if mask else 0)
    return hit, min(levels, default=NO_CONFIDENTIALITY)


def disables_sharing(consent: Mapping[str, Any]) -> bool:
    """Return whether the Consent names policy "deny", by `policy` or `policyRule`: nobody else, in no emergency."""
    uris = {policy.get("uri") for policy in consent.get("policy", ())}
    rule = consent.get("policyRule", {})
    uris |= {coding.get("code") for coding in rule.get("coding", ())} | {rule.get("text")}
    uris |= {f"{coding.get('system', '')}/{coding.get('code', '')}" for coding in rule.get("coding", ())}
    return POLICY_DENY in uris


def _emergency_block(consent_key: int, patient_key: int) -> Grant:
    """Return the row of policy "deny": it votes on nothing and refuses emergency access."""
    node = _Node("Consent.policy", -1, -1, permit=False, criteria=_Criteria())
    grant = next(_grants(node, consent_key, patient_key))
    return replace(grant, labels=0, confidentiality=NO_CONFIDENTIALITY, actions=0, purposes=0, blocks_emergency=True)
