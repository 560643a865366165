"""What writing a resource of a certain type brings about besides the row, in the transaction of the write.

Grants of a Consent, one Patient per NHS number, rows that share another's verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.access.consent import compile_consent
from fhir_server.access.ownership import linked_keys
from fhir_server.interactions.conditional import NHS_NUMBER
from fhir_server.interactions.job import Job
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import grants, resources
from fhir_server.store.instants import to_us
from fhir_server.store.keys import hash64
from fhir_server.store.resources import NewVersion, Version

_LINKED = frozenset({"Binary", "Provenance"})


def before_write(job: Job, resource: Mapping[str, Any], new: NewVersion) -> None:
    """Check rules over the stored data that this version must not break.

    Raises:
        FhirError: DUPLICATE (409) for a second Patient with the same NHS number.
    """
    if new.type != "Patient":
        return
    for identifier in resource.get("identifier", ()):
        if identifier.get("system") == NHS_NUMBER and identifier.get("value"):
            value = str(identifier["value"])
            job.session.lock(hash64(f"nhs-number|{value}"))
            job.pending.flush(job.session)
            if any(key != new.key for key in resources.keys_with_identifier(job.session, "Patient", NHS_NUMBER, value)):
                text = "Another Patient has this NHS number; find it with If-None-Exist or a conditional update"
                raise FhirError(Kind.DUPLICATE, text, ("Patient.identifier",))


def written(job: Job, resource: Mapping[str, Any], new: NewVersion) -> None:
    """Bring about what follows from the content of a new version.

    Raises:
        FhirError: UNENFORCEABLE (422) for a Consent the gate cannot enforce, DUPLICATE (409) for a second one for a
            grantee.
    """
    if new.type == "Consent":
        compiled = compile_consent(resource, new.key)
        if grants.others_for(job.session, compiled, to_us(job.context.now())):
            text = "An active Consent of this patient already names this grantee; change that one"
            raise FhirError(Kind.DUPLICATE, text, ("Consent.provision.actor",))
        grants.replace(job.session, new.key, compiled)


def deleted(job: Job, old: Version) -> None:
    """Bring about what follows from a deletion."""
    if old.type == "Consent":
        grants.replace(job.session, old.key, ())


def settle(job: Job) -> None:
    """Give rows that share another's verdict its patients and label, now that all rows are there."""
    for new in job.pending.written.values():
        if new.type in _LINKED and new.content is not None:
            linked = linked_keys(json.decode(new.content, len(new.content) + 1))
            if linked:
                resources.take_over(job.session, new, *resources.owners(job.session, linked))
    changed = [new.key for new in job.pending.written.values() if new.type not in _LINKED]
    for key in resources.contexts_among(job.session, changed):
        resources.adopt(job.session, key, *resources.owners(job.session, (key,)))
