"""The portal in a small world: more kinds of records to show, people with accounts, and every page they can open."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fhir_server.identity.agreements import SHIPPED
from fhir_server.portal.routes import PAGES, Page
from fhir_server.store import accounts, sessions
from fhir_server.store.accounts import Account, Secrets
from tests.consent.callers import EMERGENCY
from tests.consent.world import ANN, BOB, CARER, GP, PRACTICE, TRUST, Json, World, labelled, ref

BASE: Final = "http://localhost"
ROLES: Final = {
    "patient": ANN,
    "carer": CARER,
    "professional": GP,
    **dict.fromkeys(("coordinator", "privacy-officer", "service-desk", "admin", "developer"), ""),
}
PLACES: Final = {"professional": PRACTICE, "coordinator": TRUST, "privacy-officer": TRUST}
LEFT_OUT: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("/access-log", "/access-log.json", "/access-log/proof.json", "/access-log/check"),
        "the log of the patient's own record, to which each request adds; no row of a record is in it",
    ),
    **dict.fromkeys(
        ("/privacy/audit", "/privacy/audit/state"), "the log of everybody, to which each request adds, or its length"
    ),
}
"""Pages that differ each time they are opened, and why; of a patient's first page that part is not compared."""
_VARIABLE: Final = re.compile(r"<(?:[^:<>]+:)?([a-z_]+)>")
_FORM_TOKEN: Final = re.compile(r'name="csrf_token" value="([^"]+)"')
_REQUEST: Final = "https://fhir-server.example.org/CodeSystem/appointment-request"
_ALLERGY: Final = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
_CODING: Final = {
    "coding": [{"system": "http://snomed.info/sct", "code": "91936005", "display": "Allergy"}],
    "text": "A",
}
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "patient_id": ("ann", "bob", "nowhere"),
    "appointment_id": ("a-app", "a-app-mh", "b-app", "nowhere"),
    "letter_id": ("a-doc", "a-doc-mh", "b-doc", "b-doc-mh", "nowhere"),
    "index": ("0", "1"),
    "code": ("718-7", "44261-6", "none"),
    "kind_code": ("weight", "none"),
    "entry_kind": ("letter", "none"),
    "grantee_type": ("Practitioner", "Organization"),
    "grantee_id": ("gp", "practice", "nowhere"),
    "grant_id": ("nowhere",),
    "invitation_id": ("nowhere",),
    "review_id": ("nowhere",),
    "event_id": ("nowhere",),
    "entry_type": ("DocumentReference", "Consent"),
    "entry_id": ("a-doc", "a-doc-mh", "nowhere"),
    "dispute_id": ("nowhere",),
    "carer_invitation_id": ("nowhere",),
    "parent_invitation_id": ("nowhere",),
    "choice": ("carol", "nowhere"),
    "request_id": ("a-com", "a-com-mh", "b-com", "nowhere"),
    "account_id": ("account-professional", "nowhere"),
    "token": ("nowhere",),
    "batch_id": ("nowhere",),
    "message_id": ("nowhere",),
    "action": ("cancel",),
    "client_id": ("nowhere",),
    "case_id": ("nowhere",),
    "case_kind": ("merge",),
    "team_id": ("nowhere",),
}


_LAUNCH: Final = tuple(f"/oauth/launch?patient={patient}" for patient in ("ann", "bob", "nowhere"))
_MORE: Final[Mapping[str, tuple[str, ...]]] = {
    "patient": ("/sharing/add?q=pra", "/sharing/add?q=zz", "/record/search?q=a", "/record/letters?q=a", *_LAUNCH),
    "carer": ("/record/search?q=a", "/record/letters?q=a", *_LAUNCH),
    "professional": (
        *("/patients?q=b", "/patients?q=ann", "/patients?q=Bob", "/patients/ann/search?q=a"),
        *("/patients/bob/search?q=a", *_LAUNCH),
    ),
    "coordinator": ("/organisation/appointment-requests?show=answered",),
    "privacy-officer": ("/privacy?show=closed", *(f"/privacy/sharing?patient={who}" for who in ("ann", "bob", "no"))),
}
"""Searches and lists in another state, and the page of another room that names whose record an app is opened with."""
Ids = Mapping[str, tuple[str, ...]]
"""What stands in an address for each of its variables."""


def furnish(world: World) -> Ids:
    """Add what pages show, of each kind one that is general and one that is not, for both patients; return its ids."""
    for patient, prefix in ((ANN, "a"), (BOB, "b")):
        for end, label in (("", "general"), ("-mh", "mental-health")):
            for body in _shown(patient, f"{prefix}-app{end}"):
                logical_id = f"{prefix}-{str(body['resourceType']).lower()[:3]}{end}"
                world.server.put({**body, "id": logical_id, "meta": labelled(label)}, world.trust)
    return {**_VALUES, **_questions(world), "consent_id": (world.consents[0], "nowhere")}


