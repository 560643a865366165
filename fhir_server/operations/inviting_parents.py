"""A coordinator invites a parent to the record of a child: RelatedPerson, Consent and invitation in one transaction.

What the parent sees is that Consent, by the same engine as every other: general information only, until the day before
the birthday from which the child decides alone. Nothing has to run for its end. Once the child has an account and
shares anew, it is the child's, and no coordinator ends it any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from fhir_server.access.principal import Principal
from fhir_server.identity import carers, joining, limits, parents
from fhir_server.identity.ages import PARENT
from fhir_server.identity.carers import About
from fhir_server.identity.parents import INVITE, Checked, Typed
from fhir_server.interactions import finishing, suspension, writing
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import record_administration
from fhir_server.operations import inviting
from fhir_server.operations.service_acts import create, service_job
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import instant_text
from fhir_server.store import resources
from fhir_server.store.accounts import Account
from fhir_server.store.carers import CarerInvitation
from fhir_server.store.database import Session
from fhir_server.store.resources import Version

_HL7: Final = "http://terminology.hl7.org/CodeSystem"
_LABELS: Final = "https://fhir-server.example.org/CodeSystem/privacy-label"
_BREAK_GLASS_ONLY: Final = "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only"
_VIEWING: Final = ("access",)
_ACTING: Final = ("access", "collect", "correct")


@dataclass(frozen=True, slots=True)
class Rights:
    """Of the coordinator, who acts.

    Attributes:
        until_years: The birthday at which a child decides alone.
    """

    principal: Principal
    coordinator: Account
    until_years: int


def invite(context: Context, by: Rights, typed: Typed) -> CarerInvitation:
    """Let a parent see the record of a child, once they have taken link and code up.

    Raises:
        FhirError: INVALID_VALUE (400) naming fields; DUPLICATE (409) where the child has an account or the parent an
            invitation; THROTTLED (429); FORBIDDEN (403) without an organisation; what the road refuses.
    """
    now, coordinator = context.now(), by.coordinator
    if not coordinator.organization:
        raise FhirError(Kind.FORBIDDEN, "Your account has no organisation")
    details = parents.checked(typed, by.until_years, now.date())
    _count(context, coordinator)
    if known := inviting.matched(context, details.child):
        with context.store.read() as session:
            parents.refuse(session, coordinator, details, known, now)
    child = replace(details.child, patient=inviting.record_of(context, by.principal, details.child))
    patient_id = child.patient.partition("/")[2]
    with context.store.write() as session:
        # The lock that registration takes: nobody opens the child's own account meanwhile.
        joining.lock(session, patient_id)
        inviting.confirm(session, child)
        parents.refuse(session, coordinator, details, child.patient, now)
        job = service_job(session, by.principal, context)
        related = create(job, _related_person(child.patient, details))
        consent = create(job, _consent(job, child.patient, related, coordinator, details))
        finishing.finish(job)
        about = About(child.patient, related, consent.partition("/")[2], child.birth_date)
        parents.tell_family(session, child.patient, now)
        made = carers.invite(session, coordinator, details.parent, about, now)
        said = f"carer-invitation {made.id} {child.patient} {about.related} {details.evidence}"
        record_administration(context, session, by.principal, action="invite-parent", description=said)
    return made


def resend(context: Context, by: Rights, invitation_id: str) -> None:
    """Send a parent a new link and a new code; the old ones no longer work.

    Raises:
        FhirError: NOT_FOUND (404) as `parents.renewable`; THROTTLED (429).
    """
    _count(context, by.coordinator)
    with context.store.write() as session:
        now = context.now()
        found = parents.renewable(session, by.coordinator.organization, invitation_id, by.until_years, now)
        carers.resend(session, found, now)
        said = f"carer-invitation {found.id}"
        action = "resend-parent-invitation"
        record_administration(context, session, by.principal, action=action, description=said)


def end(context: Context, by: Rights, invitation_id: str) -> None:
    """End what a parent sees, or would see, by an invitation of a coordinator: the next request finds nothing.

    Raises:
        FhirError: NOT_FOUND (404); BUSINESS_RULE (422) where the patient has shared anew since, and decides alone.
    """
    with context.store.write() as session:
        found = parents.found(session, by.coordinator.organization, invitation_id)
        if not parents.end(session, found, context.now()):
            return
        job = service_job(session, by.principal, context)
        _stop(job, session, found)
        finishing.finish(job)
        said = f"carer-invitation {found.id} {found.reference}"
        record_administration(context, session, by.principal, action="end-parent-access", description=said)


def _count(context: Context, coordinator: Account) -> None:
    """Count an e-mail that a coordinator has sent, also where nothing comes of it."""
    with context.store.write() as session:
        is_allowed = limits.allow(session, context.now(), (INVITE, coordinator.id))
    if not is_allowed:
        raise FhirError(Kind.THROTTLED, "Too many invitations. Wait an hour and try again")


def _stop(job: Job, session: Session, invitation: CarerInvitation) -> None:
    old = resources.current(session, "Consent", invitation.consent_id)
    consent = _content(old)
    if old is None or consent.get("status") != "active":
        return
    if consent.get("performer") != [{"reference": invitation.reference}]:
        raise FhirError(Kind.BUSINESS_RULE, "The person has shared with them anew, and decides alone")
    writing.replace_version(job, old, {**consent, "status": "inactive"})
    suspension.record(job, Interaction(Code.UPDATE, type="Consent", id=old.id), 200)


def _content(stored: Version | None) -> dict[str, Any]:
    if stored is None or stored.deleted or stored.content is None:
        return {}
    found: dict[str, Any] = json.decode(stored.content, len(stored.content) + 1)
    return found


def _related_person(patient: str, details: Checked) -> dict[str, Any]:
    name = details.parent.name
    given, _, family = name.rpartition(" ")
    parts: dict[str, Any] = {"use": "usual", "text": name, "family": family} | ({"given": [given]} if given else {})
    return {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": {"reference": patient},
        "relationship": [_concept("v3-RoleCode", PARENT) | {"text": "Parent"}],
        "name": [parts],
        "period": {"end": details.last_day.isoformat()},
    }


def _consent(job: Job, patient: str, related: str, coordinator: Account, details: Checked) -> dict[str, Any]:
    """Return what a parent is let see: what is sensitive stays between the child and those who treat it."""
    now = instant_text(job.context.now())
    reference = {"reference": related, "display": details.parent.name}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": _concept("consentscope", "patient-privacy"),
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0", "display": "Consent Document"}]}],
        "patient": {"reference": patient},
        "dateTime": now,
        "performer": [{"reference": related}],
        "organization": [{"reference": coordinator.organization}],
        "policy": [{"uri": _BREAK_GLASS_ONLY}],
        "provision": {
            "type": "permit",
            "period": {"start": now, "end": details.last_day.isoformat()},
            "actor": [{"role": _concept("v3-ParticipationType", "IRCP"), "reference": reference}],
            "action": [_concept("consentaction", code) for code in (_ACTING if details.may_act else _VIEWING)],
            "securityLabel": [{"system": _LABELS, "code": "general", "display": "General health"}],
        },
    }


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code}]}
