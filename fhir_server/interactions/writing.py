"""create, update, patch and delete of one resource (https://hl7.org/fhir/R4/http.html#create and following).

A write needs the old version readable and writable and the new one writable. The new rows are checked where they
stand, by the same predicate, at the end of the transaction (`finish`), so nothing can be written that the gate would
not let the writer write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from fhir_server.access import labels, policy, relabelling
from fhir_server.access.decide import author_of
from fhir_server.access.ownership import is_result, linked_keys, own_confidentiality, own_label, patients_of
from fhir_server.access.principal import Caller
from fhir_server.access.visibility import Gate
from fhir_server.interactions import conditional, effects, fhirpath_patch, shared_verdicts
from fhir_server.interactions.checking import validate
from fhir_server.interactions.etags import check_version
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Outcome
from fhir_server.interactions.patching import apply_merge, apply_patch
from fhir_server.interactions.reading import location, outcome_of
from fhir_server.search import index
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import date_interval, instant_text
from fhir_server.spec.xml_patch import apply_xml_patch
from fhir_server.store import belonging, directory, resources
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import reference_key
from fhir_server.store.resources import NewVersion, Version

_HIGHEST_VERSION = 2**31 - 1


def create(job: Job, interaction: Interaction) -> Outcome:
    """Store a new resource under an id of the server's choice.

    With `If-None-Exist`, one visible match is the answer instead (200), more are 412.
    """
    body = body_of(interaction)
    if interaction.if_none_exist:
        found = conditional.find(job, interaction.type, interaction.if_none_exist)
        if found is not None:
            conditional.check_birth_date(job, found, body)
            return _existing(job, found)
    return insert(job, interaction.type, job.context.new_id(), body)


def update(job: Job, interaction: Interaction) -> Outcome:
    """Replace a resource, or create it under the caller's id where policy allows that.

    Raises:
        FhirError: 400 for a body id that differs, 404 where the caller may not choose ids, 403 for a row it may not
            write, 412 for a stale `If-Match`, 409 for an id that is taken by what the caller may not see.
    """
    body = body_of(interaction)
    logical_id = interaction.id
    if interaction.conditional:
        found = conditional.find(job, interaction.type, interaction.conditional)
        if found is None:
            if "id" in body:
                return _update_as_create(job, interaction, str(body["id"]), body)
            return insert(job, interaction.type, job.context.new_id(), body)
        conditional.check_birth_date(job, found, body)
        logical_id = found.id
        if body.get("id", logical_id) != logical_id:
            raise FhirError(
                Kind.INVALID_VALUE, "The id in the body is not that of the resource found", (f"{interaction.type}.id",)
            )
    elif body.get("id") != logical_id:
        raise FhirError(
            Kind.INVALID_VALUE, f"The body must have the id of the URL, {logical_id}", (f"{interaction.type}.id",)
        )
    old = resources.get(job.session, job.decision.readable, interaction.type, logical_id, job.decision.writable)
    if old is None:
        return _update_as_create(job, interaction, logical_id, body)
    return _replace(job, interaction, old, body)


def patch(job: Job, interaction: Interaction) -> Outcome:
    """Apply a patch of any of the four kinds to the current version and store the result as an update.

    Raises:
        FhirError: NOT_FOUND for absent and hidden alike, GONE (410) for deleted; MULTIPLE_MATCHES (412) for criteria
            that do not find one; 422 for a result that is not valid; FORBIDDEN (403) for a token to write only.
    """
    # Whether a patch fits tells what is stored: `test`, a path, a condition in FHIRPath or XPath.
    if not _may_read(job, interaction.type):
        raise FhirError(Kind.FORBIDDEN, f"A patch needs scope to read {interaction.type}, too")
    logical_id = interaction.id
    if interaction.conditional:
        found = conditional.find(job, interaction.type, interaction.conditional)
        if found is None:
            raise FhirError(Kind.NOT_FOUND, f"No {interaction.type} matches the criteria")
        logical_id = found.id
    job.pending.flush(job.session)
    old = resources.get(job.session, job.decision.readable, interaction.type, logical_id, job.decision.writable)
    if old is None:
        raise FhirError(Kind.NOT_FOUND, f"{interaction.type}/{logical_id} is not known")
    if old.content is None:
        raise FhirError(Kind.GONE, f"{interaction.type}/{logical_id} was deleted")
    check_version(interaction, old)
    before = json.decode(old.content, len(old.content) + 1)
    if interaction.resource is not None:
        body = fhirpath_patch.apply(job.definitions, before, interaction.resource)
    elif interaction.xml_patch:
        body = apply_xml_patch(job.definitions, before, interaction.xml_patch)
    elif interaction.merge_patch is not None:
        body = apply_merge(before, interaction.merge_patch)
    else:
        body = apply_patch(before, interaction.patch)
    if body.get("resourceType") != interaction.type or body.get("id") != logical_id:
        raise FhirError(Kind.INVALID_CONTENT, "A patch must not change resourceType or id", (f"{interaction.type}.id",))
    return _replace(job, interaction, old, body)


def delete(job: Job, interaction: Interaction) -> Outcome:
    """Delete a resource, or all that criteria find; one that is absent, hidden or deleted already is the same 204.

    Raises:
        FhirError: MULTIPLE_MATCHES (412) for more matches than the policy lets this caller delete at once, or for
            several and `If-Match`; FORBIDDEN (403) for a row that it may not write: then none is deleted.
    """
    if not interaction.conditional:
        return _delete_one(job, interaction, interaction.id)
    found = conditional.find_several(job, interaction.type, interaction.conditional, deleted_at_once(job))
    if len(found) > 1 and interaction.if_match:
        raise FhirError(Kind.MULTIPLE_MATCHES, "If-Match names the version of one resource; several match the criteria")
    deleted = [_delete_one(job, interaction, each.id) for each in found]
    return deleted[0] if len(deleted) == 1 else Outcome(204)


def deleted_at_once(job: Job) -> int:
    """Return how many resources this caller may delete by one condition."""
    return job.context.conditional_deletes if policy.deletes_several(job.principal) else 1


def _delete_one(job: Job, interaction: Interaction, logical_id: str) -> Outcome:
    job.pending.flush(job.session)
    old = resources.get(job.session, job.decision.readable, interaction.type, logical_id, job.decision.writable)
    if old is None or old.deleted:
        return Outcome(204)
    check_version(interaction, old)
    if not _is_changeable(old):
        raise _not_replaceable(old)
    patients = _patients_of(job, old)
    new = NewVersion(
        old.key, old.type, old.id, old.version + 1, _now_us(job, old), None, patients,
        old.label, old.confidentiality, old.author, old.context, old.released_at,
    )  # fmt: skip
    resources.put(job.session, new)
    effects.deleted(job, old)
    job.trace.touch(patients, old.type, old.id, new.version)
    return Outcome(204, b"", old.type, old.id, new.version)


def insert(job: Job, resource_type: str, logical_id: str, body: Mapping[str, Any]) -> Outcome:
    """Validate and queue a first version under this id, and answer with it.

    Raises:
        FhirError: FORBIDDEN (403) for a type that the caller never writes, such as by a conditional update.
    """
    new = add(job, resource_type, logical_id, body)
    job.trace.touch(new.patients, resource_type, logical_id, 1, new.content)
    return _disclose(job, new, 201)


def add(job: Job, resource_type: str, logical_id: str, body: Mapping[str, Any]) -> NewVersion:
    """Validate and queue a first version under this id, see `insert`."""
    if not policy.writes(job.principal, resource_type):
        raise FhirError(Kind.FORBIDDEN, f"This caller may not write {resource_type}")
    resource = {**body, "id": logical_id}
    validate(job, resource)
    patients = patients_of(job.definitions, resource, job.context.fhir_base)
    resource = _labelled(job, None, resource, patients)
    author, now_us = author_of(job.principal), to_us(job.context.now())
    new = assemble(job, resource, patients, version=1, author=author, updated_at=now_us)
    if released_at := _released_at(job, resource, new):
        new = replace(new, released_at=released_at)
    effects.before_write(job, resource, new)
    job.pending.add(new, job.decision.writable)
    effects.written(job, resource, new)
    return new


def replace_version(job: Job, old: Version, body: Mapping[str, Any]) -> Outcome:
    """Validate and store the next version of a resource; whose data it is does not change."""
    body = {**body, "id": old.id}
    validate(job, body)
    body = _labelled(job, _content_before(job, old), body, _patients_of(job, old))
    return _store_next(job, old, body, job.decision.writable)


def _store_next(job: Job, old: Version, body: dict[str, Any], gate: Gate) -> Outcome:
    new = assemble(job, body, version=old.version + 1, author=old.author, updated_at=_now_us(job, old))
    new = replace(new, released_at=old.released_at)
    job.pending.flush(job.session)
    effects.before_write(job, body, new)
    resources.put(job.session, new)
    job.pending.replaced(new, gate)
    if (new.label, new.confidentiality, new.patients) != (old.label, old.confidentiality, _sole(old)):
        job.pending.moved.append(new.key)
    effects.written(job, body, new)
    job.trace.touch(new.patients, old.type, old.id, new.version, new.content)
    return _disclose(job, new, 201 if old.deleted else 200)


def assemble(
    job: Job, body: dict[str, Any], patients: tuple[int, ...] = (), *, version: int, author: int, updated_at: int
) -> NewVersion:
    """Return the version to store: `id` and `meta` right after `resourceType`, everything else as it was sent."""
    kind, logical_id = str(body["resourceType"]), str(body["id"])
    base, key = job.context.fhir_base, reference_key(kind, logical_id)
    patients = patients or patients_of(job.definitions, body, base)
    linked = linked_keys(body, base)
    context = linked[0] if linked and kind == "Binary" else 0
    label = own_label(body, _author_organization(job, author))
    meta: dict[str, Any] = {"versionId": str(version), "lastUpdated": instant_text(from_us(updated_at))}
    sent_meta = body.get("meta") or {}
    meta |= {name: value for name, value in sent_meta.items() if name not in meta}
    if patients and (added := labels.codings_for(label, body)):
        meta["security"] = [*meta.get("security", ()), *added]
    resource = {"resourceType": kind, "id": logical_id, "meta": meta}
    resource |= {name: value for name, value in body.items() if name not in resource}
    found = index.derive(job.definitions, resource, key=key, patient=next(iter(patients), 0), fhir_base=base)
    return NewVersion(
        key=key,
        type=kind,
        id=logical_id,
        version=version,
        updated_at=updated_at,
        content=json.encode(resource),
        patients=patients,
        label=label,
        confidentiality=own_confidentiality(resource),
        author=author,
        context=context,
        code=found.hot.code,
        date_lo=found.hot.date_lo,
        date_hi=found.hot.date_hi,
        index=found.rows,
    )


def finish(job: Job) -> None:
    """Insert what waits, settle what shares another's verdict, and check every written row against the gate.

    Raises:
        FhirError: FORBIDDEN (403) when a new row is not one that the caller may write; the transaction is rolled back.
    """
    job.pending.flush(job.session)
    shared_verdicts.settle(job)
    by_gate: dict[Gate, list[int]] = defaultdict(list)
    for key, gate in job.pending.gates.items():
        by_gate[gate].append(key)
    for gate, keys in by_gate.items():
        if resources.outside(job.session, gate, keys):
            raise FhirError(Kind.FORBIDDEN, "The caller may not write this resource for this patient")


def _released_at(job: Job, resource: Mapping[str, Any], new: NewVersion) -> int:
    """Return from when the patient sees a new resource: later than at once only for a recent result of others."""
    embargo = job.context.result_embargo
    if not embargo or job.principal.caller in {Caller.PATIENT, Caller.RELATED} or not is_result(resource):
        return 0
    # Of a culture or histology the sample is weeks old when the result is new.
    issued_at = date_interval(str(resource["issued"]))[0] if "issued" in resource else new.date_lo
    known_at = min(new.updated_at, issued_at or new.updated_at)
    until = known_at + embargo // timedelta(microseconds=1)
    return until if until > new.updated_at else 0


def _update_as_create(job: Job, interaction: Interaction, logical_id: str, body: Mapping[str, Any]) -> Outcome:
    if interaction.if_match:
        raise FhirError(
            Kind.VERSION_REQUIRED, f"If-Match names a version, but {interaction.type}/{logical_id} is not known"
        )
    if not policy.chooses_ids(job.principal):
        raise FhirError(Kind.NOT_FOUND, f"{interaction.type}/{logical_id} is not known; create it with POST")
    job.session.lock(reference_key(interaction.type, logical_id))
    if resources.current(job.session, interaction.type, logical_id) is not None:
        raise FhirError(Kind.CONFLICT, f"The id {logical_id} cannot be used")
    return insert(job, interaction.type, logical_id, body)


def _replace(job: Job, interaction: Interaction, old: Version, body: Mapping[str, Any]) -> Outcome:
    """Store the next version: any by who may write the row, else a new label by who decides about the record."""
    check_version(interaction, old)
    if policy.writes(job.principal, old.type) and _is_changeable(old):
        return replace_version(job, old, body)
    gate = relabelling.reach(job.decision.readable)
    if old.content is None or not policy.relabels(job.principal, old.type) or not _decides(job, gate, old):
        raise _not_replaceable(old)
    validate(job, body)
    body = relabelling.relabelled(json.decode(old.content, len(old.content) + 1), body)
    return _store_next(job, old, body, gate)


def _decides(job: Job, gate: Gate, old: Version) -> bool:
    if old.version >= _HIGHEST_VERSION or resources.outside(job.session, gate, [old.key]):
        return False
    patients = _patients_of(job, old)
    return relabelling.may_choose(job.session, job.decision.writable, patients)


def _is_changeable(old: Version) -> bool:
    return old.version < _HIGHEST_VERSION and old.changeable


def _not_replaceable(old: Version) -> FhirError:
    return FhirError(Kind.FORBIDDEN, f"The caller may not change {old.type}/{old.id}")


def _existing(job: Job, found: conditional.Match) -> Outcome:
    job.trace.touch(found.patients, found.type, found.id, found.version)
    seen = resources.get(job.session, job.decision.readable, found.type, found.id)
    if seen is not None and _may_read(job, found.type):
        return outcome_of(seen, 200, job.context.fhir_base)
    # A feed's match by NHS number over the whole index discloses the logical id and nothing else.
    return Outcome(200, b"", found.type, found.id, 0, None, f"{job.context.fhir_base}/{found.type}/{found.id}")


def _may_read(job: Job, resource_type: str) -> bool:
    """Return whether a write may answer with stored content: a token to write only must not become one to read."""
    return job.principal.scopes.allows("r", resource_type)


def _patients_of(job: Job, old: Version) -> tuple[int, ...]:
    """Return the keys of all patients that a stored version belongs to."""
    return belonging.owners(job.session, (old.key,))[0] if old.multi else _sole(old)


def _sole(old: Version) -> tuple[int, ...]:
    return () if old.multi else tuple(filter(None, (old.patient,)))


def _content_before(job: Job, old: Version) -> Mapping[str, Any] | None:
    """Return the content of the replaced version, of a deleted resource that of its last one."""
    if old.content is None:
        everything = Gate(0, everything=True)
        last = resources.version(job.session, everything, old.type, old.id, old.version - 1)
        content = last.content if last else None
    else:
        content = old.content
    return json.decode(content, len(content) + 1) if content else None


def _labelled(
    job: Job, before: Mapping[str, Any] | None, body: Mapping[str, Any], patients: tuple[int, ...]
) -> dict[str, Any]:
    """Return the next version with what remains of the labels of the replaced one (R4 leaves that to servers)."""
    if job.principal.caller is Caller.OPERATOR and relabelling.is_chosen(body):
        return dict(body)  # A record that is moved here brings what its patient chose.
    if relabelling.may_choose(job.session, job.decision.writable, patients):
        return relabelling.by_owner(before, body)
    return relabelling.by_author(before, body)


def _disclose(job: Job, new: NewVersion, status: int) -> Outcome:
    url = location(job.context.fhir_base, new.type, new.id, new.version)
    return Outcome(status, new.content or b"", new.type, new.id, new.version, from_us(new.updated_at), url)


def body_of(interaction: Interaction) -> Mapping[str, Any]:
    """Return the resource that is to be written.

    Raises:
        FhirError: 400 where there is none, or one of another type, or its id is no text.
    """
    body = interaction.resource
    if body is None:
        raise FhirError(Kind.MALFORMED, f"A {interaction.type} resource is required in the body")
    if body.get("resourceType") != interaction.type:
        raise FhirError(Kind.INVALID_VALUE, f"The resource must be a {interaction.type}", ("resourceType",))
    if "id" in body and not (isinstance(body["id"], str) and body["id"]):
        # Any id of a create is passed over, but what is no text is no FHIR, and is not to be made one.
        raise FhirError(Kind.MALFORMED, "The id of a resource is text", (f"{interaction.type}.id",))
    return body


def _author_organization(job: Job, author: int) -> Mapping[str, Any] | None:
    known = job.pending.authors
    if job.principal.caller in {Caller.PATIENT, Caller.RELATED} and author == author_of(job.principal):
        return {}  # The patient and family are known sources without a speciality: general.
    if author not in known:
        content = directory.organization_content(job.session, author) if author else None
        known[author] = json.decode(content, len(content) + 1) if content else None
    return known[author]


def _now_us(job: Job, old: Version) -> int:
    """Return now, but always after the version that is replaced, whatever the clock did."""
    return max(to_us(job.context.now()), old.updated_at + 1000)
