"""The gate in memory: one decision about one record, with its reason (access.md §4).

The other face of `visibility.Gate.predicate`, written apart from it: that one is a condition in SQL, this one counts
votes. Tests hold them to the same answer for every caller and record, and what explains a decision asks here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from fhir_server.access import labels
from fhir_server.access.visibility import DIRECTORY_TYPES, Gate, ScopeFilter
from fhir_server.store.grants import Grant
from fhir_server.store.keys import type_key

_DIRECTORY = frozenset(type_key(name) for name in DIRECTORY_TYPES)
_CONSENT = type_key("Consent")


class Reason(Enum):
    """Why a record exists for a caller, or does not."""

    OPERATOR = "operator"
    OWN_DATA = "own-data"
    DIRECTORY = "directory"
    REVIEW = "review"
    OWNER = "owner"
    CONSENT = "consent"
    EMERGENCY = "emergency"
    OUT_OF_SCOPE = "out-of-scope"
    DENIED = "denied"
    NO_PERMIT = "no-permit"
    NOT_WRITABLE = "not-writable"


class Verdict(NamedTuple):
    """A decision with what led to it.

    Attributes:
        visible: Whether the record exists for the caller.
        reason: The rule that decided.
        consents: Keys of the Consents whose votes counted, in ascending order.
    """

    visible: bool
    reason: Reason
    consents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What the gate knows of a record: never its content.

    Attributes:
        type: `keys.type_key` of its type.
        patients: Keys of every patient it belongs to.
        label: Mask of privacy labels.
        confidentiality: Level of v3-Confidentiality.
        author: Key of the organisation or person who created it, 0 for the operator.
        tokens: (parameter, system, code) of its token index, for granular scopes.
    """

    type: int
    patients: tuple[int, ...]
    label: int
    confidentiality: int
    author: int
    tokens: frozenset[tuple[int, int, int]] = frozenset()


def verdict(gate: Gate, record: Record, grants: Iterable[Grant]) -> Verdict:
    """Decide about one record.

    Args:
        gate: The caller at one instant.
        record: The record.
        grants: Grants of at least every patient of the record; others are ignored.
    """
    if gate.scopes is not None and not any(_in_scope(scope, record) for scope in gate.scopes):
        return Verdict(visible=False, reason=Reason.OUT_OF_SCOPE)
    if gate.everything:
        return Verdict(visible=True, reason=Reason.OPERATOR)
    written_here = record.author in gate.organizations
    if gate.own_only:
        return _may_write(gate, record, list(grants), written_here=written_here)
    if written_here and (record.type in gate.own_data_types if gate.own_data_types else record.type != _CONSENT):
        return Verdict(visible=True, reason=Reason.OWN_DATA)
    if record.type in gate.reviewed_types:
        return Verdict(visible=True, reason=Reason.REVIEW)
    if not record.patients:
        listed = gate.directory and record.type in _DIRECTORY
        return Verdict(listed, Reason.DIRECTORY if listed else Reason.NO_PERMIT)
    return _all(gate, record, list(grants))


def _may_write(gate: Gate, record: Record, grants: Sequence[Grant], *, written_here: bool) -> Verdict:
    refused = Verdict(visible=False, reason=Reason.NOT_WRITABLE)
    if gate.own:
        if not record.patients or not (written_here or record.type in gate.managed_types):
            return refused
    elif not written_here:
        return refused
    return _all(gate, record, grants) if record.patients else Verdict(visible=True, reason=Reason.OWN_DATA)


def _all(gate: Gate, record: Record, grants: Sequence[Grant]) -> Verdict:
    """Ask every patient; the first who does not permit decides."""
    found = Verdict(visible=False, reason=Reason.NO_PERMIT)
    consents: set[int] = set()
    for patient in record.patients:
        found = _patient(gate, record, patient, [grant for grant in grants if grant.patient == patient])
        consents.update(found.consents)
        if not found.visible:
            return found
    return found._replace(consents=tuple(sorted(consents)))


def _patient(gate: Gate, record: Record, patient: int, grants: Sequence[Grant]) -> Verdict:
    if gate.own == patient:
        return Verdict(visible=True, reason=Reason.OWNER)
    if record.type == _CONSENT:
        return Verdict(visible=False, reason=Reason.NO_PERMIT)
    votes = _votes(gate, record, grants) if gate.actors else {}
    if votes and all(votes.values()):
        return Verdict(visible=True, reason=Reason.CONSENT, consents=tuple(sorted(votes)))
    blocked = any(grant.blocks_emergency and grant.valid_from <= gate.at_us < grant.valid_to for grant in grants)
    if patient in gate.emergencies and not blocked and not record.label & ~labels.EVERY:
        return Verdict(visible=True, reason=Reason.EMERGENCY)
    against = tuple(sorted(consent for consent, permits in votes.items() if not permits))
    return Verdict(visible=False, reason=Reason.DENIED if against else Reason.NO_PERMIT, consents=against)


def _votes(gate: Gate, record: Record, grants: Sequence[Grant]) -> dict[int, bool]:
    """Return what each Consent says: True permits, False denies; one that says nothing is not in it."""
    hits: dict[int, dict[int, set[bool]]] = defaultdict(lambda: defaultdict(set))
    for grant in grants:
        if _hits(gate, record, grant):
            hits[grant.consent][grant.depth].add(grant.permit)
    return {consent: levels[max(levels)] == {True} for consent, levels in hits.items()}


def _hits(gate: Gate, record: Record, grant: Grant) -> bool:
    if grant.actor and grant.actor not in gate.actors:
        return False
    if not grant.valid_from <= gate.at_us < grant.valid_to or not grant.purposes & gate.purposes:
        return False
    if grant.permit:
        return not record.label & ~grant.labels and record.confidentiality <= grant.confidentiality
    return bool(record.label & grant.labels) or record.confidentiality >= grant.confidentiality


def _in_scope(scope: ScopeFilter, record: Record) -> bool:
    if scope.type and scope.type != record.type:
        return False
    if scope.patient and scope.patient not in record.patients and (record.patients or record.type not in _DIRECTORY):
        return False
    return all(
        any(wanted == param and its == code and system in {0, of} for wanted, of, its in record.tokens)
        for param, system, code in scope.tokens
    )
