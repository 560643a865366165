"""GOV.UK Notify: what is sent to it, and what its answers make of a message; over real HTTP, with the JWT verified."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from fhir_server.notify.outbox import deliver_due, queue
from fhir_server.notify.rendering import Letterhead
from fhir_server.notify.templates import Notice
from fhir_server.notify.transports import Delivery, UndeliverableError, transport
from fhir_server.store.database import Store
from tests.answering import answering

SERVICE, SECRET = "26785a09-ab16-4eb0-8407-a37497a57506", "3d844edf-8d35-48ac-975b-e847b4f122b0"
TEMPLATE = "f33517ff-2a88-4f6e-b855-c550268ce08a"
AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
EMAIL = Delivery("m-1", "bea@example.org", "Your invitation", "Grüße\n\nhttp://localhost/x\n", "invitation", AT)
TEXT = Delivery("m-2", "+447700900123", "", "Your code is 7KQM-2X0P.", "invitation-code", AT)


@dataclass
class Notify:
    """What the service was asked; `answers` are (status, body) to give before it says yes."""

    url: str = ""
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    drops: int = 0


class _Handler(BaseHTTPRequestHandler):
    notify: Notify

    def do_GET(self) -> None:
        self._check()
        reference = parse_qs(urlsplit(self.path).query)["reference"][0]
        found = [{"reference": reference}] if reference in self.notify.kept else []
        self._answer(200, {"notifications": found})

    def do_POST(self) -> None:
        self._check()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.notify.got.append((self.path, body))
        if self.notify.answers:
            return self._answer(*self.notify.answers.pop(0))
        self.notify.kept[body["reference"]] = body["template_id"]
        if self.notify.drops:
            self.notify.drops -= 1
            self.connection.close()
            return None
        return self._answer(201, {"id": "1", "reference": body["reference"]})

    def _check(self) -> None:
        token = jwt.decode(self.headers["Authorization"].removeprefix("Bearer "), OctKey.import_key(SECRET), ["HS256"])
        assert token.header == {"alg": "HS256", "typ": "JWT"}
        assert token.claims["iss"] == SERVICE
        assert isinstance(token.claims["iat"], int)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


@pytest.fixture
def notify() -> Iterator[Notify]:
    made = Notify()
    listener = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"notify": made}))
    made.url = f"govuk-notify+http://127.0.0.1:{listener.server_port}?key=live-{SERVICE}-{SECRET}&template={TEMPLATE}"
    with answering(listener):
        yield made


def test_email_and_text_carry_our_words_under_the_id_of_the_message(notify: Notify) -> None:
    sender = transport(notify.url)
    sender.send(EMAIL)
    sender.send(TEXT)
    common = {"template_id": TEMPLATE}
    said = {"subject": EMAIL.subject, "body": EMAIL.body}
    assert notify.got == [
        (
            "/v2/notifications/email",
            common | {"email_address": EMAIL.to, "personalisation": said, "reference": "m-1"},
        ),
        (
            "/v2/notifications/sms",
            common | {"phone_number": TEXT.to, "personalisation": {"body": TEXT.body}, "reference": "m-2"},
        ),
    ]
    # A repeated try asks first: what arrived is not sent again, what did not is.
    sender.send(replace(EMAIL, is_repeat=True))
    assert len(notify.got) == 2
    sender.send(replace(EMAIL, id="m-3", is_repeat=True))
    assert len(notify.got) == 3


def test_only_what_no_later_try_mends_is_given_up(notify: Notify) -> None:
    sender = transport(notify.url)
    for status, errors, raised in (
        (400, [{"error": "ValidationError", "message": "email_address Not a valid email address"}], UndeliverableError),
        (400, [{"error": "BadRequestError", "message": "Template not found"}], OSError),
        (400, "text", OSError),
        (403, [{"error": "AuthError", "message": "Error: Your system clock must be accurate"}], OSError),
        (429, [{"error": "TooManyRequestsError", "message": "Exceeded send limits"}], OSError),
        (500, [], OSError),
        (302, [], OSError),
    ):
        notify.answers.append((status, {"status_code": status, "errors": errors}))
        with pytest.raises((UndeliverableError, OSError)) as caught:
            sender.send(EMAIL)
        assert type(caught.value) is raised, (status, errors)


def test_an_answer_that_was_lost_sends_nothing_twice(notify: Notify, database_url: str) -> None:
    store, now = Store(database_url), [AT]
    transports = {"email": transport(notify.url), "text": transport(notify.url)}
    with store.write() as session:
        queue(session, Notice.NEWS, "bea@example.org", AT)
    notify.drops = 1
    for _ in range(3):
        deliver_due(store, transports, Letterhead("CIE", "http://localhost"), lambda: now[0])
        now[0] += timedelta(minutes=5)
    assert len(notify.got) == 1
    store.close()


def test_a_key_travels_in_clear_to_this_machine_only() -> None:
    key = f"live-{SERVICE}-{SECRET}"
    for url in (
        f"govuk-notify+http://notify.example.org?key={key}&template={TEMPLATE}",
        f"govuk-notify://notify.example.org?key={SECRET}&template={TEMPLATE}",
        f"govuk-notify://notify.example.org?key={key}",
        f"govuk-notify://?key={key}&template={TEMPLATE}",
    ):
        with pytest.raises(ValueError, match="govuk-notify"):
            transport(url)
    assert SECRET not in repr(transport(f"govuk-notify://notify.example.org?key={key}&template={TEMPLATE}"))
