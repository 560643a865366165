"""The gate in memory: one decision about one record, with its reason (access.md §4).

The other face of `visibility.Gate.predicate`, written apart from it: that one is a condition in SQL, this one counts
votes. Tests hold them to the same answer for every caller and record, and what explains a decision asks here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from fhir_server.access import labels
from fhir_server.access.rare import AUTHORS, BINARY, PATIENT, PROVENANCE
from fhir_server.access.visibility import DIRECTORY_TYPES, Gate, ScopeFilter
from fhir_server.store.grants import AUTHORED_BY, INSTANCE, RELATED, Grant
from fhir_server.store.keys import type_key
from fhir_server.store.visibility import RowCondition

_DIRECTORY = frozenset(type_key(name) for name in DIRECTORY_TYPES)
_CONSENT, _TASK = type_key("Consent"), type_key("Task")


class Reason(Enum):
    """Why a record exists for a caller, or does not."""

    OPERATOR = "operator"
    OWN_DATA = "own-data"
    DIRECTORY = "directory"
    REVIEW = "review"
    OWNER = "owner"
    CONSENT = "consent"
    EMERGENCY = "emergency"
    WITHHELD = "withheld"
    OUT_OF_SCOPE = "out-of-scope"
    DENIED = "denied"
    NO_PERMIT = "no-permit"
    NOT_WRITABLE = "not-writable"


class Vote(NamedTuple):
    """A node of a Consent that hit.

    Attributes:
        consent: Key of the Consent.
        node: FHIRPath of the node.
        permit: Permits, or denies.
        stands: Counts: a permit always, a deny unless a permit within it hits.
    """

    consent: int
    node: str
    permit: bool
    stands: bool


class Verdict(NamedTuple):
    """A decision with what led to it.

    Attributes:
        visible: Whether the record exists for the caller.
        reason: The rule that decided.
        consents: Keys of the Consents whose votes counted, in ascending order.
        votes: Every node that hit, of all patients asked.
    """

    visible: bool
    reason: Reason
    consents: tuple[int, ...] = ()
    votes: tuple[Vote, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What the gate knows of a record: never its content.

    Attributes:
        type: `keys.type_key` of its type.
        patients: Keys of every patient it belongs to.
        label: Mask of privacy labels.
        confidentiality: Level of v3-Confidentiality.
        author: Key of the organisation or person who created it, 0 for the operator.
        tokens: (parameter, system, code) of its token index, for codes.
        key: Its own key.
        released_at: From when the patient sees it, microseconds since the epoch.
        dates: Clinical time, half-open; None where it has none.
        references: (parameter, key of the target) of what it refers to.
        referred_by: Keys of what refers to it.
        subject: The record that a Binary belongs to.
        contained: (parameter, system, code) of what it contains.
        meets: Restrictions of granular scopes that it is known to meet; search alone can tell.
    """

    type: int
    patients: tuple[int, ...]
    label: int
    confidentiality: int
    author: int
    tokens: frozenset[tuple[int, int, int]] = frozenset()
    key: int = 0
    released_at: int = 0
    dates: tuple[int, int] | None = None
    references: frozenset[tuple[int, int]] = frozenset()
    referred_by: frozenset[int] = frozenset()
    subject: Record | None = None
    contained: frozenset[tuple[int, int, int]] = frozenset()
    meets: frozenset[RowCondition] = frozenset()


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
    if record.type in gate.reviewed_types and not (record.type == _TASK and record.author):
        return Verdict(visible=True, reason=Reason.REVIEW)
    if not record.patients:
        listed = gate.directory and record.type in _DIRECTORY
        return Verdict(listed, Reason.DIRECTORY if listed else Reason.NO_PERMIT)
    return _all(gate, record, list(grants))


def _may_write(gate: Gate, record: Record, grants: Sequence[Grant], *, written_here: bool) -> Verdict:
    refused = Verdict(visible=False, reason=Reason.NOT_WRITABLE)
    if gate.managed_types:
        if not record.patients or not (written_here or record.type in gate.managed_types):
            return refused
    elif not written_here:
        return refused
    return _all(gate, record, grants) if record.patients else Verdict(visible=True, reason=Reason.OWN_DATA)


def _all(gate: Gate, record: Record, grants: Sequence[Grant]) -> Verdict:
    """Ask every patient; the first who does not permit decides."""
    found = Verdict(visible=False, reason=Reason.NO_PERMIT)
    consents: set[int] = set()
    votes: list[Vote] = []
    for patient in record.patients:
        found = _patient(gate, record, patient, [grant for grant in grants if grant.patient == patient])
        consents.update(found.consents)
        votes += found.votes
        if not found.visible:
            return found._replace(votes=tuple(votes))
    return found._replace(consents=tuple(sorted(consents)), votes=tuple(votes))


