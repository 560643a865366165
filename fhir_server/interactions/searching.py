"""search of a type or of all types, in one statement under the visibility (https://hl7.org/fhir/R4/http.html#search)."""

from __future__ import annotations

from fhir_server.access.decide import gate
from fhir_server.access.principal import Principal
from fhir_server.interactions import audit_search
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Outcome
from fhir_server.search import bundle, contained, parse, run
from fhir_server.search.model import SearchRequest
from fhir_server.search.terminology import Terminology
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import parse_reference
from fhir_server.store import belonging

_RIGHT = "s"
_ON_ITS_OWN = "AuditEvent"
"""The type whose resources are kept apart, under rules of their own."""


def search(job: Job, interaction: Interaction) -> Outcome:
    """Return a searchset Bundle of what matches among the rows that exist for the caller.

    Raises:
        FhirError: INVALID_VALUE or NOT_SUPPORTED (400) naming the parameter that was not understood.
    """
    if interaction.type == _ON_ITS_OWN:
        if interaction.compartment is not None:
            raise FhirError(Kind.NOT_SUPPORTED, "Search AuditEvent with its patient parameter")
        return audit_search.search_interaction(job.session, interaction, job.principal, job.context, job.trace)
    aimed_at(job, interaction)
    return answer(job, _understood(job, interaction), "/".join((*(interaction.compartment or ()), interaction.type)))


def search_system(job: Job, interaction: Interaction) -> Outcome:
    """Return a searchset Bundle of what matches, whatever its type: of the system or of one compartment.

    A type that the token may not search is not there, unless `_type` names it. AuditEvents are searched on their own.

    Raises:
        FhirError: FORBIDDEN (403) for a named type, or where no type may be searched; INVALID_VALUE or NOT_SUPPORTED
            (400) naming the parameter that was not understood.
    """
    aimed_at(job, interaction)
    request = _understood(job, interaction, types_asked(job, interaction))
    return answer(job, request, "/".join((*interaction.compartment, "*")) if interaction.compartment else "")


def types_asked(job: Job, interaction: Interaction) -> tuple[str, ...]:
    """Return the types that a request without a type is about where it names none; empty for all.

    Raises:
        FhirError: FORBIDDEN (403) for a type that `_type` names and the token may not search, or where it may search
            none; NOT_SUPPORTED (400) for what is searched on its own.
    """
    named = parse.named_types(job.definitions, interaction.query)
    if _ON_ITS_OWN in named:
        raise FhirError(Kind.NOT_SUPPORTED, f"{_ON_ITS_OWN} cannot be searched with other types: use /{_ON_ITS_OWN}?…")
    for name in named:
        gate(job.principal, _RIGHT, name)
    scopes = job.principal.scopes
    allowed = (
        () if named else tuple(name for name in sorted(job.definitions.resource_types) if scopes.allows(_RIGHT, name))
    )
    if not named and not allowed:
        raise FhirError(Kind.FORBIDDEN, f"The access token has no scope for '{_RIGHT}' on any type")
    every = len(allowed) == len(job.definitions.resource_types)
    return () if every else allowed


def _understood(job: Job, interaction: Interaction, types: tuple[str, ...] = ()) -> SearchRequest:
    return parse.parse(
        job.definitions,
        interaction.type,
        interaction.query,
        fhir_base=job.context.fhir_base,
        handling=interaction.handling,
        compartment=interaction.compartment,
        types=types,
        terms=Terminology(job.definitions, job.context.fhir_base, job.session, job.decision.readable),
    )


def answer(job: Job, request: SearchRequest, path: str) -> Outcome:
    """Run an understood search and return its page, with everything on it noted for the audit.

    Args:
        job: The interaction under way.
        request: What is searched for.
        path: Below the service base URL; page links lead there, and are good there alone.
    """
    page = run.run(
        job.session,
        job.decision.readable,
        request,
        page_key=job.context.page_key,
        binding=f"{binding(job.principal)}|{path}",
        definitions=job.definitions,
    )
    rows = (*page.matches, *page.includes)
    further = belonging.further_patients(job.session, [row.key for row in rows if row.multi])
    for row in rows:
        job.trace.touch((row.patient, *further.get(row.key, ())), row.type, row.id, row.version, row.content)
    page = contained.expanded(job.session, job.decision.readable, request, page)
    return Outcome(200, bundle.searchset(page, request, fhir_base=job.context.fhir_base, path=path), "Bundle")


def binding(principal: Principal) -> str:
    """Return what ties a page cursor to its caller: subject, client, launch patient and purpose."""
    return f"{principal.subject}|{principal.client_id}|{principal.purpose}|{principal.patient}"


def aimed_at(job: Job, interaction: Interaction) -> None:
    """Note the patient a search names, so that also an empty answer is on that patient's log."""
    if interaction.compartment and interaction.compartment[0] == "Patient":
        job.trace.aim(interaction.compartment[1])
    for name, value in interaction.query:
        if name.partition(":")[0] in {"patient", "subject"} or (interaction.type == "Patient" and name == "_id"):
            text = value if "/" in value else f"Patient/{value}"
            reference = parse_reference(text, job.context.fhir_base)
            if reference.type == "Patient" and reference.id:
                job.trace.aim(reference.id)
