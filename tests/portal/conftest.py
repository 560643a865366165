"""The whole server with a few of the demo's people, and a browser without scripts that signs in and sends forms."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

import seed_data
from fhir_server.cli import seeding
from tests.answering import answering
from tests.server import START, Server, build, create_schema

BASE_URL = "http://localhost"
PEOPLE = 12
"""So many of the demo's people: those with an account among them, the carer's and the one who switched sharing off."""

SEED = seed_data.generate(START.date(), 60)
PASSWORDS = {account.email: account.password for account in SEED.accounts}
AMELIA, DESMOND = "amelia.hart@example.org", "desmond.clarke@example.org"
THOMAS = "thomas.hart@example.org"
GP, CONSULTANT, RECEPTIONIST = "helen.ashworth@example.org", "priya.raman@example.org", "dorothy.pike@example.org"
COORDINATOR, PRIVACY, DESK = "nadia.lowe@example.org", "ruth.castellan@example.org", "gareth.pugh@example.org"
ADMIN, DEVELOPER = "sandra.voss@example.org", "mina.kovac@example.org"
_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')


def _few(data: seed_data.Seed) -> seed_data.Seed:
    """Return the demo with its first people only."""
    bundles: list[seed_data.AuthoredBundle] = []
    patients: set[str] = set()
    for authored in data.bundles:
        new = {f"Patient/{entry['resource']['id']}" for entry in authored.bundle["entry"] if _is_patient(entry)}
        if new - patients and len(patients) >= PEOPLE:
            break
        patients |= new
        bundles.append(authored)
    return dataclasses.replace(
        data,
        bundles=bundles,
        consents=tuple(consent for consent in data.consents if consent["patient"]["reference"] in patients),
        emergencies=tuple(emergency for emergency in data.emergencies if emergency.patient in patients),
    )


def _is_patient(entry: Mapping[str, Any]) -> bool:
    return bool(entry["resource"]["resourceType"] == "Patient")


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database file with the demo's first people; tests work on copies."""
    folder = tmp_path_factory.mktemp("portal-seed")
    database = f"sqlite:///{folder}/seed.db"
    create_schema(database)
    server = build(database, folder, base_url=BASE_URL)
    few = _few(SEED)
    seeding._load(server.app.extensions["fhir"].base, few, PEOPLE)
    seeding._add_people(server.app.extensions["fhir"].base, few, str(folder / "keys"))
    server.close()
    return folder / "seed.db"


@pytest.fixture
def server(seeded: Path, tmp_path: Path) -> Iterator[Server]:
    """Return a server over a copy of the seeded database."""
    built = _over_copy(seeded, tmp_path, BASE_URL)
    yield built
    built.store.close()


@pytest.fixture(scope="module")
def quiet_server(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that the tests of a module share, since none of them changes a record."""
    built = _over_copy(seeded, tmp_path_factory.mktemp("portal-quiet"), BASE_URL)
    yield built
    built.store.close()


def _over_copy(seeded: Path, folder: Path, base_url: str) -> Server:
    for file in seeded.parent.glob("seed.db*"):
        shutil.copy(file, folder / file.name)
    return build(f"sqlite:///{folder}/seed.db", folder, base_url=base_url)


class Person:
    """Somebody at a browser without scripts: keeps cookies, sends forms with their token."""

    def __init__(self, server: Server, email: str = "") -> None:
        """Sign in, where an address is given."""
        self.client: FlaskClient = server.app.test_client()
        if email:
            answer = self.send("/sign-in", {"email": email, "password": PASSWORDS[email]}, page="/sign-in")
            assert answer.status_code == 303, answer.text

    def get(self, path: str, status: int = 200) -> str:
        """Open a page that must answer this status; return its text."""
        answer = self.open(path)
        assert answer.status_code == status, answer.text
        return str(answer.text)

    def open(self, path: str) -> TestResponse:
        """Open a page."""
        return self.client.get(path, base_url=BASE_URL)

    def send(self, path: str, form: Mapping[str, Any], *, page: str = "/contact") -> TestResponse:
        """Send a form, with the token that `page` has for it."""
        found = _CSRF.search(self.client.get(page, base_url=BASE_URL).text)
        token = found[1] if found else ""
        return self.client.post(path, data={**form, "csrf_token": token}, base_url=BASE_URL)

    def follow(self, answer: TestResponse) -> str:
        """Go where an answer leads; return that page."""
        assert answer.status_code == 303, answer.text
        return self.get(answer.location.removeprefix(BASE_URL))


@dataclass(frozen=True)
class Site:
    """A server that a real browser can reach."""

    url: str
    server: Server


@pytest.fixture(scope="module")
def site(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a running server over a copy of the seeded database."""
    listener = make_server("127.0.0.1", 0, lambda _environ, _start: [], threaded=True)
    url = f"http://127.0.0.1:{listener.server_port}"
    built = _over_copy(seeded, tmp_path_factory.mktemp("portal-site"), url)
    listener.app = built.app
    with answering(listener):
        yield Site(url, built)
    built.store.close()


def titles(page: str) -> Iterator[str]:
    """Yield the headings of a page, top down."""
    found = re.finditer(r"<h[1-6][^>]*>(.*?)</h[1-6]>", page, re.DOTALL)
    return itertools.chain(re.sub(r"<[^>]+>|\s+", " ", match[1]).strip() for match in found)
