"""search of one type (https://hl7.org/fhir/R4/http.html#search): one statement under the decision's visibility."""

from __future__ import annotations

from fhir_server.access.principal import Principal
from fhir_server.interactions import audit_search
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Outcome
from fhir_server.search import bundle, parse, run
from fhir_server.search.model import SearchRequest
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import parse_reference
from fhir_server.store import belonging
from fhir_server.store.keys import reference_key


def search(job: Job, interaction: Interaction) -> Outcome:
    """Return a searchset Bundle of what matches among the rows that exist for the caller.

    Raises:
        FhirError: INVALID_VALUE or NOT_SUPPORTED (400) naming the parameter that was not understood.
    """
    if interaction.type == "AuditEvent":
        if interaction.compartment is not None:
            raise FhirError(Kind.NOT_SUPPORTED, "Search AuditEvent with its patient parameter")
        return audit_search.search_interaction(job.session, interaction, job.principal, job.context, job.trace)
    aimed_at(job, interaction)
    request = parse.parse(
        job.definitions,
        interaction.type,
        interaction.query,
        fhir_base=job.context.fhir_base,
        handling=interaction.handling,
        compartment=interaction.compartment,
    )
    return answer(job, request, "/".join((*(interaction.compartment or ()), interaction.type)))


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
    further = belonging.further_patients(job.session, [row.key for row in rows])
    for row in rows:
        job.trace.touch((row.patient, *further.get(row.key, ())), row.type, row.id, row.version)
    return Outcome(200, bundle.searchset(page, request, fhir_base=job.context.fhir_base, path=path), "Bundle")


def binding(principal: Principal) -> str:
    """Return what ties a page cursor to its caller: subject, client, launch patient and purpose."""
    return f"{principal.subject}|{principal.client_id}|{principal.purpose}|{principal.patient}"


def aimed_at(job: Job, interaction: Interaction) -> None:
    """Note the patient a search names, so that also an empty answer is on that patient's log."""
    if interaction.compartment and interaction.compartment[0] == "Patient":
        job.trace.touch((reference_key(*interaction.compartment),))
    for name, value in interaction.query:
        if name.partition(":")[0] in {"patient", "subject"} or (interaction.type == "Patient" and name == "_id"):
            text = value if "/" in value else f"Patient/{value}"
            reference = parse_reference(text, job.context.fhir_base)
            if reference.type == "Patient" and reference.id:
                job.trace.touch((reference_key("Patient", reference.id),))
