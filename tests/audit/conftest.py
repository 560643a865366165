"""A database of audit events, callers and a context for the tests of this folder."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.access import scopes
from fhir_server.access.principal import Caller, Principal
from fhir_server.interactions.model import Context
from fhir_server.spec.definitions import Definitions, load
from fhir_server.store import events
from fhir_server.store.checkpoints import Signer, load_signer
from fhir_server.store.database import Store
from fhir_server.store.events import Event
from fhir_server.store.keys import key_of_reference
from tests.databases import Databases

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
BASE = "https://record.example.org/fhir"
HOUR_US = 3_600_000_000


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    return load()


def _create(url: str) -> None:
    store = Store(url)
    store.create_all()
    store.close()


@pytest.fixture
def store(databases: Databases) -> Iterator[Store]:
    made = Store(databases.prepared("audit", _create))
    yield made
    made.close()


@pytest.fixture
def context(store: Store, definitions: Definitions) -> Context:
    numbers = itertools.count(1)
    return Context(
        store=store,
        definitions=definitions,
        now=lambda: NOW,
        new_id=lambda: f"event-{next(numbers)}",
        fhir_base=BASE,
        request_id="req-7",
        address="192.0.2.7",
        page_key=b"k" * 32,
    )


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return load_signer(tmp_path / "keys", "record.example.org/audit")


@pytest.fixture
def make_principal() -> Callable[..., Principal]:
    def make(caller: Caller, subject: str, **changes: Any) -> Principal:
        values: dict[str, Any] = {
            "caller": caller,
            "subject": subject,
            "actors": (key_of_reference(subject),),
            "organizations": (),
            "organization": "",
            "scopes": scopes.EVERYTHING,
            "patient": "",
            "purpose": "TREAT",
            "client_id": "portal",
            "role": "",
            "name": "Dr Ann O'Hara",
            "trusted": False,
            "may_break_glass": False,
            "auth_time": NOW - timedelta(minutes=2),
            "session_id": "s1",
        }
        return Principal(**{**values, **changes})

    return make


def plain_event(number: int, **changes: Any) -> Event:
    values: dict[str, Any] = {
        "id": f"e{number}",
        "recorded_at": NOW_US + number * HOUR_US,
        "patient": key_of_reference("Patient/p1"),
        "agent": key_of_reference("Practitioner/d1"),
        "organization": 0,
        "entity": 0,
        "kind": "read",
        "action": "R",
        "outcome": "0",
        "purpose": "TREAT",
        "content": b'{"resourceType":"AuditEvent","id":"e%d"}' % number,
    }
    return Event(**{**values, **changes})


def fill(store: Store, count: int, first: int = 1) -> None:
    with store.write() as session:
        events.append(session, [plain_event(number) for number in range(first, first + count)])
