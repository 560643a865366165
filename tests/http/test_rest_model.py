"""The REST verbs against a model that fits on a page: any order of calls, the same answers and the same history."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from werkzeug.test import TestResponse

from tests.server import Server

_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
_EXAMPLES, _STEPS = (200, 80) if _NIGHTLY else (12, 40)
_SYSTEM = "https://example.org/model"
_RUNS = itertools.count(1)
_JSON_PATCH = "application/json-patch+json"

kinds = st.sampled_from(["Patient", "Organization"])
marks = st.integers(0, 1)
words = st.sampled_from(["a", "b", "ü", '"', "\u2028", "\U0001f701"])
places = st.integers(0, 4)
"""Which of the ids that the model may know is meant; some are taken, some are free."""
matches = st.sampled_from(["", "", "current", "stale", "future", "*"])


@dataclass
class Record:
    """Every version of one resource, the first one first; None is a deletion."""

    versions: list[dict[str, Any] | None] = field(default_factory=list)

    @property
    def current(self) -> dict[str, Any] | None:
        return self.versions[-1] if self.versions else None

    @property
    def number(self) -> int:
        return len(self.versions)


class RestMachine(RuleBasedStateMachine):
    """Calls in any order; each is compared with what the model says."""

    server: Server
    token: str

    @initialize()
    def start(self) -> None:
        self.run = next(_RUNS)
        self.known: dict[tuple[str, str], Record] = {}

    # ------------------------------------------------------------ what is sent

    def _body(self, kind: str, mark: int, word: str) -> dict[str, Any]:
        name: Any = [{"family": word}] if kind == "Patient" else word
        return {
            "resourceType": kind,
            "identifier": [{"system": _SYSTEM, "value": self._value(mark)}],
            "name": name,
        }

    def _value(self, mark: int) -> str:
        return f"{self.run}-{mark}"

    def _criteria(self, mark: int) -> str:
        return f"identifier={_SYSTEM}|{self._value(mark)}"

    def _id(self, kind: str, place: int) -> str:
        """Return one of the ids that are known, or one that may be free."""
        known = [logical_id for each, logical_id in self.known if each == kind]
        return known[place] if place < len(known) else f"run-{self.run}-{place}"

    def _record(self, kind: str, logical_id: str) -> Record:
        return self.known.get((kind, logical_id), Record())

    def _call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> TestResponse:
        return self.server.call(method, path, self.token, body, headers)

    def _matching(self, kind: str, mark: int) -> list[str]:
        return [
            logical_id
            for (each, logical_id), record in self.known.items()
            if each == kind and record.current and record.current["identifier"][0]["value"] == self._value(mark)
        ]

    @staticmethod
    def _if_match(record: Record, match: str) -> tuple[dict[str, str], bool]:
        """Return the header, and whether it lets a change of what is there pass."""
        if not match:
            return {}, True
        if match == "*":
            return {"If-Match": "*"}, record.current is not None
        number = record.number + {"current": 0, "stale": -1, "future": 1}[match]
        return {"If-Match": f'W/"{number}"'}, match == "current" and record.number > 0

    # ------------------------------------------------------------ what comes back

    def _stored(self, answer: TestResponse, kind: str, logical_id: str, body: dict[str, Any], status: int) -> None:
        """Note a version in the model and compare the answer with it."""
        assert answer.status_code == status, answer.text
        record = self.known.setdefault((kind, logical_id), Record())
        record.versions.append({**body, "id": logical_id})
        assert answer.headers["Location"].endswith(f"/fhir/{kind}/{logical_id}/_history/{record.number}")
        self._same(answer, record, record.number)

    @staticmethod
    def _same(answer: TestResponse, record: Record, number: int) -> None:
        found = orjson.loads(answer.data)
        assert answer.headers["ETag"] == f'W/"{number}"'
        assert found["meta"]["versionId"] == str(number)
        assert {name: value for name, value in found.items() if name != "meta"} == record.versions[number - 1]

    @staticmethod
    def _refused(answer: TestResponse, status: int) -> None:
        assert answer.status_code == status, answer.text
        assert orjson.loads(answer.data)["resourceType"] == "OperationOutcome"

    # ------------------------------------------------------------ writes

    @rule(kind=kinds, mark=marks, word=words)
    def create(self, kind: str, mark: int, word: str) -> None:
        body = self._body(kind, mark, word)
        answer = self._call("POST", kind, body)
        self._stored(answer, kind, _id_of(answer), body, 201)

    @rule(kind=kinds, mark=marks, word=words, in_url=st.booleans())
    def create_once(self, kind: str, mark: int, word: str, *, in_url: bool) -> None:
        body = self._body(kind, mark, word)
        found = self._matching(kind, mark)
        if in_url:
            answer = self._call("POST", f"{kind}?{self._criteria(mark)}", body)
        else:
            answer = self._call("POST", kind, body, {"If-None-Exist": self._criteria(mark)})
        if not found:
            self._stored(answer, kind, _id_of(answer), body, 201)
        elif len(found) == 1:
            assert (answer.status_code, _id_of(answer)) == (200, found[0])
        else:
            self._refused(answer, 412)

    @rule(kind=kinds, place=places, mark=marks, word=words, match=matches)
    def update(self, kind: str, place: int, mark: int, word: str, match: str) -> None:
        logical_id, body = self._id(kind, place), self._body(kind, mark, word)
        record = self._record(kind, logical_id)
        headers, passes = self._if_match(record, match)
        answer = self._call("PUT", f"{kind}/{logical_id}", {**body, "id": logical_id}, headers)
        if passes:
            self._stored(answer, kind, logical_id, body, 200 if record.current else 201)
        else:
            self._refused(answer, 412)

    @rule(kind=kinds, place=places, mark=marks, word=words, with_id=st.booleans())
    def update_the_one(self, kind: str, place: int, mark: int, word: str, *, with_id: bool) -> None:
        logical_id, body = self._id(kind, place), self._body(kind, mark, word)
        found = self._matching(kind, mark)
        sent = {**body, "id": logical_id} if with_id else body
        answer = self._call("PUT", f"{kind}?{self._criteria(mark)}", sent)
        if len(found) > 1:
            self._refused(answer, 412)
        elif found and with_id and found[0] != logical_id:
            self._refused(answer, 400)
        elif found:
            self._stored(answer, kind, found[0], body, 200)
        elif with_id and self._record(kind, logical_id).versions:
            self._refused(answer, 409)
        else:
            self._stored(answer, kind, logical_id if with_id else _id_of(answer), body, 201)

    @rule(kind=kinds, place=places, mark=marks, match=matches, merge=st.booleans())
    def patch(self, kind: str, place: int, mark: int, match: str, *, merge: bool) -> None:
        logical_id = self._id(kind, place)
        record = self._record(kind, logical_id)
        headers, passes = self._if_match(record, match)
        value = [{"system": _SYSTEM, "value": self._value(mark)}]
        sent: Any = {"identifier": value}
        headers["Content-Type"] = "application/merge-patch+json"
        if not merge:
            sent = orjson.dumps([{"op": "replace", "path": "/identifier", "value": value}])
            headers["Content-Type"] = _JSON_PATCH
        answer = self._call("PATCH", f"{kind}/{logical_id}", sent, headers)
        if not record.current:
            self._refused(answer, 410 if record.versions else 404)
        elif passes:
            self._stored(answer, kind, logical_id, {**record.current, "identifier": value}, 200)
        else:
            self._refused(answer, 412)

    @rule(kind=kinds, place=places, match=matches)
    def delete(self, kind: str, place: int, match: str) -> None:
        logical_id = self._id(kind, place)
        record = self._record(kind, logical_id)
        headers, passes = self._if_match(record, match)
        answer = self._call("DELETE", f"{kind}/{logical_id}", headers=headers)
        if not record.current or passes:
            assert (answer.status_code, answer.data) == (204, b"")
            if record.current:
                record.versions.append(None)
                assert answer.headers["ETag"] == f'W/"{record.number}"'
        else:
            self._refused(answer, 412)

    @rule(kind=kinds, mark=marks)
    def delete_the_one(self, kind: str, mark: int) -> None:
        found = self._matching(kind, mark)
        answer = self._call("DELETE", f"{kind}?{self._criteria(mark)}")
        if len(found) > 1:
            self._refused(answer, 412)
            return
        assert answer.status_code == 204
        for logical_id in found:
            self.known[kind, logical_id].versions.append(None)

    @rule(changes=st.dictionaries(st.tuples(kinds, places), words, min_size=1, max_size=3), stale=st.booleans())
    def transaction(self, changes: dict[tuple[str, int], str], *, stale: bool) -> None:
        """Change several resources at once, or none where one of them is not what it was."""
        named = {(kind, self._id(kind, place)): word for (kind, place), word in changes.items()}
        bodies = {name: self._body(name[0], 0, word) for name, word in named.items()}
        entries: list[dict[str, Any]] = [
            {
                "resource": {**body, "id": logical_id},
                "request": {"method": "PUT", "url": f"{kind}/{logical_id}"},
            }
            for (kind, logical_id), body in bodies.items()
        ]
        if stale:
            entries[-1]["request"]["ifMatch"] = 'W/"999"'
        answer = self._call("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        if stale:
            self._refused(answer, 412)
            return
        assert answer.status_code == 200, answer.text
        for (name, body), entry in zip(bodies.items(), orjson.loads(answer.data)["entry"], strict=True):
            record = self.known.setdefault(name, Record())
            assert entry["response"]["status"].startswith("200" if record.current else "201")
            record.versions.append({**body, "id": name[1]})
            assert entry["response"]["etag"] == f'W/"{record.number}"'

    @rule(delta=st.sampled_from([1, 3_600]))
    def wait(self, delta: int) -> None:
        self.server.clock.advance(seconds=delta)

    # ------------------------------------------------------------ reads

    @rule(kind=kinds, place=places, known=st.sampled_from(["", "current", "stale", "*"]))
    def read(self, kind: str, place: int, known: str) -> None:
        logical_id = self._id(kind, place)
        record = self._record(kind, logical_id)
        number = record.number - (known == "stale")
        headers = {"If-None-Match": "*" if known == "*" else f'W/"{number}"'} if known else {}
        answer = self._call("GET", f"{kind}/{logical_id}", headers=headers)
        if not record.current:
            self._refused(answer, 410 if record.versions else 404)
        elif known in {"current", "*"}:
            assert (answer.status_code, answer.data) == (304, b"")
        else:
            assert answer.status_code == 200
            self._same(answer, record, record.number)

    @rule(kind=kinds, place=places, number=st.integers(0, 6))
    def vread(self, kind: str, place: int, number: int) -> None:
        logical_id = self._id(kind, place)
        self._compare_version(kind, logical_id, number)

    def _compare_version(self, kind: str, logical_id: str, number: int) -> None:
        record = self._record(kind, logical_id)
        answer = self._call("GET", f"{kind}/{logical_id}/_history/{number}")
        if not 1 <= number <= record.number:
            self._refused(answer, 404)
        elif record.versions[number - 1] is None:
            self._refused(answer, 410)
        else:
            assert answer.status_code == 200
            self._same(answer, record, number)

    @rule(kind=kinds, place=places, count=st.integers(1, 4))
    def history(self, kind: str, place: int, count: int) -> None:
        self._compare_history(kind, self._id(kind, place), count)

    def _compare_history(self, kind: str, logical_id: str, count: int) -> None:
        record = self._record(kind, logical_id)
        if not record.versions:
            self._refused(self._call("GET", f"{kind}/{logical_id}/_history"), 404)
            return
        entries = list(self._pages(f"{kind}/{logical_id}/_history?_count={count}", record.number))
        found = [entry.get("resource") for entry in entries]
        assert [_plain(each) for each in found] == record.versions[::-1]
        instants = [entry["response"]["lastModified"] for entry in entries]
        assert instants == sorted(instants, reverse=True)
        assert [entry["response"]["etag"] for entry in entries] == [
            f'W/"{number}"' for number in range(record.number, 0, -1)
        ]

    def _pages(self, path: str, total: int) -> Iterator[dict[str, Any]]:
        while path:
            page = self.server.get(path, self.token)
            assert page["total"] == total
            yield from page.get("entry", ())
            path = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")

    @rule(kind=kinds, mark=marks, count=st.integers(1, 3))
    def search(self, kind: str, mark: int, count: int) -> None:
        found = self._matching(kind, mark)
        path = f"{kind}?{self._criteria(mark)}&_count={count}&_total=accurate"
        assert sorted(entry["resource"]["id"] for entry in self._pages(path, len(found))) == sorted(found)

    def teardown(self) -> None:
        for (kind, logical_id), record in getattr(self, "known", {}).items():
            for number in range(record.number + 2):
                self._compare_version(kind, logical_id, number)
            self._compare_history(kind, logical_id, 50)


def _id_of(answer: TestResponse) -> str:
    return str(orjson.loads(answer.data)["id"])


def _plain(resource: dict[str, Any] | None) -> dict[str, Any] | None:
    return resource and {name: value for name, value in resource.items() if name != "meta"}


def test_any_order_of_calls_does_what_the_model_says(server: Server) -> None:
    class Bound(RestMachine):
        pass

    Bound.server, Bound.token = server, server.token("system", trusted=True, expires_in_s=10**9)
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=_STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
