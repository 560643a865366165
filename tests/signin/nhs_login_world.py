"""A server registered with a provider that lies on demand, a record that an NHS login may open, and a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fhir_server.identity.accounts import create_account
from fhir_server.identity.invitations import Person, invite
from fhir_server.identity.openid_provider import Publications
from fhir_server.notify.outbox import deliver_due
from fhir_server.notify.rendering import Letterhead
from fhir_server.notify.transports import FileTransport
from fhir_server.signin.relying_party import EXTENSION, RelyingParty
from fhir_server.store.accounts import Account
from tests.server import Clock, Server, build
from tests.signin.nhs_login_issuer import BORN, FAMILY, NUMBER, Issuer, rsa_key, running_issuer

PASSWORD = "walrus kettle orbit 41"
VERIFICATION = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
STATUS = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatus"
_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
_SHOWN = re.compile(r"<h1[^>]*>\s*(.*?)\s*</h1>", re.DOTALL)


@dataclass
class NhsWorld:
    """The server, the provider, the record."""

    server: Server
    issuer: Issuer
    folder: Path

    @property
    def party(self) -> RelyingParty:
        """Return our side of the provider."""
        found: RelyingParty = self.server.app.extensions[EXTENSION]["nhs-login"]
        return found

    def reset(self) -> None:
        """Let the provider tell the truth again, and our side forget what it published."""
        self.issuer.__init__(url=self.issuer.url, now=self.issuer.now)  # type: ignore[misc]
        self.party.published = Publications(self.issuer.url)
        self.server.clock.advance(minutes=16)  # beyond the limits of what one address may try

    def browser(self) -> Browser:
        """Return a browser without cookies."""
        return Browser(self, self.server.app.test_client())

    def patient(self, patient_id: str = "bea", *, number: str = NUMBER, status: str = "01", **changed: Any) -> str:
        """Store a record; return its reference."""
        extension = {
            "url": VERIFICATION,
            "valueCodeableConcept": {"coding": [{"system": STATUS, "code": status}]},
        }
        record = {
            "resourceType": "Patient",
            "id": patient_id,
            "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": number, "extension": [extension]}],
            "name": [{"use": "official", "family": FAMILY, "given": ["Béatrice"]}],
            "birthDate": BORN,
        }
        self.server.put(record | changed, self.server.operator())
        return f"Patient/{patient_id}"

    def account(self, reference: str, email: str = "bea@example.org", role: str = "patient") -> Account:
        """Make an account with a password."""
        with self.server.store.write() as session:
            return create_account(
                session,
                role=role,
                email=email,
                name="Béatrice O'Neill-Smith",
                password=PASSWORD,
                now=self.server.clock(),
                reference=reference,
            )

    def invite(self, reference: str) -> str:
        """Invite the person of a record; return the path of the link that they get."""
        coordinator = self.account("", "coordinator@example.org", "coordinator")
        person = Person("Béatrice", FAMILY, BORN, NUMBER, "bea@example.org", "07700 900123", reference)
        with self.server.store.write() as session:
            invite(session, coordinator, person, self.server.clock())
        self.mail()
        (body,) = [
            message["body"]
            for path in (self.folder / "mail").glob("*.json")
            if (message := json.loads(path.read_text()))["kind"] == "invitation"
        ]
        found = re.search(r"http://localhost(/register/\S+)", body)
        assert found
        return found[1]

    def mail(self) -> list[tuple[str, str]]:
        """Deliver what is due; return (kind, to) of every message so far, sorted."""
        transport = FileTransport(self.folder / "mail")
        letterhead = Letterhead("Care Information Exchange", "http://localhost")
        deliver_due(self.server.store, {"email": transport, "text": transport}, letterhead, self.server.clock)
        found = [json.loads(path.read_text()) for path in (self.folder / "mail").glob("*.json")]
        return sorted((message["kind"], message["to"]) for message in found)

    def events(self) -> list[tuple[str, str]]:
        """Return (outcome, description) of the sign-ins of the last minute on the audit log, oldest first."""
        since = (self.server.clock() - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = f"AuditEvent?subtype=110122&_count=100&_sort=date&date=ge{since}"
        bundle = self.server.get(query, self.server.operator())
        found = [entry["resource"] for entry in bundle.get("entry", ())]
        return [(event["outcome"], event.get("outcomeDesc", "")) for event in found]


@dataclass
class Browser:
    """A browser that carries cookies, fills in forms and can be sent to the provider and back."""

    world: NhsWorld
    client: FlaskClient

    def get(self, path: str) -> TestResponse:
        """Open a page."""
        return self.client.get(path, base_url="http://localhost")

    def post(self, path: str, **form: str) -> TestResponse:
        """Open a page and send its form."""
        found = _CSRF.search(self.get(path).text)
        sent = {**form, "csrf_token": found[1] if found else ""}
        return self.client.post(path, data=sent, base_url="http://localhost")

    def leave(self, path: str = "/nhs-login") -> str:
        """Go to the provider; return the path that it sends the browser back with."""
        away = self.get(path)
        assert away.status_code == 303, away.text
        assert away.location.startswith(f"{self.world.issuer.url}/authorize?")
        return self.world.issuer.redirect(away.location)

    def nhs_login(self, path: str = "/nhs-login") -> TestResponse:
        """Go to the provider and come back."""
        return self.get(self.leave(path))

    def sign_in(self, email: str, **more: str) -> TestResponse:
        """Sign in with a password."""
        return self.post("/sign-in", email=email, password=PASSWORD, **more)

    def accept(self) -> TestResponse:
        """Accept agreement and policy."""
        page = self.get("/nhs-login/agreement").text
        ticked = {name: re.search(rf'name="{name}" type="checkbox" value="([^"]+)"', page) for name in _TICKED}
        return self.post("/nhs-login/agreement", **{name: found[1] for name, found in ticked.items() if found})

    def is_signed_in(self) -> bool:
        """Return whether a page for people who are signed in opens."""
        return self.get("/account").status_code == 200


_TICKED = ("agreement", "privacy")


def heading(answer: TestResponse) -> str:
    """Return the heading of a page."""
    found = _SHOWN.search(answer.text)
    return found[1] if found else ""


@contextmanager
def running_world(url: str, folder: Path, *, name: str = "nhs_login") -> Iterator[NhsWorld]:
    """Serve a provider, and a server over a database whose schema is there that trusts it.

    `name` says as which of the providers that the server knows: `nhs_login` or `cis2`.
    """
    key_file = folder / "nhs-login.pem"
    key_file.write_bytes(rsa_key("client").as_pem(private=True))
    with running_issuer() as issuer:
        server = build(
            url,
            folder,
            Clock(datetime.now(UTC)),
            **{
                f"{name}_issuer": issuer.url,
                f"{name}_client_id": "client-1",
                f"{name}_private_key_file": str(key_file),
            },
        )
        issuer.now = lambda: server.clock().timestamp()
        yield NhsWorld(server, issuer, folder)
        server.close()
