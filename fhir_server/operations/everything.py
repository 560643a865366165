"""`Patient/[id]/$everything`: a whole record, of what exists for the caller.

https://hl7.org/fhir/R4/patient-operation-everything.html. A search like any other: pages, totals and the gate are
those of `search`.
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.interactions import searching
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.operations.parameters import as_text
from fhir_server.search import everything, results, run, syntax
from fhir_server.search.everything import Asked
from fhir_server.search.parse import CURSOR
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import date_interval
from fhir_server.store import resources

_SUPPORTED = ("start", "end", "_since", "_type", "_count")
_REPEATS = frozenset({"_type"})


def whole_record(job: Job, interaction: Interaction) -> Outcome:
    """Return a page of the patient's record as a searchset Bundle.

    Raises:
        FhirError: NOT_FOUND (404) where nothing of the record exists for the caller, hidden and absent alike; GONE
            (410) for a deleted Patient that was visible; INVALID_VALUE or NOT_SUPPORTED (400) naming a parameter.
    """
    job.trace.aim(interaction.id)
    asked = _asked(job, interaction)
    _check_known(job, interaction.id)
    path = f"Patient/{interaction.id}/${OPERATION.code}"
    return searching.answer(job, everything.request_of(asked, job.definitions), path)


def _check_known(job: Job, patient_id: str) -> None:
    """Refuse a record of which nothing exists for the caller.

    A consent may open single resources without the Patient. What is visible then is answered, as it is by a search in
    the compartment of a Patient that was never stored.
    """
    stored = resources.get(job.session, job.decision.readable, "Patient", patient_id)
    if stored is not None and stored.deleted:
        raise FhirError(Kind.GONE, f"Patient/{patient_id} was deleted")
    whole = everything.request_of(Asked(patient_id), job.definitions)
    if stored is None and not run.count(job.session, job.decision.readable, whole):
        raise FhirError(Kind.NOT_FOUND, f"Patient/{patient_id} is not known")


def _asked(job: Job, interaction: Interaction) -> Asked:
    pairs = tuple((name, value) for name, value in as_text(job, interaction) if value)
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in (*_SUPPORTED, CURSOR):
            raise syntax.unsupported(name, f"is not supported here. Supported: {', '.join(_SUPPORTED)}.")
        if name in found and name not in _REPEATS:
            raise syntax.invalid(name, "may be given once.")
        found[name] = value
    return Asked(
        interaction.id,
        _types(job, (value for name, value in pairs if name == "_type")),
        _interval("start", found["start"])[0] if "start" in found else None,
        _interval("end", found["end"])[1] if "end" in found else None,
        _interval("_since", found["_since"]) if "_since" in found else None,
        results.count(found["_count"]) if "_count" in found else results.DEFAULT_COUNT,
        found.get(CURSOR, ""),
        tuple(pair for pair in pairs if pair[0] != CURSOR),
    )


def _types(job: Job, values: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for value in values:
        for name in filter(None, value.split(",")):
            if name not in job.definitions.resource_types:
                raise syntax.invalid("_type", f"names {syntax.shown(name)}, which is no resource type.")
            found[name] = None
    return tuple(sorted(found))


def _interval(name: str, value: str) -> tuple[int, int]:
    try:
        # In a query string a bare + is a space: take it for the sign of the zone that it was meant to be.
        return date_interval(value.replace(" ", "+"))
    except ValueError as error:
        raise syntax.invalid(name, "is a date YYYY-MM-DD, or an instant YYYY-MM-DDThh:mm:ssZ.") from error


OPERATION = Operation("everything", ("Patient",), ("instance",), writes=False, run=whole_record)
