"""A browser without scripts at the whole server, and the phone, mailbox and authenticator app of its person."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyotp
from werkzeug.test import TestResponse

from fhir_server.identity import accounts
from fhir_server.notify.outbox import deliver_due
from fhir_server.notify.rendering import Letterhead
from fhir_server.notify.transports import FileTransport
from fhir_server.store import accounts as account_rows
from fhir_server.store.accounts import Account
from tests.server import Server

PASSWORD = "walrus kettle orbit 41"
MOBILE = "+447700900123"
_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
_KEY = re.compile(r'class="app-secret">([A-Z2-7 ]+)<')


def account(
    server: Server, email: str = "ada@example.org", role: str = "privacy-officer", *, mobile: str = ""
) -> Account:
    """Make an account of somebody who opens no record of their own."""
    with server.store.write() as session:
        made = accounts.create_account(
            session,
            role=role,
            email=email,
            name="Ada Byron",
            password=PASSWORD,
            now=server.clock(),
            reference="RelatedPerson/1" if role == "carer" else None,
        )
        if mobile:
            account_rows.set_mobile(session, made.id, mobile)
    return made


class Visitor:
    """Somebody at a browser."""

    def __init__(self, server: Server, folder: Path) -> None:
        """Begin without cookies; messages are delivered to a folder."""
        self.server = server
        self.client = server.app.test_client()
        self.folder = folder / "outbox"

    def get(self, path: str, status: int = 200) -> str:
        """Open a page that must answer this status; return its text."""
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return str(answer.text)

    def post(self, path: str, form: dict[str, str] | None = None, *, page: str = "/contact") -> TestResponse:
        """Send a form with the token that a page has for it."""
        token = self.form_token(page) or self.form_token("/sign-in")
        return self.client.post(path, data={**(form or {}), "csrf_token": token})

    def form_token(self, page: str) -> str:
        """Return the token that a page has for its forms, "" where it has none."""
        found = _CSRF.search(self.client.get(page).text)
        return found[1] if found else ""

    def sign_in(self, email: str = "ada@example.org", password: str = PASSWORD) -> TestResponse:
        """Send e-mail address and password."""
        return self.post("/sign-in", {"email": email, "password": password}, page="/sign-in")

    def again(self, password: str = PASSWORD) -> TestResponse:
        """Give a fresh proof."""
        return self.post("/sign-in/again", {"password": password, "next": "/account"}, page="/sign-in/again")

    def is_in(self) -> bool:
        """Return whether somebody is signed in here."""
        return self.client.get("/account").status_code == 200

    def mail(self, kind: str) -> list[dict[str, str]]:
        """Deliver what is due and return every message of a kind, oldest first."""
        self.server.clock.advance(milliseconds=10)
        transport = FileTransport(self.folder)
        letterhead = Letterhead("Care Information Exchange", "http://localhost")
        deliver_due(self.server.store, {"email": transport, "text": transport}, letterhead, self.server.clock)
        found = [json.loads(path.read_text()) for path in self.folder.glob("*.json")]
        return sorted((each for each in found if each["kind"] == kind), key=lambda each: each["sent_at"])

    def code(self) -> str:
        """Return the code of the newest text message."""
        return self.mail("proof-code")[-1]["body"].split()[0]

    def link(self, kind: str) -> str:
        """Return the path of the link in the newest e-mail of a kind."""
        found = re.search(r"http://localhost(/\S+/\S{43})", self.mail(kind)[-1]["body"])
        assert found
        return found[1]

    def key_on(self, page: str) -> pyotp.TOTP:
        """Return an authenticator app that was told the key on a page."""
        found = _KEY.search(page)
        assert found, page
        return pyotp.TOTP(found[1].replace(" ", ""))

    def shown(self, app: pyotp.TOTP) -> str:
        """Return what an app shows now, of a step whose code nobody has used."""
        self.server.clock.advance(seconds=30)
        return app.at(self.server.clock())

    def set_up_app(self) -> pyotp.TOTP:
        """Set up an authenticator app on the account page."""
        app = self.key_on(self.get("/account/authenticator"))
        answer = self.post("/account/authenticator", {"code": self.shown(app)})
        assert answer.status_code == 303, answer.text
        return app

    def recovery_codes(self) -> list[str]:
        """Make recovery codes and return them."""
        return re.findall(r"<code>([0-9A-Z-]{14})</code>", self.post("/account/recovery-codes").text)
