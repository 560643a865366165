"""A decision in plain words: what the gate's verdict rests on, rule by rule.

INVARIANT: every decision is `access.verdict`'s. Where this says what would have to be different, it asks the same
verdict about a record or a gate that differs in that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

from fhir_server.access import labels
from fhir_server.access.verdict import Reason, Record, Verdict, verdict
from fhir_server.access.visibility import Gate
from fhir_server.store.grants import EmergencyAccess, Grant
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import NONE

_LATEST: Final = to_us(datetime.max.replace(tzinfo=UTC))
_SAYS: Final = {
    "operator": "The record's operator sees everything; each use is recorded as such.",
    "own-data": "They, or the organisation they work for, created this. An author always sees its own data.",
    "directory": "It is part of the directory, which anyone who is signed in can see.",
    "review": "Their role reviews records of this kind.",
    "owner": "It is their own record.",
    "consent": "A Consent permits it and none denies it.",
    "emergency": "They opened the record in an emergency. That ends by itself and the patient is told.",
    "out-of-scope": "Their access does not reach records of this kind.",
    "denied": "A Consent denies it. A denial counts more than any permission.",
    "no-permit": "No Consent in force permits it. Without a permission nobody sees anything.",
    "not-writable": "They may not change it.",
    "withheld": "Its author withheld it from the patient and family, or it is not released to them yet.",
}
_NO_GRANT: Final = "None names them, one of their roles, their organisations or teams."
_OTHER_LABEL: Final = "What is shared with them leaves out information of this kind."
_OTHER: Final = "What is shared with them does not cover this record, purpose or time."
_SHARING_OFF: Final = "All sharing is switched off: nobody can open the record, not even in an emergency."
_OWN_DATA: Final = "Own data: they, or the organisation they work for, created this."


class Rule(NamedTuple):
    """One rule that applies.

    Attributes:
        consent: Key of the Consent that has it, 0 for a rule of the server.
        node: Path of the provision.
        permit: What it says.
        stands: Whether it counts; a provision inside it may say otherwise.
        text: Why it applies, in plain words.
    """

    consent: int
    node: str
    permit: bool
    stands: bool
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """Whether one gate lets one record through.

    Attributes:
        gate: The actor's.
        record: What the gate knows of the record.
        grants: Those of every patient of the record.
        emergencies: The actor's own emergency accesses to these patients that are running.
    """

    gate: Gate
    record: Record
    grants: Sequence[Grant]
    emergencies: tuple[EmergencyAccess, ...] = ()

    def verdict(self) -> Verdict:
        """Return the gate's decision."""
        return verdict(self.gate, self.record, self.grants)

    def in_words(self) -> str:
        """Return the reason of the decision; where nothing permits, also what is missing."""
        found = self.verdict()
        says = _SAYS.get(found.reason.value, found.reason.value)
        if found.reason is not Reason.NO_PERMIT:
            return says
        if not any(grant.permit for grant in self._naming()):
            return f"{says} {_NO_GRANT}"
        plain = replace(self.record, label=labels.GENERAL, confidentiality=labels.NORMAL)
        would = verdict(self.gate, plain, self.grants).visible
        return f"{says} {_OTHER_LABEL if would else _OTHER}"

    def rules(self) -> Iterator[Rule]:
        """Yield what applies: provisions that hit, own data, sharing switched off, emergency accesses."""
        by_node = {(grant.consent, grant.node): grant for grant in self.grants}
        # An author's verdict needs no vote; what the Consents say beside it is worth knowing, too.
        for vote in verdict(replace(self.gate, organizations=()), self.record, self.grants).votes:
            text = _provision(by_node.get((vote.consent, vote.node)), permit=vote.permit, stands=vote.stands)
            yield Rule(vote.consent, vote.node, vote.permit, vote.stands, text)
        if self.verdict().reason is Reason.OWN_DATA:
            yield Rule(NONE, "", permit=True, stands=True, text=_OWN_DATA)
        blocks = [grant for grant in self.grants if grant.blocks_emergency and self._in_force(grant)]
        for grant in blocks:
            yield Rule(grant.consent, grant.node, permit=False, stands=True, text=_SHARING_OFF)
        for access in self.emergencies:
            text = f"Emergency access until {_instant(access.expires_at)}, only in the sign-in that started it."
            stands = not any(grant.patient == access.patient for grant in blocks)
            yield Rule(NONE, "", permit=True, stands=stands, text=text)

    def _naming(self) -> list[Grant]:
        """Return the grants in force that name the actor, or anyone."""
        named = {NONE, *self.gate.actors}
        return [
            each for each in self.grants if each.actor in named and self._in_force(each) and not each.blocks_emergency
        ]

    def _in_force(self, grant: Grant) -> bool:
        return grant.valid_from <= self.gate.at_us < grant.valid_to


def _provision(grant: Grant | None, *, permit: bool, stands: bool) -> str:
    text = "Permits it" if permit else "Denies it"
    if grant is not None:
        text += " to anyone" if grant.actor == NONE else " to them"
        if grant.valid_to <= _LATEST:
            text += f" until {_instant(grant.valid_to)}"
    return f"{text}." if stands else f"{text}, but a provision inside it says otherwise."


def _instant(at_us: int) -> str:
    at = from_us(at_us)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"
