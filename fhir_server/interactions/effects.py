"""What writing a resource of a certain type brings about besides the row, in the transaction of the write.

Grants of a Consent, one Patient per NHS number; rows that share another's verdict are in `shared_verdicts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.access import authorship, requests
from fhir_server.access.closure import CONTAINERS, compile_memberships
from fhir_server.access.consent import compile_consent
from fhir_server.access.decide import author_of
from fhir_server.access.ownership import is_dead
from fhir_server.access.principal import Caller
from fhir_server.access.relabelling import may_choose
from fhir_server.interactions import own_parameters, own_profiles
from fhir_server.interactions.conditional import NHS_NUMBER
from fhir_server.interactions.job import Job
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import parse_reference
from fhir_server.store import belonging, grants, memberships
from fhir_server.store.grants import Grant
from fhir_server.store.instants import to_us
from fhir_server.store.keys import NONE, hash64
from fhir_server.store.resources import NewVersion, Version

_CONSENTS_LIMIT = 200


def before_write(job: Job, resource: Mapping[str, Any], new: NewVersion) -> None:
    """Check rules over the stored data that this version must not break.

    Raises:
        FhirError: DUPLICATE (409) for a second Patient with the same NHS number; FORBIDDEN (403) for what the writer
            may not say.
    """
    if new.type == "PractitionerRole":
        _check_role(job, resource)
    # A patient's new label on what a hospital wrote or booked says nothing of the rest.
    if new.author == author_of(job.principal):
        authorship.check(job.principal, resource, new.patients, job.context.fhir_base)
        if new.type == "Appointment":
            requests.check(job.principal, resource, first=new.version == 1)
    if new.type != "Patient":
        return
    for identifier in resource.get("identifier", ()):
        if identifier.get("system") == NHS_NUMBER and identifier.get("value"):
            value = str(identifier["value"])
            job.session.lock(hash64(f"nhs-number|{value}"))
            job.pending.flush(job.session)
            if any(key != new.key for key in belonging.keys_with_identifier(job.session, "Patient", NHS_NUMBER, value)):
                text = "Another Patient has this NHS number; find it with If-None-Exist or a conditional update"
                raise FhirError(Kind.DUPLICATE, text, ("Patient.identifier",))


def written(job: Job, resource: Mapping[str, Any], new: NewVersion) -> None:
    """Bring about what follows from the content of a new version.

    Raises:
        FhirError: UNENFORCEABLE (422) for a Consent the gate cannot enforce, DUPLICATE (409) for a second one for a
            grantee, FORBIDDEN (403) for one that a proxy may not write.
    """
    if new.type == "Consent":
        _grant(job, resource, new)
    elif new.type in CONTAINERS:
        memberships.replace(job.session, new.key, compile_memberships(resource, new.key, job.context.fhir_base))
    elif new.type == "Patient":
        # Nobody has an account before there is a record.
        if new.version > 1:
            job.pending.lives[new.id] = is_dead(resource)
    elif new.type == "Communication":
        job.pending.communications.append((resource, new))
    elif new.type == "Appointment" and new.version > 1:
        job.pending.bookings.append((resource, new))
    elif new.type == "SearchParameter":
        own_parameters.written(job, resource, new.key)
    elif new.type == "StructureDefinition":
        own_profiles.written(job, resource, new.key)


def deleted(job: Job, old: Version) -> None:
    """Bring about what follows from a deletion."""
    if old.type == "Consent":
        _check_proxy(job, grants.of_consent(job.session, old.key), ())
        grants.replace(job.session, old.key, ())
    elif old.type in CONTAINERS:
        memberships.replace(job.session, old.key, ())
    elif old.type == "Communication":
        job.pending.withdrawn.append(old)
    elif old.type == "Appointment":
        job.pending.unbooked.append(old)
    elif old.type == "SearchParameter":
        own_parameters.deleted(job, old.key)
    elif old.type == "StructureDefinition":
        own_profiles.deleted(job, old.key)


def _grant(job: Job, resource: Mapping[str, Any], new: NewVersion) -> None:
    compiled = compile_consent(resource, new.key, job.definitions.resource_types)
    if job.principal.caller is Caller.RELATED:
        _check_proxy(job, grants.of_consent(job.session, new.key), compiled)
    _check_mandate(job, compiled)
    if compiled:
        check_beside_others(job, compiled)
    grants.replace(job.session, new.key, compiled)


def check_beside_others(job: Job, compiled: Sequence[Grant]) -> None:
    """Refuse an active Consent that the patient's others leave no place for.

    Raises:
        FhirError: DUPLICATE (409) where another permits the same grantee; UNENFORCEABLE (422) where there are too many.
    """
    named = grants.named_for(job.session, compiled[0].patient, to_us(job.context.now()))
    others = [each for each in named if each.consent != compiled[0].consent]
    permitted = {grant.actor for grant in compiled if grant.permit}
    if any(other.permit and other.actor in permitted for other in others):
        text = "An active Consent of this patient already permits this grantee; change that one"
        raise FhirError(Kind.DUPLICATE, text, ("Consent.provision.actor",))
    if len({other.consent for other in others}) >= _CONSENTS_LIMIT:
        raise FhirError(Kind.UNENFORCEABLE, f"At most {_CONSENTS_LIMIT} active Consents of one patient", ("Consent",))


def _check_proxy(job: Job, before: Sequence[Grant], after: Sequence[Grant]) -> None:
    """Keep a proxy from writing for itself: whom it may see, and who else, the patient alone decides.

    What concerns the proxy stays as it is, a deny too: to take it away would be to permit.

    Raises:
        FhirError: FORBIDDEN (403).
    """
    if job.principal.caller is not Caller.RELATED:
        return
    own = {NONE, *job.principal.actors}
    permits = any(grant.actor in own and (grant.permit or grant.blocks_emergency) for grant in after)
    if permits or any(grant.actor in own for grant in before):
        text = "A proxy may not write a Consent that permits itself, or anyone, nor change one that names itself"
        raise FhirError(Kind.FORBIDDEN, text, ("Consent.provision.actor",))


def _check_mandate(job: Job, compiled: Sequence[Grant]) -> None:
    """Refuse who does not decide about the record before anything is said of its other Consents.

    The row itself is checked at the end like every other; by then a conflict would have told whom somebody shares with.

    Raises:
        FhirError: FORBIDDEN (403), the same as for a row that the caller may not write.
    """
    writable = job.decision.writable
    if writable.scopes is not None:
        writable = replace(writable, scopes=None)
    patients = tuple({grant.patient for grant in compiled})
    if patients and not writable.everything and not may_choose(job.session, writable, patients):
        raise _not_for_this_patient()


def _check_role(job: Job, resource: Mapping[str, Any]) -> None:
    """Let an organisation give roles in itself only: a role opens what patients share with its organisation.

    Raises:
        FhirError: FORBIDDEN (403).
    """
    if job.principal.caller is Caller.OPERATOR:
        return
    named = parse_reference(str(resource.get("organization", {}).get("reference", "")), job.context.fhir_base)
    if f"{named.type}/{named.id}" != job.principal.organization:
        text = "PractitionerRole.organization must be the organisation that writes it"
        raise FhirError(Kind.FORBIDDEN, text, ("PractitionerRole.organization",))


def _not_for_this_patient() -> FhirError:
    return FhirError(Kind.FORBIDDEN, "The caller may not write this resource for this patient")
