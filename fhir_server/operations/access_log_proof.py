"""`Patient/[id]/$access-log-proof`: the patient's access log with proof that it was not altered (interfaces.md §6).

A read: it seals nothing. The newest entries, of the last minute, may be newer than the newest checkpoint; they come
without a proof and are counted as `pending`.
"""

from __future__ import annotations

from urllib.parse import urlencode

from fhir_server.access.decide import gate
from fhir_server.interactions import audit_query, audit_search
from fhir_server.interactions.audit_pages import PageSeal
from fhir_server.interactions.audit_proof import Extension, document
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import checkpoints, events, resources
from fhir_server.store.audit_tree import Prover, proofs
from fhir_server.store.checkpoints import Checkpoint
from fhir_server.store.events import Readable
from fhir_server.store.keys import NONE, reference_key

_MOST_ENTRIES = 500
_MOST_DIGITS = 15


def prove(job: Job, interaction: Interaction) -> Outcome:
    """Return a page of the patient's AuditEvents with inclusion proofs and the newest signed checkpoint.

    Takes the search parameters of AuditEvent, `_count` up to 500, and `from`: the size of an older checkpoint, to be
    shown that the log of today extends it. Where there is more, `next` is the URL of the next page.

    Raises:
        FhirError: FORBIDDEN (403) for whoever reads no access log; NOT_FOUND (404) for another patient's and an
            unknown one alike; NOT_SUPPORTED or INVALID_VALUE (400) naming the parameter.
    """
    readable = _readable(job, interaction)
    if interaction.resource is not None:
        raise FhirError(Kind.INVALID_VALUE, "$access-log-proof takes its parameters in the URL", ("Parameters",))
    plain = tuple(pair for pair in interaction.query if pair[0] != "from")
    query = audit_query.parse(
        Interaction(interaction.code, "AuditEvent", query=(*plain, ("patient", interaction.id))), job.context
    )
    count = min(query.count, _MOST_ENTRIES)
    seal = PageSeal.of(job.principal, ("access-log-proof", *query.kept), job.context)
    page = events.search(
        job.session,
        readable,
        query.criteria,
        limit=count + 1,
        before=seal.open(query.cursor) if query.cursor else None,
        oldest_first=query.oldest_first,
    )
    more, page = len(page) > count, page[:count]
    newest = checkpoints.newest(job.session)
    prover = Prover(job.session)
    proved = proofs(job.session, prover, [event.seq for event in page], newest.size) if newest else {}
    next_url = ""
    if more and page:
        kept = [pair for pair in interaction.query if pair[0] != audit_query.CURSOR]
        cursor = seal.close(page[-1].recorded_at, page[-1].seq)
        here = f"{job.context.fhir_base}/Patient/{interaction.id}/$access-log-proof"
        next_url = f"{here}?{urlencode([*kept, (audit_query.CURSOR, cursor)])}"
    extension = _extension(interaction, prover, newest)
    return Outcome(200, document(page, proved, newest, extension=extension, next_url=next_url), "Parameters")


def _readable(job: Job, interaction: Interaction) -> Readable:
    """Return the right to this patient's events, and put this look at the log on the log."""
    patient = reference_key("Patient", interaction.id)
    job.trace.touch((patient,), "Patient", interaction.id)
    gate(job.principal, "s", "AuditEvent")
    readable = audit_search.readable_for(job.principal)
    if not readable.everything and readable.patient == NONE:
        raise FhirError(Kind.FORBIDDEN, "The access log is for the patient and the privacy officer")
    hidden = not readable.everything and readable.patient != patient
    if hidden or resources.current(job.session, "Patient", interaction.id) is None:
        raise FhirError(Kind.NOT_FOUND, f"Patient/{interaction.id} is not known")
    return readable


def _extension(interaction: Interaction, prover: Prover, newest: Checkpoint | None) -> Extension | None:
    asked = [value for name, value in interaction.query if name == "from"]
    if not asked:
        return None
    text = asked[-1]
    size = int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else 0
    if newest is None or not 0 < size <= newest.size:
        rule = f"from 1 to {newest.size}" if newest else "once there is a checkpoint"
        raise FhirError(Kind.INVALID_VALUE, f"from is the size of an older checkpoint, {rule}", ("http.from",))
    return Extension(size, prover.consistency(size, newest.size))


OPERATION = Operation("access-log-proof", ("Patient",), ("instance",), writes=False, run=prove)
