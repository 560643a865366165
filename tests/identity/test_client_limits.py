"""Limits of clients: exact over several processes, with few writes, told with the time to wait."""

from datetime import timedelta

from sqlalchemy import event

from fhir_server.identity.client_limits import ClientLimits
from fhir_server.store import oauth_clients
from fhir_server.store.database import Store
from fhir_server.store.oauth_clients import Client
from tests.databases import Databases
from tests.server import START, create_schema


def _client(store: Store, limit: int | None, client_id: str = "app") -> None:
    with store.write() as session:
        new = Client(client_id, "App", "public", ("https://app.example/cb",), "", START, requests_per_minute=limit)
        oauth_clients.add_client(session, new)


def test_several_processes_together_let_through_what_the_limit_says(databases: Databases) -> None:
    url = databases.prepared("schema", create_schema)
    stores = [Store(url), Store(url)]
    _client(stores[0], 200)
    processes = [ClientLimits(), ClientLimits()]
    writes: list[str] = []
    for store in stores:
        event.listen(store.engine, "before_cursor_execute", lambda *given: writes.append(given[2]))

    answers = [processes[turn % 2].spend("app", START, stores[turn % 2]) for turn in range(300)]

    assert answers.count(0) == 200
    assert set(answers[200:]) == {60 - START.second}
    upserts = [statement for statement in writes if statement.startswith("INSERT INTO rate_limit")]
    assert len(upserts) <= 52, "a lot at a time, and none once the minute is used up"

    later = START + timedelta(minutes=1)
    assert processes[0].spend("app", later, stores[0]) == 0
    for store in stores:
        store.close()


def test_a_clients_own_limit_goes_before_the_default_and_a_change_acts_soon(databases: Databases) -> None:
    store = Store(databases.prepared("schema", create_schema))
    for limit, client_id in ((None, "default"), (0, "unlimited"), (1, "one")):
        _client(store, limit, client_id)
    limits = ClientLimits(default=2)

    let_through = {
        name: [limits.spend(name, START, store) for _ in range(5)].count(0) for name in ("default", "unlimited", "one")
    }
    assert let_through == {"default": 2, "unlimited": 5, "one": 1}

    with store.write() as session:
        found = oauth_clients.client(session, "one")
        assert found is not None
        oauth_clients.change_client(
            session, Client(**{n: getattr(found, n) for n in found.__slots__} | {"requests_per_minute": 0})
        )
    assert limits.spend("one", START + timedelta(seconds=1), store) > 0
    assert limits.spend("one", START + timedelta(seconds=11), store) == 0
    store.close()
