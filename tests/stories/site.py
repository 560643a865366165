"""The whole product for a story: a server on a port, its background jobs, its outbox, people's browsers and clients."""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from joserfc import jwt
from joserfc.jwk import ECKey
from playwright.sync_api import Page
from werkzeug.serving import make_server

from fhir_server import worker
from fhir_server.app import create_app, jobs
from fhir_server.cli import main
from fhir_server.settings import Settings
from fhir_server.store.database import Store
from tests.databases import Databases, SqliteDatabases
from tests.server import Clock, create_schema
from tests.stories.hospital_data import bundle

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_DELIVERY_S = 15


@dataclass(frozen=True)
class Site:
    """A running server with the demo data.

    Attributes:
        url: Public root.
        clock: Time as the server sees it; a story moves it.
        outbox: Folder of sent messages.
        demo_key: File with the key of the demo's systems.
        accounts: What `fhir-server seed --json` printed: e-mail address → password.
    """

    url: str
    clock: Clock
    outbox: Path
    demo_key: Path
    accounts: Mapping[str, str]

    @property
    def fhir(self) -> str:
        """Return the FHIR base URL."""
        return f"{self.url}/fhir"

    def message(self, kind: str, to: str) -> dict[str, str]:
        """Return the only message of a kind to somebody; waits until the server has sent it."""
        deadline = time.monotonic() + _DELIVERY_S
        while time.monotonic() < deadline:
            sent: list[dict[str, str]] = [json.loads(path.read_text()) for path in self.outbox.glob("*.json")]
            found = [message for message in sent if (message["kind"], message["to"]) == (kind, to)]
            if found:
                assert len(found) == 1
                return found[0]
            time.sleep(0.1)
        raise AssertionError(f"no {kind} was sent to {to}")

    def found(self, kind: str, to: str, pattern: str) -> str:
        """Return the group of a pattern in the message of a kind to somebody."""
        match = re.search(pattern, self.message(kind, to)["body"])
        assert match is not None
        return match[1]

    def system(self, client_id: str) -> "System":
        """Let a system of the demo in: SMART Backend Services with `private_key_jwt`."""
        key = ECKey.import_key(json.loads(self.demo_key.read_text()))
        now = int(self.clock().timestamp())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": f"{self.url}/oauth/token",
            "exp": now + 240,
            "jti": str(uuid.uuid4()),
        }
        form = {
            "grant_type": "client_credentials",
            "scope": "system/*.cruds",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jwt.encode({"alg": "ES384", "kid": key.kid}, claims, key, algorithms=["ES384"]),
        }
        answer = httpx.post(f"{self.url}/oauth/token", data=form)
        assert answer.status_code == 200, answer.text
        assert answer.json()["scope"] == "system/*.cruds"
        return System(self.fhir, answer.json()["access_token"])

    def sign_in(self, page: Page, email: str, password: str = "") -> None:
        """Sign somebody in, by default with the password of the demo."""
        page.goto(f"{self.url}/sign-in")
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password", exact=True).fill(password or self.accounts[email])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Sign out").wait_for()


@dataclass(frozen=True)
class System:
    """Another organisation's computer with an access token."""

    fhir: str
    token: str

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Send one request to the FHIR API."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/fhir+json"}
        return httpx.request(method, f"{self.fhir}/{path}", json=body, headers=headers)

    def get(self, path: str) -> Any:
        """Read something that is there."""
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def transaction(self, *entries: dict[str, Any]) -> list[str]:
        """Post a transaction; return `Type/id` of each entry."""
        answer = self.call("POST", "", bundle(*entries))
        assert answer.status_code == 200, answer.text
        places = [entry["response"]["location"] for entry in answer.json()["entry"]]
        return ["/".join(place.removeprefix(f"{self.fhir}/").split("/")[:2]) for place in places]

    def found(self, query: str) -> tuple[int, set[str]]:
        """Return the total of a search and `Type/id` of everything in it."""
        bundle = self.get(f"{query}&_total=accurate")
        resources = [entry["resource"] for entry in bundle.get("entry", ())]
        return bundle["total"], {f"{item['resourceType']}/{item['id']}" for item in resources}


def seeded(databases: Databases, factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return the URL of a fresh copy of the demo data, and the folder of the keys and passwords it was made with.

    Both belong to this process: the one place that pairs them, as a database opens to no other keys.
    """
    keys = factory.getbasetemp() / f"demo-{databases.kind}"
    keys.mkdir(exist_ok=True)
    return databases.prepared(f"demo-{keys.parent.name}", lambda empty: _seed(empty, keys)), keys


def seeded_on_sqlite(factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """Return `seeded` for a story whose tests share one server, and a folder of its own."""
    folder, templates = factory.mktemp("story"), factory.getbasetemp() / "sqlite-templates"
    templates.mkdir(exist_ok=True)
    return *seeded(SqliteDatabases(folder, templates), factory), folder


def _seed(url: str, folder: Path) -> None:
    """Fill a new database with the demo data, as `fhir-server init` and `fhir-server seed` do."""
    create_schema(url)
    environment = {"FHIR_SERVER_DATABASE_URL": url, "FHIR_SERVER_KEY_DIRECTORY": str(folder)}
    result = CliRunner().invoke(main, ["seed", "--json"], env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (folder / "accounts.json").write_text(result.stdout)


@contextmanager
def running(database_url: str, keys: Path, folder: Path, **more: Any) -> Iterator[Site]:
    """Serve a seeded database on a free port of this machine, with its background jobs, until the story ends.

    `more` are further settings.
    """
    listener = make_server("127.0.0.1", 0, _not_yet, threaded=True)
    settings = Settings(
        database_url=database_url,
        base_url=f"http://localhost:{listener.server_port}",
        key_directory=str(keys),
        mail_url=more.pop("mail_url", f"file://{folder / 'outbox'}"),
        sms_url=f"file://{folder / 'outbox'}",
        **more,
    )
    clock, store, stop = Clock(datetime.now(UTC)), Store(database_url), threading.Event()
    listener.app = create_app(settings, store=store, now=clock)
    base = listener.app.extensions["fhir"].base
    threads = (
        threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}),
        threading.Thread(target=worker.run, args=(jobs(settings, base), stop), kwargs={"clock": time.monotonic}),
    )
    for thread in threads:
        thread.start()
    printed = json.loads((keys / "accounts.json").read_text())["accounts"]
    accounts = {account["email"]: account["password"] for account in printed}
    try:
        yield Site(settings.base_url, clock, folder / "outbox", keys / "demo-clients.jwk", accounts)
    finally:
        stop.set()
        listener.shutdown()
        for thread in threads:
            thread.join()
        listener.server_close()
        store.close()


def _not_yet(_environ: Mapping[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Stand in until the port, and so the public root, is known."""
    start_response("503 Service Unavailable", [])
    return []
