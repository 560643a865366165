"""create, update, patch and delete of one resource (https://hl7.org/fhir/R4/http.html#create and following).

A write needs the old version readable and writable and the new one writable. The new rows are checked where they
stand, by the same
predicate, at the end of the transaction (`finish`), so nothing can be written that the gate would not let the writer
write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from fhir_server.access import labels, policy
from fhir_server.access.decide import author_of
from fhir_server.access.ownership import is_result, linked_keys, own_confidentiality, own_label, patients_of
from fhir_server.access.principal import Caller
from fhir_server.access.visibility import Gate
from fhir_server.interactions import conditional, effects
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Outcome
from fhir_server.interactions.patching import apply_patch
from fhir_server.interactions.reading import location, outcome_of
from fhir_server.search import index
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.validate import validate
from fhir_server.spec.values import instant_text
from fhir_server.store import belonging, directory, resources
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import reference_key
from fhir_server.store.resources import NewVersion, Version

_HIGHEST_VERSION = 2**31 - 1


def create(job: Job, interaction: Interaction) -> Outcome:
    """Store a new resource under an id of the server's choice.

    With `If-None-Exist`, one visible match is the answer instead (200), more are 412.
    """
    body = _body(interaction)
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
    body = _body(interaction)
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
    old = resources.get(job.session, job.decision.readable, interaction.type, logical_id)
    if old is None:
        return _update_as_create(job, interaction, logical_id, body)
    _check_replaceable(job, interaction, old)
    return replace_version(job, old, body)


def patch(job: Job, interaction: Interaction) -> Outcome:
    """Apply a JSON Patch to the current version and store the result as an update.

    Raises:
        FhirError: NOT_FOUND for absent and hidden alike; 422 for a result that is not valid.
    """
    old = resources.get(job.session, job.decision.readable, interaction.type, interaction.id)
    if old is None or old.content is None:
        raise FhirError(Kind.NOT_FOUND, f"{interaction.type}/{interaction.id} is not known")
    _check_replaceable(job, interaction, old)
    body = apply_patch(json.decode(old.content, len(old.content) + 1), interaction.patch)
    if body.get("resourceType") != interaction.type or body.get("id") != interaction.id:
        raise FhirError(Kind.INVALID_CONTENT, "A patch must not change resourceType or id", (f"{interaction.type}.id",))
    stored = replace_version(job, old, body)
    return stored if _may_read(job, interaction.type) else replace(stored, content=b"")


def delete(job: Job, interaction: Interaction) -> Outcome:
    """Delete a resource; one that is absent, hidden or deleted already is the same 204."""
    logical_id = interaction.id
    if interaction.conditional:
        found = conditional.find(job, interaction.type, interaction.conditional)
        if found is None:
            return Outcome(204)
        logical_id = found.id
    job.pending.flush(job.session)
    old = resources.get(job.session, job.decision.readable, interaction.type, logical_id)
    if old is None or old.deleted:
        return Outcome(204)
    _check_replaceable(job, interaction, old)
    patients = belonging.owners(job.session, (old.key,))[0] if old.multi else tuple(filter(None, (old.patient,)))
    new = NewVersion(
        old.key, old.type, old.id, old.version + 1, _now_us(job, old), None, patients,
        old.label, old.confidentiality, old.author, old.context, old.released_at,
    )  # fmt: skip
    resources.put(job.session, new)
    effects.deleted(job, old)
    job.trace.touch(patients, old.type, old.id, new.version)
    return Outcome(204, b"", old.type, old.id, new.version)


def insert(job: Job, resource_type: str, logical_id: str, body: Mapping[str, Any]) -> Outcome:
    """Validate and queue a first version under this id."""
    resource = {**body, "id": logical_id}
    validate(job.definitions, resource)
    new = assemble(job, resource, version=1, author=author_of(job.principal), updated_at=to_us(job.context.now()))
    new = replace(new, released_at=_released_at(job, resource, new))
    effects.before_write(job, resource, new)
    job.pending.add(new, job.decision.writable)
    effects.written(job, resource, new)
    job.trace.touch(new.patients, resource_type, logical_id, 1)
    return _disclose(job, new, 201)


def replace_version(job: Job, old: Version, body: Mapping[str, Any]) -> Outcome:
    """Validate and store the next version of a resource; whose data it is does not change."""
    body = _labels_kept(old, {**body, "id": old.id})
    validate(job.definitions, body)
    new = assemble(job, body, version=old.version + 1, author=old.author, updated_at=_now_us(job, old))
    new = replace(new, released_at=old.released_at)
    job.pending.flush(job.session)
    effects.before_write(job, body, new)
    resources.put(job.session, new)
    job.pending.replaced(new, job.decision.writable)
    if (new.label, new.confidentiality, new.patients) != (old.label, old.confidentiality, _sole(old)):
        job.pending.moved.append(new.key)
    effects.written(job, body, new)
    job.trace.touch(new.patients, old.type, old.id, new.version)
    return _disclose(job, new, 201 if old.deleted else 200)


def assemble(job: Job, body: Mapping[str, Any], *, version: int, author: int, updated_at: int) -> NewVersion:
    """Return the version to store: `id` and `meta` right after `resourceType`, everything else as it was sent."""
    kind, logical_id = str(body["resourceType"]), str(body["id"])
    base = job.context.fhir_base
    key = reference_key(kind, logical_id)
    patients = patients_of(job.definitions, body, base)
    linked = linked_keys(body, base)
    context = linked[0] if linked and kind == "Binary" else 0
    label = own_label(body, _author_organization(job, author))
    meta: dict[str, Any] = {"versionId": str(version), "lastUpdated": instant_text(from_us(updated_at))}
    sent_meta = body.get("meta") or {}
    meta |= {name: value for name, value in sent_meta.items() if name not in meta}
    added = labels.codings_for(label, body) if patients else []
    if added:
        meta["security"] = [*meta.get("security", ()), *added]
    resource = {"resourceType": kind, "id": logical_id, "meta": meta}
    resource |= {name: value for name, value in body.items() if name not in resource}
    hot = index.hot(job.definitions, resource)
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
        code=hot.code,
        date_lo=hot.date_lo,
        date_hi=hot.date_hi,
        index=index.rows(job.definitions, resource, key=key, patient=patients[0] if patients else 0, fhir_base=base),
    )


def finish(job: Job) -> None:
    """Insert what waits, settle what shares another's verdict, and check every written row against the gate.

    Raises:
        FhirError: FORBIDDEN (403) when a new row is not one that the caller may write; the transaction is rolled back.
    """
    job.pending.flush(job.session)
    effects.settle(job)
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
    known_at = min(new.updated_at, new.date_lo or new.updated_at)
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


def _check_replaceable(job: Job, interaction: Interaction, old: Version) -> None:
    if interaction.if_match and interaction.if_match != str(old.version):
        raise FhirError(
            Kind.VERSION_REQUIRED, f"If-Match says version {interaction.if_match[:20]}, the current one differs"
        )
    if old.version >= _HIGHEST_VERSION or resources.outside(job.session, job.decision.writable, [old.key]):
        raise FhirError(Kind.FORBIDDEN, f"The caller may not change {old.type}/{old.id}")


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


def _sole(old: Version) -> tuple[int, ...]:
    return () if old.multi else tuple(filter(None, (old.patient,)))


def _labels_kept(old: Version, body: dict[str, Any]) -> dict[str, Any]:
    """Return the next version with the labels of the replaced one, where it brings none itself."""
    kept = labels.kept(json.decode(old.content, len(old.content) + 1), body) if old.content else []
    meta = body.get("meta", {})
    if not kept or not isinstance(meta, Mapping):
        return body
    return {**body, "meta": {**meta, "security": [*meta.get("security", ()), *kept]}}


def _disclose(job: Job, new: NewVersion, status: int) -> Outcome:
    url = location(job.context.fhir_base, new.type, new.id, new.version)
    return Outcome(status, new.content or b"", new.type, new.id, new.version, from_us(new.updated_at), url)


def _body(interaction: Interaction) -> Mapping[str, Any]:
    body = interaction.resource
    if body is None:
        raise FhirError(Kind.MALFORMED, f"A {interaction.type} resource is required in the body")
    if body.get("resourceType") != interaction.type:
        raise FhirError(
            Kind.INVALID_VALUE, f"The body must be a {interaction.type}, as the URL says", ("resourceType",)
        )
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