def _patient(gate: Gate, record: Record, patient: int, grants: Sequence[Grant]) -> Verdict:
    if gate.shielded and (record.label & labels.NO_DISCLOSURE_TO_PATIENT or record.released_at > gate.at_us):
        return Verdict(visible=False, reason=Reason.WITHHELD)
    if gate.own == patient:
        return Verdict(visible=True, reason=Reason.OWNER)
    votes = _votes(gate, record, grants) if gate.actors else ()
    against = tuple(sorted({vote.consent for vote in votes if not vote.permit and vote.stands}))
    permits = tuple(sorted({vote.consent for vote in votes if vote.permit}))
    if permits and not against:
        return Verdict(visible=True, reason=Reason.CONSENT, consents=permits, votes=votes)
    blocked = any(grant.blocks_emergency and grant.valid_from <= gate.at_us < grant.valid_to for grant in grants)
    if patient in gate.emergencies and not blocked and not record.label & ~labels.EVERY and record.type != _CONSENT:
        return Verdict(visible=True, reason=Reason.EMERGENCY, votes=votes)
    reason = Reason.DENIED if against else Reason.NO_PERMIT
    return Verdict(visible=False, reason=reason, consents=against, votes=votes)


def _votes(gate: Gate, record: Record, grants: Sequence[Grant]) -> tuple[Vote, ...]:
    """Return the nodes that hit; a deny within which a permit hits is excepted."""
    # One that only disables sharing has neither label nor level, so it hits nothing.
    hits = [grant for grant in grants if _hits(gate, record, grant)]
    found: dict[Vote, None] = {}
    for grant in hits:
        excepted = not grant.permit and any(
            other.permit and other.consent == grant.consent and grant.position < other.position <= grant.ends
            for other in hits
        )
        found[Vote(grant.consent, grant.node, grant.permit, not excepted)] = None
    return tuple(found)


def _hits(gate: Gate, record: Record, grant: Grant) -> bool:
    if grant.actor and grant.actor not in gate.actors:
        return False
    if not grant.valid_from <= gate.at_us < grant.valid_to or not grant.actions & gate.action:
        return False
    if not grant.purposes & gate.purposes and grant.purpose not in gate.other_purposes:
        return False
    if grant.permit:
        labelled = not record.label & ~grant.labels and record.confidentiality <= grant.confidentiality
        labelled = labelled and (record.type != _CONSENT or grant.type == _CONSENT)
    else:
        labelled = bool(record.label & grant.labels) or record.confidentiality >= grant.confidentiality
    return labelled and (not grant.rare or _meets(record, grant))


def _meets(record: Record, grant: Grant) -> bool:
    """Return whether the record meets the node's criteria on content; a deny hits where the record does not say."""
    if record.type == PROVENANCE:
        return not grant.permit
    if record.type == BINARY and record.subject is not None:
        return _meets(record.subject, grant)
    if grant.type and grant.type != record.type:
        return False
    # What contains a permitted result may hold others beside it.
    known = record.tokens if grant.permit else record.tokens | record.contained
    codes = {(code, system) for _, system, code in known}
    if grant.code and not any(code == grant.code and grant.system in {0, system} for code, system in codes):
        return False
    return _in_time(record, grant) and _relates(record, grant)


def _in_time(record: Record, grant: Grant) -> bool:
    if grant.data_from is None or grant.data_to is None:
        return True
    if record.dates is None:
        return not grant.permit and record.type != PATIENT
    if grant.permit:
        return grant.data_from <= record.dates[0] and record.dates[1] <= grant.data_to
    return record.dates[0] < grant.data_to and grant.data_from < record.dates[1]


def _relates(record: Record, grant: Grant) -> bool:
    refers_to = {target for _, target in record.references}
    match grant.meaning:
        case 0:
            return True
        case meaning if meaning == AUTHORED_BY:
            written = {target for param, target in record.references if param in AUTHORS}
            return grant.target == record.author or grant.target in written
        case meaning if record.key == grant.target or meaning == INSTANCE:
            return record.key == grant.target
        case meaning:
            return grant.target in refers_to or (meaning == RELATED and grant.target in record.referred_by)


def _in_scope(scope: ScopeFilter, record: Record) -> bool:
    if scope.type and scope.type != record.type:
        return False
    if scope.patient and scope.patient not in record.patients and (record.patients or record.type not in _DIRECTORY):
        return False
    return scope.narrowing is None or scope.narrowing in record.meets
