"""Real bundles go in as transactions and come out as they were sent."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Databases
from tests.server import Server, build, create_schema

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "synthea-smart"
pytestmark = [
    pytest.mark.skipif(not FOLDER.exists(), reason="the shared Synthea bundles are not here"),
    pytest.mark.slow,
]


class Digits(str):
    """A decimal as it was written."""

    __slots__ = ()


@dataclass
class Loaded:
    """A server that was sent every bundle: statuses, and resources as sent by `Type/id` they were given."""

    server: Server
    statuses: dict[str, int]
    sent: dict[str, dict[str, Any]]


def _parsed(raw: bytes) -> Any:
    return json.loads(raw, parse_float=Digits)


def _with_zeros(raw: bytes) -> bytes:
    """Return the text with a zero after every decimal value, which a reader of floats would lose."""
    changed, count = re.subn(rb'("value"\s*:\s*-?\d+\.\d+)', rb"\g<1>0", raw)
    assert count or b"Observation" not in raw
    return changed


def _load(server: Server) -> Loaded:
    loaded = Loaded(server, {}, {})
    operator = server.operator()
    for path in sorted(FOLDER.glob("*.json")):
        raw = _with_zeros(path.read_bytes())
        answer = server.call("POST", "", operator, raw)
        loaded.statuses[path.name] = answer.status_code
        if answer.status_code == 200:
            _note(_parsed(raw), _parsed(answer.data), loaded.sent)
    return loaded


def _note(bundle: Mapping[str, Any], answer: Mapping[str, Any], sent: dict[str, dict[str, Any]]) -> None:
    """Note each resource by the name it was given, its references rewritten as the specification says."""
    names = [
        "/".join(entry["response"]["location"].split("/")[-4:-2]) for entry in answer["entry"]
    ]  # …/Type/id/_history/1
    given = {entry["fullUrl"]: name for entry, name in zip(bundle["entry"], names, strict=True)}
    for entry, name in zip(bundle["entry"], names, strict=True):
        sent[name] = _rewritten(entry["resource"], given)


def _rewritten(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _rewritten(item, given) for name, item in value.items()}
    if isinstance(value, list):
        return [_rewritten(item, given) for item in value]
    return given.get(value, value) if type(value) is str else value


def _comparable(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in {"id", "meta"}}


def _all(server: Server, kind: str, token: str) -> Iterator[dict[str, Any]]:
    path: str | None = f"{kind}?_count=1000"
    while path:
        answer = server.call("GET", path, token)
        assert answer.status_code == 200, answer.text
        page = _parsed(answer.data)
        yield from (entry["resource"] for entry in page.get("entry", []))
        path = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)


def _difference(one: Any, other: Any, where: str) -> str:
    """Return where two values differ first, "" where they are the same down to type, order and digit."""
    if type(one) is not type(other):
        return f"{where}: {one!r} is not {other!r}"
    if isinstance(one, dict):
        if list(one) != list(other):
            return f"{where}: members {list(one)} are not {list(other)}"
        return next(filter(None, (_difference(one[name], other[name], f"{where}.{name}") for name in one)), "")
    if isinstance(one, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next(filter(None, (_difference(a, b, f"{where}[{index}]") for index, (a, b) in pairs)), "")
    return "" if one == other else f"{where}: {one!r} is not {other!r}"


@pytest.fixture
def loaded(databases: Databases, tmp_path: Path) -> Iterator[Loaded]:
    """Return a server with every bundle; they are sent once for each kind of database, then copied."""

    def fill(url: str) -> None:
        create_schema(url)
        server = build(url, tmp_path)
        _filled[databases.kind] = _load(server)
        server.store.close()

    server = build(databases.prepared("synthea", fill), tmp_path)
    yield replace(_filled[databases.kind], server=server, sent=dict(_filled[databases.kind].sent))
    server.store.close()


_filled: dict[str, Loaded] = {}


def test_every_bundle_is_stored_counted_and_read_back_as_it_was_sent(loaded: Loaded) -> None:
    assert set(loaded.statuses.values()) == {200}, loaded.statuses
    operator = loaded.server.operator()
    expected = Counter(name.partition("/")[0] for name in loaded.sent)
    assert sum(expected.values()) == sum(len(_parsed(path.read_bytes())["entry"]) for path in FOLDER.glob("*.json"))
    for kind, count in expected.items():
        assert loaded.server.get(f"{kind}?_summary=count", operator)["total"] == count
        for found in _all(loaded.server, kind, operator):
            name = f"{kind}/{found['id']}"
            assert _difference(_comparable(found), _comparable(loaded.sent.pop(name)), name) == ""
    assert loaded.sent == {}


def test_a_resource_reads_alone_as_it_is_found_in_a_search(loaded: Loaded) -> None:
    operator = loaded.server.operator()
    for kind in sorted({name.partition("/")[0] for name in loaded.sent}):
        found = next(_all(loaded.server, kind, operator))
        alone = loaded.server.call("GET", f"{kind}/{found['id']}", operator)
        assert _parsed(alone.data) == found


def test_nobody_else_sees_any_of_it(loaded: Loaded) -> None:
    stranger = loaded.server.token("Organization/another")
    for kind in ("Patient", "Observation", "Claim", "ExplanationOfBenefit"):
        assert loaded.server.get(kind, stranger)["total"] == 0
