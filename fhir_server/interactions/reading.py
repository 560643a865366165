"""read and vread of one resource (https://hl7.org/fhir/R4/http.html#read).

Hidden and absent are the same answer. A deleted resource is 410 only where it was visible.
"""

from __future__ import annotations

import re
from dataclasses import replace

from fhir_server.interactions import audit_search
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Outcome
from fhir_server.search import projection, results
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import belonging, resources
from fhir_server.store.instants import from_us
from fhir_server.store.resources import Version

_VERSION = re.compile("[1-9][0-9]{0,8}")
_SUMMARIES = ("true", "text", "data", "false")


def read(job: Job, interaction: Interaction) -> Outcome:
    """Return the current version.

    Raises:
        FhirError: NOT_FOUND for absent and hidden alike; GONE (410) for deleted.
    """
    if interaction.type == "AuditEvent":
        return audit_search.read_interaction(job.session, interaction, job.principal, job.context, job.trace)
    found = resources.get(job.session, job.decision.readable, interaction.type, interaction.id)
    return _cut_down(job, interaction, _answer(job, interaction, found))


def vread(job: Job, interaction: Interaction) -> Outcome:
    """Return one version; both it and the current one must be visible.

    Raises:
        FhirError: NOT_FOUND for absent and hidden alike; GONE (410) for a version that is a deletion.
    """
    number = version_number(interaction.version_id)
    if not number:
        raise _not_found(interaction)
    found = resources.version(job.session, job.decision.readable, interaction.type, interaction.id, number)
    return _cut_down(job, interaction, _answer(job, interaction, found))


def version_number(version_id: str) -> int:
    """Return the number that a version id is, as this server writes it; 0 for what is no id of a version here."""
    return int(version_id) if _VERSION.fullmatch(version_id) else 0


def capabilities(job: Job, interaction: Interaction) -> Outcome:
    """Return what the server says of itself, as an entry of a Bundle asks for it (`GET metadata?mode=…`).

    Raises:
        FhirError: INVALID_VALUE (400) for a mode that there is not; NOT_SUPPORTED (400) away from the REST API.
    """
    if job.context.statement is None:
        raise FhirError(Kind.NOT_SUPPORTED, "metadata is answered by the REST API only")
    content = job.context.statement(dict(interaction.query).get("mode") or "full")
    return Outcome(200, cut_down(job.definitions, interaction, content, "CapabilityStatement"), "CapabilityStatement")


def _answer(job: Job, interaction: Interaction, found: Version | None) -> Outcome:
    if found is None:
        raise _not_found(interaction)
    job.trace.touch(_patients(job, found), found.type, found.id, found.version, found.content)
    if found.content is None:
        raise FhirError(Kind.GONE, f"{interaction.type}/{interaction.id} was deleted")
    return outcome_of(found, 200, job.context.fhir_base)


def _cut_down(job: Job, interaction: Interaction, outcome: Outcome) -> Outcome:
    if not interaction.query:
        return outcome
    return replace(outcome, content=cut_down(job.definitions, interaction, outcome.content, interaction.type))


def cut_down(definitions: Definitions, interaction: Interaction, content: bytes, resource_type: str) -> bytes:
    """Return the parts alone of a resource that `_elements` or `_summary` asks for.

    Raises:
        FhirError: 400 for a value that either does not have.
    """
    wanted = dict(interaction.query)
    summary = results.choice("_summary", wanted.get("_summary", "") or "false", _SUMMARIES)
    shown = projection.projection_of(definitions, wanted.get("_elements", ""), summary)
    return content if shown is None else shown.apply(resource_type, content, included=False)


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
