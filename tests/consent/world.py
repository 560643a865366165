"""A small record with something to hide: two patients, a trust that writes, a practice that is let in, a carer."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from fhir_server.store import accounts, tables
from fhir_server.store.accounts import Account
from fhir_server.store.keys import type_key
from tests.server import EVERYTHING, START, Server, build, create_schema

NHS = "https://fhir.nhs.uk/Id/nhs-number"
_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
LABEL = "https://fhir-server.example.org/CodeSystem/privacy-label"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
TRUST, PRACTICE = "Organization/trust", "Organization/practice"
GP, CONSULTANT, CARER = "Practitioner/gp", "Practitioner/consultant", "RelatedPerson/carer"
ANN, BOB = "Patient/ann", "Patient/bob"

Json = dict[str, Any]


def ref(target: str) -> Json:
    return {"reference": target}


def labelled(*codes: str) -> Json:
    return {"security": [{"system": LABEL, "code": code} for code in codes]}


def observation(patient: str, logical_id: str = "", label: str = "general", **more: Any) -> Json:
    """Return an Observation; `category`, `value`, `day` and any element by name."""
    category, value, day = more.pop("category", "laboratory"), more.pop("value", 5), more.pop("day", 1)
    return {
        "resourceType": "Observation",
        **({"id": logical_id} if logical_id else {}),
        **({"meta": labelled(label)} if label else {}),
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": more.pop("code", "718-7")}], "text": "Haemoglobin"},
        "subject": ref(patient),
        "effectiveDateTime": f"2026-03-{day:02d}",
        "valueQuantity": {"value": value, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"},
        **more,
    }


def document(patient: str, logical_id: str, label: str, binary: str = "") -> Json:
    return {
        "resourceType": "DocumentReference",
        "id": logical_id,
        "meta": labelled(label),
        "status": "current",
        "subject": ref(patient),
        "content": [{"attachment": {"contentType": "text/plain", "url": binary or "Binary/none"}}],
    }


def consent(patient: str, *grantees: str, labels: tuple[str, ...] = ("general",), **more: Any) -> Json:
    """Return a Consent that permits; `status`, `type`, `policy` and any member of the provision by name."""
    status, policy = more.pop("status", "active"), more.pop("policy", "")
    actors = [{"role": {"coding": [{"code": "IRCP"}]}, "reference": ref(grantee)} for grantee in grantees]
    return {
        "resourceType": "Consent",
        "status": status,
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": ref(patient),
        **({"policy": [{"uri": policy}]} if policy else {"policyRule": {"text": "OPTIN"}}),
        "provision": {
            "type": more.pop("type", "permit"),
            "actor": actors,
            **({"securityLabel": [{"system": LABEL, "code": code} for code in labels]} if labels else {}),
            **more,
        },
    }


@dataclass
class World:
    """The record and tokens of those who use it."""

    server: Server
    operator: str = ""
    trust: str = ""
    practice: str = ""
    gp: str = ""
    consultant: str = ""
    ann: str = ""
    bob: str = ""
    carer: str = ""
    consents: list[str] = field(default_factory=list)

    def build(self) -> World:
        """Fill the record: Ann shares what is general with the practice; Bob shares nothing."""
        self._sign_in()
        for organization in (TRUST, PRACTICE):
            self._put({"resourceType": "Organization", "id": organization.partition("/")[2], "name": organization})
        for number, (person, place) in enumerate(((GP, PRACTICE), (CONSULTANT, TRUST))):
            self._put({"resourceType": "Practitioner", "id": person.partition("/")[2], "name": [{"family": person}]})
            self._put(
                {
                    "resourceType": "PractitionerRole",
                    "id": f"role-{number}",
                    "active": True,
                    "practitioner": ref(person),
                    "organization": ref(place),
                }
            )
        for number, patient in enumerate((ANN, BOB)):
            self._put(
                {
                    "resourceType": "Patient",
                    "id": patient.partition("/")[2],
                    "identifier": [{"system": NHS, "value": f"999000000{number + 1}"}],
                    "name": [{"family": patient.partition("/")[2].title()}],
                    "birthDate": f"198{number}-04-0{number + 1}",
                },
                self.trust,
            )
        self._put({"resourceType": "RelatedPerson", "id": "carer", "patient": ref(ANN)}, self.trust)
        self._records()
        self.share(consent(ANN, PRACTICE))
        return self

    def enter(self) -> World:
        """Take up a record that was filled before."""
        self._sign_in()
        with self.server.store.read() as session:
            row = tables.resource.c
            self.consents += session.connection.execute(select(row.id).where(row.type == type_key("Consent"))).scalars()
        return self

    def _sign_in(self) -> None:
        token = self.server.token
        self.operator = self.server.operator()
        self.trust, self.practice = token(TRUST), token(PRACTICE)
        self.gp, self.consultant = token(GP), token(CONSULTANT)
        self.ann, self.bob, self.carer = token(ANN), token(BOB), token(CARER)

    def share(self, body: Json, token: str = "") -> str:
        """Store a Consent as its patient; return its id."""
        patient = body["patient"]["reference"]
        made = self.server.post("Consent", token or (self.ann if patient == ANN else self.bob), body)
        self.consents.append(made["id"])
        return str(made["id"])

    def _put(self, body: Json, token: str = "") -> None:
        self.server.put(body, token or self.operator)

    def _records(self) -> None:
        trust = self.trust
        mental = "mental-health"
        for patient, prefix in ((ANN, "a"), (BOB, "b")):
            self._put({"resourceType": "Encounter", "id": f"{prefix}-enc", "meta": labelled("general"),
                       "status": "finished", "class": {"code": "AMB"}, "subject": ref(patient)}, trust)  # fmt: skip
            self._put({"resourceType": "Encounter", "id": f"{prefix}-enc-mh", "meta": labelled(mental),
                       "status": "finished", "class": {"code": "IMP"}, "subject": ref(patient)}, trust)  # fmt: skip
            self._put(observation(patient, f"{prefix}-1", encounter=ref(f"Encounter/{prefix}-enc"), day=3), trust)
            hidden_links: Json = {
                "encounter": ref(f"Encounter/{prefix}-enc-mh"),
                "hasMember": [ref(f"Observation/{prefix}-mh")],
            }
            visible = observation(patient, f"{prefix}-2", category="vital-signs", value=7, day=2, **hidden_links)
            self._put(visible, trust)
            first = [ref(f"Observation/{prefix}-1")]
            hidden = observation(patient, f"{prefix}-mh", mental, value=9, code="44261-6", hasMember=first)
            self._put(hidden, trust)
            self._put(document(patient, f"{prefix}-doc", "general", f"Binary/{prefix}-bin"), trust)
            self._put(document(patient, f"{prefix}-doc-mh", mental, f"Binary/{prefix}-bin-mh"), trust)
            for name in ("", "-mh"):
                self._put({"resourceType": "Binary", "id": f"{prefix}-bin{name}", "contentType": "text/plain",
                           "securityContext": ref(f"DocumentReference/{prefix}-doc{name}"),
                           "data": "aGVsbG8="}, trust)  # fmt: skip
                self._put({"resourceType": "Provenance", "id": f"{prefix}-prov{name}",
                           "target": [ref(f"DocumentReference/{prefix}-doc{name}")], "recorded": "2026-03-01T09:00:00Z",
                           "agent": [{"who": ref(TRUST)}]}, trust)  # fmt: skip
        both = observation(ANN, "both", performer=[ref(BOB)], day=9)
        self._put(both, trust)


def staff_token(world: World, role: str, scope: str = EVERYTHING, *, may_break_glass: bool = False) -> str:
    """Return the token of somebody who works for the record, such as a `privacy-officer`."""
    account = Account(
        id=role, email=f"{role}@example.org", name=role, role=role, reference="", organization=TRUST,
        may_break_glass=may_break_glass, active=True, created_at=START, email_confirmed_at=START,
    )  # fmt: skip
    with world.server.store.write() as session:
        accounts.add(session, account, accounts.Secrets("", ""))
    return world.server.token(f"account:{role}", scope, account_id=role, organization=TRUST)


def fill(url: str) -> None:
    """Fill an empty database with the small world, for `Databases.prepared`."""
    create_schema(url)
    with tempfile.TemporaryDirectory() as folder:
        made = build(url, Path(folder))
        World(made).build()
        made.close()
