"""Real bundles go in as transactions and come out as they were sent."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Databases
from tests.http.bundles import FOLDER, comparable, difference, note, parsed, with_zeros
from tests.server import Server, build, create_schema

pytestmark = [
    pytest.mark.skipif(not FOLDER.exists(), reason="the shared Synthea bundles are not here"),
    pytest.mark.slow,
]


@dataclass
class Loaded:
    """A server that was sent every bundle: statuses, and resources as sent by `Type/id` they were given."""

    server: Server
    statuses: dict[str, int]
    sent: dict[str, dict[str, Any]]


def _load(server: Server) -> Loaded:
    loaded = Loaded(server, {}, {})
    operator = server.operator()
    for path in sorted(FOLDER.glob("*.json")):
        raw = with_zeros(path.read_bytes())
        answer = server.call("POST", "", operator, raw)
        loaded.statuses[path.name] = answer.status_code
        if answer.status_code == 200:
            note(parsed(raw), parsed(answer.data), loaded.sent)
    return loaded


def _all(server: Server, kind: str, token: str) -> Iterator[dict[str, Any]]:
    path: str | None = f"{kind}?_count=1000"
    while path:
        answer = server.call("GET", path, token)
        assert answer.status_code == 200, answer.text
        page = parsed(answer.data)
        yield from (entry["resource"] for entry in page.get("entry", []))
        path = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)


@pytest.fixture
def loaded(databases: Databases, tmp_path: Path) -> Iterator[Loaded]:
    """Return a server with every bundle; they are sent once for each kind of database, then copied."""

    def fill(url: str) -> None:
        create_schema(url)
        server = build(url, tmp_path)
        _filled[databases.kind] = _load(server)
        server.close()

    server = build(databases.prepared("synthea", fill), tmp_path)
    yield replace(_filled[databases.kind], server=server, sent=dict(_filled[databases.kind].sent))
    server.close()


_filled: dict[str, Loaded] = {}


def test_every_bundle_is_stored_counted_and_read_back_as_it_was_sent(loaded: Loaded) -> None:
    assert set(loaded.statuses.values()) == {200}, loaded.statuses
    operator = loaded.server.operator()
    expected = Counter(name.partition("/")[0] for name in loaded.sent)
    assert sum(expected.values()) == sum(len(parsed(path.read_bytes())["entry"]) for path in FOLDER.glob("*.json"))
    for kind, count in expected.items():
        assert loaded.server.get(f"{kind}?_summary=count", operator)["total"] == count
        for found in _all(loaded.server, kind, operator):
            name = f"{kind}/{found['id']}"
            assert difference(comparable(found), comparable(loaded.sent.pop(name)), name) == ""
    assert loaded.sent == {}


def test_a_resource_reads_alone_as_it_is_found_in_a_search(loaded: Loaded) -> None:
    operator = loaded.server.operator()
    for kind in sorted({name.partition("/")[0] for name in loaded.sent}):
        found = next(_all(loaded.server, kind, operator))
        alone = loaded.server.call("GET", f"{kind}/{found['id']}", operator)
        assert parsed(alone.data) == found


def test_nobody_else_sees_any_of_it(loaded: Loaded) -> None:
    stranger = loaded.server.token("Organization/another")
    for kind in ("Patient", "Observation", "Claim", "ExplanationOfBenefit"):
        assert loaded.server.get(kind, stranger)["total"] == 0