def _questions(world: World) -> Ids:
    """Let patients ask two organisations about appointments, break the glass, and let a patient ask about that."""
    for token, name in ((world.trust, "trust"), (world.practice, "practice")):
        visit = {**_shown(ANN, "")[0], "id": f"a-visit-{name}", "meta": labelled("mental-health")}
        world.server.put(visit, token)
        asked = {**_shown(ANN, visit["id"])[-1], "meta": labelled("mental-health")}
        world.server.post("Communication", world.ann, asked)
    world.server.post(f"{BOB}/$break-glass", world.consultant, EMERGENCY, 200)
    seen = world.server.get("AuditEvent?purpose=BTG&_count=1", world.bob)["entry"][0]["resource"]["id"]
    about = [
        {"name": "event", "valueReference": ref(f"AuditEvent/{seen}")},
        {"name": "text", "valueString": "I was at home"},
    ]
    world.server.post(f"{BOB}/$dispute-access", world.bob, {"resourceType": "Parameters", "parameter": about})
    tasks = [entry["resource"] for entry in world.server.get("Task", world.server.operator())["entry"]]
    ids: dict[str, list[str]] = {}
    for task in tasks:
        ids.setdefault(task["code"]["coding"][0]["code"], []).append(task["id"])
    return {
        "request_id": (*_VALUES["request_id"], *ids["change"]),
        "review_id": (*ids["review-emergency-access"], "nowhere"),
        "dispute_id": (*ids["review-disputed-access"], "nowhere"),
    }


def _shown(patient: str, appointment_id: str) -> list[Json]:
    return [
        {"resourceType": "Appointment", "status": "booked", "start": "2026-12-01T10:00:00Z",
         "end": "2026-12-01T10:20:00Z", "participant": [{"actor": ref(patient), "status": "accepted"}]},
        {"resourceType": "AllergyIntolerance", "patient": ref(patient), "code": _CODING,
         "clinicalStatus": {"coding": [{"system": _ALLERGY, "code": "active"}]}},
        {"resourceType": "Condition", "subject": ref(patient), "code": _CODING},
        {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": ref(patient),
         "medicationCodeableConcept": _CODING},
        {"resourceType": "Immunization", "status": "completed", "patient": ref(patient), "vaccineCode": _CODING,
         "occurrenceDateTime": "2026-01-01"},
        {"resourceType": "Communication", "status": "completed", "subject": ref(patient), "sender": ref(patient),
         "category": [{"coding": [{"system": _REQUEST, "code": "change"}]}], "sent": "2026-01-02T10:00:00Z",
         "about": [ref(f"Appointment/{appointment_id}")], "payload": [{"contentString": appointment_id}]},
    ]  # fmt: skip


class Visitor:
    """Somebody at a browser, signed in."""

    def __init__(self, world: World, role: str, session_id: str = "") -> None:
        """Give a person of this role an account and a session."""
        self.world = world
        self.session_id = session_id or f"session-{role}"
        secret = f"secret-of-{self.session_id}"
        now = world.server.clock()
        account = Account(
            id=f"account-{role}",
            email=f"{role}@example.org",
            name=role,
            role=role,
            reference=ROLES[role],
            organization=PLACES.get(role, ""),
            may_break_glass=role == "professional",
            active=True,
            created_at=now,
            email_confirmed_at=now,
            agreement_version=SHIPPED.agreement,
            privacy_version=SHIPPED.privacy,
        )
        with world.server.store.write() as session:
            accounts.add(session, account, Secrets("", ""))
            token_hash = hashlib.sha256(secret.encode()).hexdigest()
            sessions.start(session, self.session_id, token_hash, account_id=account.id, now=now)
        self.account = account
        self.client: FlaskClient = world.server.app.test_client()
        self.client.set_cookie("session", secret)
        self.open("/choose-record" if role == "carer" else "/account")  # the first page with a form sets its cookie

    def open(self, path: str) -> TestResponse:
        """Open a page."""
        return self.client.get(path, base_url=BASE)

    def send(self, path: str, form: Mapping[str, Any]) -> TestResponse:
        """Send a form with the token of a page."""
        found = _FORM_TOKEN.search(self.client.get("/contact", base_url=BASE).text)
        token = found[1] if found else ""
        return self.client.post(path, data={**form, "csrf_token": token}, base_url=BASE)


def addresses(role: str, ids: Ids) -> Iterator[str]:
    """Yield every address that a person of this role can open, with ids that are visible, hidden and absent."""
    for page in PAGES:
        if (not page.roles or role in page.roles) and "GET" in page.methods and page.path not in LEFT_OUT:
            yield from _filled(page, ids)
    yield from _MORE.get(role, ())


def _filled(page: Page, ids: Ids) -> Iterator[str]:
    names = _VARIABLE.findall(page.path)
    for values in itertools.product(*(ids[name] for name in names)):
        given = dict(zip(names, values, strict=True))
        yield _VARIABLE.sub(lambda match, given=given: given[match[1]], page.path)  # type: ignore[misc]
