"""An application with the sign-in pages, a clock that tests move, and what a browser and a mailbox see."""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fhir_server import web
from fhir_server.identity.accounts import create_account
from fhir_server.identity.invitations import Person, invite
from fhir_server.interactions.model import Context
from fhir_server.notify.outbox import deliver_due
from fhir_server.notify.rendering import Letterhead
from fhir_server.notify.transports import FileTransport
from fhir_server.portal import __file__ as portal_file
from fhir_server.signin.routes import blueprint
from fhir_server.spec import definitions
from fhir_server.store.accounts import Account
from fhir_server.store.database import Store
from fhir_server.store.recorder import Recorder
from tests.databases import SqliteDatabases
from tests.server import create_schema
from tests.signin.nhs_login_world import NhsWorld, running_world

BASE_URL = "http://localhost:18320"
PASSWORD = "walrus kettle orbit 41"
_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
_LINK = re.compile(re.escape(BASE_URL) + r"(/\S+)")


@dataclass
class Clock:
    """Time as the server sees it."""

    at: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 9, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.at

    def pass_time(self, **parts: float) -> None:
        self.at += timedelta(**parts)


@dataclass
class World:
    """The application, its database, its outbox."""

    app: Flask
    store: Store
    clock: Clock
    folder: Path
    signed_out: list[str]

    def account(self, email: str = "patient@example.org", **fields: str) -> Account:
        with self.store.write() as session:
            return create_account(
                session,
                role=fields.get("role", "patient"),
                email=email,
                name=fields.get("name", "Ann Example"),
                password=PASSWORD,
                now=self.clock(),
                reference=fields.get("reference", "Patient/1"),
                organization=fields.get("organization"),
            )

    def mail(self) -> list[dict[str, str]]:
        """Deliver what is due and return every message so far, oldest first."""
        transport = FileTransport(self.folder)
        letterhead = Letterhead("Care Information Exchange", BASE_URL)
        deliver_due(self.store, {"email": transport, "text": transport}, letterhead, self.clock)
        found = [json.loads(path.read_text()) for path in self.folder.glob("*.json")]
        return sorted(found, key=lambda message: message["sent_at"])

    def newest(self, kind: str) -> dict[str, str]:
        self.clock.pass_time(milliseconds=10)
        return [message for message in self.mail() if message["kind"] == kind][-1]

    def link(self, kind: str) -> str:
        """Return the path of the link in the newest e-mail of a kind."""
        found = _LINK.search(self.newest(kind)["body"])
        assert found
        return found[1]

    def code(self) -> str:
        found = re.search(r"code is (\S+)\.", self.newest("invitation-code")["body"])
        assert found
        return found[1]

    def invite(self, **fields: str) -> Account:
        """Invite a person as a coordinator; return the coordinator."""
        organization = fields.pop("organization", "Organization/1")
        person = {
            "given": "Béatrice",
            "family": "O'Neill-Smith",
            "birth_date": "1984-03-15",
            "nhs_number": "943 476 5919",
            "email": "Bea@Example.org",
            "mobile": "07700 900123",
            "patient": "Patient/9",
        } | fields
        number = uuid.uuid4().hex[:8]
        coordinator = self.account(
            f"coordinator-{number}@example.org",
            role="coordinator",
            name="Cora Coordinator",
            reference="",
            organization=organization,
        )
        with self.store.write() as session:
            invite(session, coordinator, Person(**person), self.clock())
        return coordinator


class Browser:
    """A browser that fills in forms: it carries cookies and the form's CSRF token."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, base_url=BASE_URL)

    def post(self, path: str, form: dict[str, str], *, page: str = "") -> TestResponse:
        """Open `page` (the form's own path unless told), then send the form."""
        shown = self.get(page or path)
        token = _CSRF.search(shown.text)
        sent = {**form, "csrf_token": token[1] if token else ""}
        return self.client.post(path, data=sent, base_url=BASE_URL)

    def sign_in(self, email: str = "patient@example.org", password: str = PASSWORD, **extra: str) -> TestResponse:
        return self.post("/sign-in", {"email": email, "password": password, **extra})

    def is_signed_in(self) -> bool:
        return self.get("/whoami").status_code == 200

    def cookie(self) -> str:
        found = self.client.get_cookie("session", domain="localhost")
        return found.value if found else ""


def _application(store: Store, clock: Clock, signed_out: list[str]) -> Flask:
    app = Flask("test")
    base = Context(
        store, definitions.load(), clock, lambda: str(uuid.uuid4()), f"{BASE_URL}/fhir", recorder=Recorder(store)
    )
    hook = (lambda _context, person: signed_out.append(person.session_id),)
    web.install(app, web.Web(base, BASE_URL, "a secret key of at least 32 characters", on_sign_out=hook))
    app.register_blueprint(blueprint)
    pages = Blueprint("pages", __name__, template_folder=str(Path(portal_file).parent / "templates"))

    @pages.get("/whoami")
    @web.require()
    def whoami() -> dict[str, str]:
        person = web.signed_in()
        assert person
        return {"email": person.account.email, "session": person.session_id, "auth": person.auth_time.isoformat()}

    @pages.get("/desk")
    @web.require("service-desk")
    def desk() -> str:
        return "desk"

    app.register_blueprint(pages)
    app.jinja_env.globals["asset"] = lambda name: f"/assets/{name}"
    app.testing = False
    return app


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    store = Store(database_url)
    clock, signed_out = Clock(), list[str]()
    yield World(_application(store, clock, signed_out), store, clock, tmp_path / "outbox", signed_out)
    store.close()


@pytest.fixture
def browser_of(world: World) -> Browser:
    """Return a browser without cookies."""
    return Browser(world.app.test_client())


@pytest.fixture(scope="module")
def nhs_login_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NhsWorld]:
    templates = tmp_path_factory.getbasetemp() / "sqlite-templates"
    templates.mkdir(exist_ok=True)
    folder = tmp_path_factory.mktemp("refused")
    url = SqliteDatabases(folder, templates).prepared("schema", create_schema)
    with running_world(url, folder) as made:
        made.patient()
        yield made


@pytest.fixture
def nhs(nhs_login_running: NhsWorld) -> NhsWorld:
    """Return NHS login and a server that trusts it, one of each a file, as if both had just started."""
    nhs_login_running.reset()
    return nhs_login_running
