"""Load many resources at once: the verbs of the road, many to a transaction, with what is done of the file in it.

Each resource is decided, validated, labelled, indexed and checked as a `create` or `update` of its own would be, by
the same functions. What is refused is named; the rest is stored, together with the row that says so
(`store.load_parts`). What the operator's load adds is one act on the log per transaction; what it replaces, and
whatever anybody else loads, is one per resource on the log of its patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from fhir_server.access import policy
from fhir_server.access.decide import decide, gate
from fhir_server.access.principal import Caller, Principal
from fhir_server.interactions import audit, bundle, conditional, finishing, references, road, writing
from fhir_server.interactions.job import Job, Pending
from fhir_server.interactions.load_texts import Entry, Refused, Text, groups, missing, parse, within
from fhir_server.interactions.model import Code, Context, Interaction, Trace
from fhir_server.interactions.perform import perform
from fhir_server.search import scopes
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.primitives import PRIMITIVES
from fhir_server.store import belonging, events, load_parts
from fhir_server.store.database import Session
from fhir_server.store.keys import reference_key
from fhir_server.store.load_parts import Part

ACTION = "load-resources"
_ROUNDS = 8
"""So many resources are left out of a transaction one by one; where more are refused, it is halved."""
_DATABASE_FAULTS = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT})
"""What says nothing about a resource: nothing is noted as done."""
_CONFLICTS = 3
"""So often somebody else, such as another process of the same load, may have been there first."""


def load(part: Part, texts: Sequence[Text], principal: Principal, context: Context) -> list[Part]:
    """Store the resources of some lines and return what became of them, in order.

    A Bundle of type `transaction` is posted; of every other Bundle the resources are taken. A resource with an id is
    put under that id.

    Args:
        part: Which lines of which file; those that are not among the texts are empty.
        texts: The lines.
        principal: Who loads.
        context: The server.

    Raises:
        FhirError: FORBIDDEN (403) for who may not choose ids; UNAVAILABLE or TIMEOUT (503) where the database does
            not answer: then these lines are not done.
    """
    if not policy.chooses_ids(principal):
        raise FhirError(Kind.FORBIDDEN, "Only the operator and an organisation's own system load resources")
    entries, refused = parse(texts, context)
    loading = _Loading(principal, context)
    done: list[Part] = []
    first = part.first_line
    every = list(groups(entries)) or [[]]
    for group in every:
        last = part.last_line if group is every[-1] else group[-1].line
        own = replace(part, first_line=first, last_line=last, refused=within(refused, first, last))
        if group and group[0].is_transaction:
            done.append(loading.post(own, group[0]))
        else:
            stored = loading.store(own, group)
            loading.record_refusals(stored)
            done += stored
        first = last + 1
    return done


class _RefusedError(Exception):
    """A resource cannot be stored beside the others: the transaction starts again without it."""

    def __init__(self, entry: Entry, error: FhirError) -> None:
        super().__init__(entry.line)
        self.entry, self.error = entry, error


@dataclass(frozen=True, slots=True)
class _Loading:
    principal: Principal
    context: Context
    refusals: dict[tuple[int, str], tuple[Entry, FhirError]] = field(default_factory=dict)
    """By line and place what was refused, perhaps in a transaction that was tried again."""

    def record_refusals(self, done: Sequence[Part]) -> None:
        """Write the AuditEvent of each refusal of somebody else's than the operator's own, as on the road."""
        if self.principal.caller is Caller.OPERATOR:
            return
        final = {each for part in done for each in part.refused}
        for entry, error in self.refusals.values():
            if entry.refused(error) in final:
                interaction = _interaction(entry.resource)
                road.record_refusal(interaction, self.principal, self.context, Trace(), error)
        self.refusals.clear()

    def _current(self) -> Context:
        """Return the server with the search parameters and profiles that an operator has put in force by now."""
        context = self.context
        return replace(context, definitions=context.live()) if context.live else context

    def _refuse(self, entry: Entry, error: FhirError) -> Refused:
        self.refusals[entry.line, entry.where] = entry, error
        return entry.refused(error)

    def store(self, part: Part, entries: Sequence[Entry]) -> list[Part]:
        """Store resources in one transaction, or in more where what is stored already refuses many of them."""
        waiting, refused = list(entries), list(part.refused)
        middle = _middle(waiting)
        rounds = conflicts = 0
        while middle is None or rounds < _ROUNDS:
            rounds += 1
            try:
                return [self._store_once(replace(part, refused=tuple(refused)), waiting)]
            except _RefusedError as found:
                refused.append(self._refuse(found.entry, found.error))
                waiting.remove(found.entry)
            except FhirError as error:
                if error.kind in _DATABASE_FAULTS or not waiting:
                    raise
                if error.kind is Kind.CONFLICT and conflicts < _CONFLICTS:
                    conflicts += 1
                    continue
                if middle is not None:
                    break
                # What is in one line stands and falls together.
                refused.append(self._refuse(waiting[0]._replace(where=""), error))
                waiting = []
            middle = _middle(waiting)
        border = waiting[middle].line
        halves = (
            replace(part, last_line=border - 1, refused=within(refused, 0, border - 1)),
            replace(part, first_line=border, refused=within(refused, border, part.last_line)),
        )
        return [*self.store(halves[0], waiting[:middle]), *self.store(halves[1], waiting[middle:])]

    def _store_once(self, part: Part, entries: Sequence[Entry]) -> Part:
        refused, context = list(part.refused), self._current()
        with context.store.write() as session:
            batch = _Batch.open(session, self.principal, context, entries)
            loaded_count = 0
            for entry in entries:
                try:
                    batch.add(entry)
                    loaded_count += 1
                except FhirError as error:
                    if batch.is_touched_by(entry):
                        raise _RefusedError(entry, error) from error
                    refused.append(self._refuse(entry, error))
            finishing.finish(batch.job)
            done = replace(part, loaded_count=loaded_count, refused=tuple(sorted(refused)))
            # INVARIANT: after `finish`: an event names the patient by an id that may only just have been stored.
            events.append(session, batch.events(done))
            load_parts.note(session, done)
        return done

    def post(self, part: Part, entry: Entry) -> Part:
        """Post a transaction Bundle; whether it was stored or refused, its line is done."""
        interaction = Interaction(Code.TRANSACTION, resource=entry.resource)
        found = entry.resource.get("entry", ())
        done = replace(part, loaded_count=len(found) if isinstance(found, list) else 0)

        def note(session: Session) -> None:
            load_parts.note(session, done)

        try:
            bundle.process(interaction, self.principal, self._current(), perform, beside=note)
        except FhirError as error:
            if error.kind in _DATABASE_FAULTS:
                raise
            done = replace(part, refused=(*part.refused, entry.refused(error)))
            with self.context.store.write() as session:
                load_parts.note(session, done)
        return done


@dataclass(frozen=True, slots=True)
class _Batch:
    """The resources of one transaction."""

    job: Job
    known: set[int]
    """Keys of rows that are there, or were added here."""
    acts: list[tuple[Job, Interaction, int]] = field(default_factory=list)
    """What has an event of its own."""
    added: Counter[str] = field(default_factory=Counter)
    """New resources by type."""

    @classmethod
    def open(cls, session: Session, principal: Principal, context: Context, entries: Sequence[Entry]) -> _Batch:
        narrow = partial(scopes.narrowing, context.definitions, context.fhir_base)
        decision = decide(session, principal, narrow, context.now(), "u")
        job = Job(session, principal, context, decision, Trace(), Pending())
        return cls(job, belonging.present(session, [key for each in entries if (key := _key(each.resource))]))

    def add(self, entry: Entry) -> None:
        resource = entry.resource
        kind, logical_id = resource["resourceType"], resource.get("id", "")
        interaction = Interaction(Code.UPDATE if logical_id else Code.CREATE, kind, logical_id, resource=resource)
        writing.body_of(interaction)
        if entry.may_be_conditional and references.has_conditional(resource):
            resource = references.rewrite(resource, {}, self._find, self.job.definitions)
            interaction = replace(interaction, resource=resource)
        job = self.job
        gate(job.principal, "u" if logical_id else "c", kind)
        if _key(resource) in self.known:
            job = replace(job, trace=Trace())
            job.pending.flush(job.session)
            self.acts.append((job, interaction, road.run(job, interaction).status))
            return
        new = writing.add(job, kind, logical_id or job.context.new_id(), resource)
        self.known.add(new.key)
        self.added[kind] += 1
        if job.principal.caller is not Caller.OPERATOR:
            job = replace(job, trace=Trace())
            job.trace.touch(new.patients, kind, new.id, 1, new.content)
            self.acts.append((job, replace(interaction, id=new.id), 201))

    def is_touched_by(self, entry: Entry) -> bool:
        """Return whether something of a refused resource may be written, or waiting to be."""
        creates = self.job.pending.creates
        return _key(entry.resource) in self.known or bool(creates and creates[-1].key not in self.known)

    def events(self, part: Part) -> list[events.Event]:
        found = [event for act in self.acts for event in road.events_of(*act)]
        principal, context = self.job.principal, self.job.context
        if self.added and principal.caller is Caller.OPERATOR:
            what = ", ".join(f"{count} {kind}" for kind, count in sorted(self.added.items()))
            text = f"lines {part.first_line} to {part.last_line} of {part.file.rpartition('/')[2]}: {what}"
            found.append(audit.administration_event(principal, context, action=ACTION, description=text, status=200))
        return found

    def _find(self, kind: str, criteria: tuple[tuple[str, str], ...]) -> str:
        self.job.pending.flush(self.job.session)
        match = conditional.find(self.job, kind, criteria)
        if match is None:
            raise missing(kind)
        return match.id


def _interaction(resource: Mapping[str, Any]) -> Interaction:
    """Return what is refused, under its id where it has a possible one."""
    logical_id = resource.get("id")
    if not isinstance(logical_id, str) or not PRIMITIVES["id"].accepts(logical_id):
        return Interaction(Code.CREATE, resource["resourceType"], resource=resource)
    return Interaction(Code.UPDATE, resource["resourceType"], logical_id, resource=resource)


def _key(resource: Mapping[str, Any]) -> int:
    """Return the key that a resource asks for, 0 for none."""
    logical_id = resource.get("id")
    return reference_key(str(resource["resourceType"]), logical_id) if logical_id and isinstance(logical_id, str) else 0


def _middle(entries: Sequence[Entry]) -> int | None:
    """Return where to part these entries so that no line is in both parts, None where they are of one line."""
    half = len(entries) // 2
    borders = [index for index in range(1, len(entries)) if entries[index].line != entries[index - 1].line]
    return min(borders, key=lambda index: abs(index - half), default=None)
