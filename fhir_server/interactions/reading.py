"""read, vread and history of one resource (https://hl7.org/fhir/R4/http.html#read).

Hidden and absent are the same answer. A deleted resource is 410 only where it was visible.
"""

from __future__ import annotations

from fhir_server.interactions import audit_search
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Outcome
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import date_interval, instant_text
from fhir_server.store import belonging, resources
from fhir_server.store.instants import from_us
from fhir_server.store.resources import Version

_HISTORY_LIMIT = 1000
_MOST_DIGITS = 9


def read(job: Job, interaction: Interaction) -> Outcome:
    """Return the current version.

    Raises:
        FhirError: NOT_FOUND for absent and hidden alike; GONE (410) for deleted.
    """
    if interaction.type == "AuditEvent":
        return audit_search.read_interaction(job.session, interaction, job.principal, job.context, job.trace)
    found = resources.get(job.session, job.decision.readable, interaction.type, interaction.id)
    return _answer(job, interaction, found)


def vread(job: Job, interaction: Interaction) -> Outcome:
    """Return one version; both it and the current one must be visible.

    Raises:
        FhirError: NOT_FOUND for absent and hidden alike; GONE (410) for a version that is a deletion.
    """
    if not interaction.version_id.isdecimal() or len(interaction.version_id) > _MOST_DIGITS:
        raise _not_found(interaction)
    number = int(interaction.version_id)
    found = resources.version(job.session, job.decision.readable, interaction.type, interaction.id, number)
    return _answer(job, interaction, found)


def history(job: Job, interaction: Interaction) -> Outcome:
    """Return the versions of a resource, newest first, as a history Bundle.

    Raises:
        FhirError: NOT_FOUND for absent and hidden alike; INVALID_VALUE (400) for a parameter it does not know.
    """
    since, limit = _history_parameters(interaction)
    versions = resources.history(job.session, job.decision.readable, interaction.type, interaction.id)
    if not versions:
        raise _not_found(interaction)
    chosen = [version for version in versions if version.updated_at >= since][:limit]
    for version in chosen:
        job.trace.touch(_patients(job, version), version.type, version.id, version.version)
    total = sum(version.updated_at >= since for version in versions)
    return Outcome(200, _history_bundle(job.context.fhir_base, interaction, chosen, total), "Bundle")


def _answer(job: Job, interaction: Interaction, found: Version | None) -> Outcome:
    if found is None:
        raise _not_found(interaction)
    job.trace.touch(_patients(job, found), found.type, found.id, found.version)
    if found.content is None:
        raise FhirError(Kind.GONE, f"{interaction.type}/{interaction.id} was deleted")
    return outcome_of(found, 200, job.context.fhir_base)


def outcome_of(version: Version, status: int, fhir_base: str) -> Outcome:
    """Return the answer that discloses a stored version."""
    return Outcome(
        status,
        version.content or b"",
        version.type,
        version.id,
        version.version,
        from_us(version.updated_at),
        location(fhir_base, version.type, version.id, version.version),
    )


def location(fhir_base: str, resource_type: str, logical_id: str, version: int) -> str:
    """Return the version-specific URL of a resource."""
    return f"{fhir_base}/{resource_type}/{logical_id}/_history/{version}"


def _patients(job: Job, version: Version) -> tuple[int, ...]:
    if version.multi:
        return belonging.owners(job.session, (version.key,))[0]
    return (version.patient,)


def _not_found(interaction: Interaction) -> FhirError:
    return FhirError(Kind.NOT_FOUND, f"{interaction.type}/{interaction.id} is not known")


def _history_parameters(interaction: Interaction) -> tuple[int, int]:
    since, limit = -(2**62), _HISTORY_LIMIT
    for name, value in interaction.query:
        if name == "_since":
            try:
                since = date_interval(value)[0]
            except ValueError as error:
                raise FhirError(Kind.INVALID_VALUE, "_since must be an instant such as 2026-01-31T10:00:00Z") from error
        elif name == "_count" and value.isdecimal() and len(value) <= _MOST_DIGITS:
            limit = min(int(value), _HISTORY_LIMIT)
        elif name not in {"_format", "_pretty"}:
            raise FhirError(Kind.INVALID_VALUE, f"{name[:64]} is not supported here; supported: _since, _count")
    return since, limit


def _history_bundle(fhir_base: str, interaction: Interaction, versions: list[Version], total: int) -> bytes:
    url = f"{fhir_base}/{interaction.type}/{interaction.id}"
    entries = b",".join(_history_entry(url, version) for version in versions)
    link = f'"link":[{{"relation":"self","url":"{url}/_history"}}]'
    head = f'{{"resourceType":"Bundle","type":"history","total":{total},{link}'
    return head.encode() + (b',"entry":[' + entries + b"]}" if entries else b"}")


def _history_entry(url: str, version: Version) -> bytes:
    kind, logical_id = version.type, version.id
    if version.content is None:
        method, status = f'"DELETE","url":"{kind}/{logical_id}"', "204"
    elif version.version == 1:
        method, status = f'"POST","url":"{kind}"', "201"
    else:
        method, status = f'"PUT","url":"{kind}/{logical_id}"', "200"
    changed = instant_text(from_us(version.updated_at))
    resource = b',"resource":' + version.content if version.content is not None else b""
    rest = (
        f',"request":{{"method":{method}}},"response":{{"status":"{status}","lastModified":"{changed}",'
        f'"etag":"W/\\"{version.version}\\""}}}}'
    )
    return f'{{"fullUrl":"{url}"'.encode() + resource + rest.encode()
