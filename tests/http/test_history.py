"""History of a resource, a type and the system: what is on it, in pages, and that hidden versions leave no trace."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.spec.definitions import load
from fhir_server.spec.validate import validate
from tests.consent.callers import CALLERS
from tests.consent.removal import remove_hidden, restored
from tests.consent.world import ANN, World, observation
from tests.server import Server

PATIENT = {"resourceType": "Patient", "active": True, "name": [{"family": "Rest"}]}
LEVELS = ("Observation/a-2/_history", "Observation/_history", "_history")


@pytest.fixture
def operator(server: Server) -> str:
    return server.operator()


def _names(bundle: dict[str, Any]) -> list[tuple[str, str]]:
    """Return method and version-specific name of each entry."""
    found = []
    for entry in bundle.get("entry", ()):
        version = entry["response"]["etag"].strip('W/"')
        found.append((entry["request"]["method"], f"{entry['fullUrl'].partition('/fhir/')[2]}/{version}"))
    return found


def _all(server: Server, path: str, token: str, size: int) -> list[tuple[str, str]]:
    url = f"{path}{'&' if '?' in path else '?'}_count={size}"
    found: list[tuple[str, str]] = []
    while url:
        page = server.get(url, token)
        found += _names(page)
        links = {link["relation"]: link["url"] for link in page["link"]}
        assert ("first" in links) == ("next" in links or "_cursor" in url)
        url = links.get("next", "")
    return found


def _life(server: Server, operator: str) -> tuple[str, str]:
    """Make one Patient of three versions, the last a deletion, and another of one; a minute apart."""
    first = server.post("Patient", operator, PATIENT)["id"]
    server.clock.advance(minutes=1)
    server.put({**PATIENT, "id": first, "active": False}, operator)
    server.clock.advance(minutes=1)
    other = server.post("Patient", operator, PATIENT)["id"]
    server.clock.advance(minutes=1)
    server.call("DELETE", f"Patient/{first}", operator)
    return first, other


def test_history_of_a_type_and_of_the_system_lists_every_version_newest_first(server: Server, operator: str) -> None:
    first, other = _life(server, operator)
    expected = [
        ("DELETE", f"Patient/{first}/3"), ("POST", f"Patient/{other}/1"), ("PUT", f"Patient/{first}/2"),
        ("POST", f"Patient/{first}/1"),
    ]  # fmt: skip
    bundle = server.get("Patient/_history", operator)
    assert _names(bundle) == expected
    assert bundle["total"] == 4
    deletion = bundle["entry"][0]
    assert "resource" not in deletion
    assert deletion["request"]["url"] == f"Patient/{first}"
    assert deletion["response"]["status"] == "204"
    assert [name for name in _names(server.get("_history", operator)) if "Patient/" in name[1]] == expected
    assert server.get("Observation/_history", operator)["total"] == 0


def test_a_history_is_a_valid_bundle(server: Server, operator: str) -> None:
    _life(server, operator)
    for path in ("Patient/_history?_count=2", "_history"):
        validate(load(), server.get(path, operator))


@pytest.mark.parametrize("level", ["Patient/{first}/_history", "Patient/_history", "_history?_type=Patient"])
def test_since_and_at_choose_versions_by_time(server: Server, operator: str, level: str) -> None:
    first, other = _life(server, operator)
    path = level.format(first=first)
    only_first = "{first}" in level

    def asked(query: str) -> set[str]:
        url = f"{path}{'&' if '?' in path else '?'}{query}"
        bundle = server.get(url, operator)
        assert bundle["total"] == len(bundle.get("entry", ()))
        return {name for _, name in _names(bundle)}

    later = set() if only_first else {f"Patient/{other}/1"}
    assert asked("_since=2026-11-22T09:02:00Z") == {f"Patient/{first}/3"} | later
    assert asked("_since=2026-11-22T10:01:00%2B01:00") == {f"Patient/{first}/{n}" for n in (2, 3)} | later
    assert asked("_at=2026-11-22T09:00:30Z") == {f"Patient/{first}/1"}
    assert asked("_at=2026-11-22T09:02:30Z") == {f"Patient/{first}/2"} | later
    # A version that was replaced in the first moment of the interval was not current in it.
    assert asked("_at=2026-11-22T09:01") == {f"Patient/{first}/2"}
    assert asked("_at=2026-11-22") == {f"Patient/{first}/{n}" for n in (1, 2, 3)} | later
    assert asked("_at=2026-11-21") == set()
    assert asked("_at=2026-11-22T09:02:30Z&_since=2026-11-22T09:02:00Z") == later


def test_pages_hold_every_version_once(server: Server, operator: str) -> None:
    first, _ = _life(server, operator)
    for _ in range(3):
        server.post("Patient", operator, PATIENT)  # at one instant
    for path in ("Patient/_history", "_history", f"Patient/{first}/_history", "Patient/_history?_at=2026"):
        whole = _names(server.get(path, operator))
        for size in (1, 2, 5):
            assert _all(server, path, operator, size) == whole
    page = server.get("Patient/_history?_count=2", operator)
    assert page["total"] == 7
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    # What happens meanwhile is newer, so the pages that follow stay as they are.
    server.post("Patient", operator, PATIENT)
    assert len(_names(server.get(following, operator))) == 2
    assert server.get("Patient/_history?_count=0", operator)["total"] == 8
    cursor = following.partition("_cursor=")[2]
    server.get(f"_history?_count=2&_cursor={cursor}", operator, 400)
    server.get(f"Patient/_history?_count=3&_cursor={cursor}", operator, 400)
    server.get("Patient/_history?_cursor=AAAA", operator, 400)


def test_what_is_not_understood_is_refused_or_left_out(server: Server, operator: str) -> None:
    first, _ = _life(server, operator)
    for path in (f"Patient/{first}/_history", "Patient/_history", "_history"):
        for query in ("name=x", "_sort=_id", "_since=yesterday", "_at=x", "_count=-1", "_count=1&_count=2"):
            server.get(f"{path}?{query}", operator, 400)
        said = server.get(f"{path}?name=x", operator, 400)["issue"][0]["diagnostics"]
        assert "'name'" in said
        assert "_since, _at, _count" in said
        lenient = server.call("GET", f"{path}?name=x&_count=9", operator, headers={"Prefer": "handling=lenient"})
        assert lenient.status_code == 200
        assert lenient.json is not None
        assert lenient.json["link"][0]["url"].endswith(f"{path}?_count=9")
    server.get("Nothing/_history", operator, 404)
    server.get("AuditEvent/_history", operator, 400)
    assert server.call("POST", "Patient/_history", operator, PATIENT).status_code == 405
    assert server.call("DELETE", "_history", operator).status_code == 405


def test_a_history_is_cut_down_and_says_what_stored_a_version(server: Server, operator: str) -> None:
    first, other = _life(server, operator)
    server.clock.advance(minutes=1)
    server.put({**PATIENT, "id": "chosen"}, operator)
    cut = server.get("Patient/_history?_elements=active&_count=3", operator)
    assert cut["total"] == 5
    assert [("name" in each.get("resource", ()), each["request"]["method"]) for each in cut["entry"]] == [
        (False, "PUT"), (False, "DELETE"), (False, "POST")
    ]  # fmt: skip
    assert cut["entry"][0]["request"]["url"] == "Patient/chosen"
    assert cut["entry"][0]["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert {link["url"].partition("?")[2].partition("&_cursor")[0] for link in cut["link"]} == {
        "_elements=active&_count=3"
    }
    counted = server.get(f"Patient/{first}/_history?_summary=count", operator)
    assert (counted["total"], "entry" in counted) == (3, False)
    assert "name" not in server.get(f"Patient/{other}/_history?_summary=text", operator)["entry"][0]["resource"]
    for query in ("_summary=some", "_elements=a-b"):
        server.get(f"Patient/{first}/_history?{query}", operator, 400)


def test_a_history_is_an_entry_of_a_batch(server: Server, operator: str) -> None:
    _life(server, operator)
    entries = [{"request": {"method": "GET", "url": url}} for url in ("Patient/_history?_count=1", "_history?x=1")]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    first, second = server.post("", operator, bundle, 200)["entry"]
    assert first["resource"]["type"] == "history"
    assert second["response"]["status"].startswith("400")


def test_a_version_is_shown_where_it_and_the_current_one_are(world: World) -> None:
    world.server.put(observation(ANN, "a-2", "mental-health", value=8), world.trust)
    world.server.put(observation(ANN, "a-2", "general", value=6), world.trust)
    for path in LEVELS:
        shown = [name for _, name in _names(world.server.get(f"{path}?_count=1000", world.gp))]
        assert [name for name in shown if "/a-2/" in name] == ["Observation/a-2/3", "Observation/a-2/1"]
        assert not [name for name in shown if "a-mh" in name or "Observation/b-" in name]
    world.server.put(observation(ANN, "a-2", "mental-health", value=8), world.trust)
    world.server.get(LEVELS[0], world.gp, 404)
    for path in LEVELS[1:]:
        assert "a-2" not in world.server.call("GET", f"{path}?_count=1000", world.gp).text.partition('"entry"')[0]
        assert not [name for _, name in _names(world.server.get(path, world.gp)) if "/a-2/" in name]


def test_hidden_versions_change_no_byte_of_any_history(world: World) -> None:
    for label, value in (("mental-health", 8), ("general", 6)):
        world.server.clock.advance(minutes=1)
        world.server.put(observation(ANN, "a-2", label, value=value), world.trust)
    world.server.put(observation(ANN, "gone-mh", "mental-health"), world.trust)
    world.server.call("DELETE", "Observation/gone-mh", world.trust)
    queries = ("?_count=3", "?_at=2026-11-22T09:01:30Z", "?_since=2026-11-22T09:01:00Z", "?_count=0")
    paths = [*(f"{path}{query}" for path in LEVELS for query in queries), "Consent/_history", "Patient/_history"]
    for caller, token_of in sorted(CALLERS.items()):
        with restored(world.server):
            token = token_of(world)
            before = [_told(world, path, token) for path in paths]
            remove_hidden(world.server, token)
            assert [_told(world, path, token) for path in paths] == before, caller


def _told(world: World, path: str, token: str) -> tuple[int, str]:
    """Return status and body, without the sealed positions, which are made with a random number."""
    answer = world.server.call("GET", path, token)
    body = answer.json or {}
    for link in body.get("link", ()):
        link["url"] = link["url"].partition("_cursor")[0]
    return answer.status_code, str({**body, "issue": body.get("issue", [{}])[0].get("code")})


def test_a_type_without_scope_has_no_history_unless_it_is_named(world: World) -> None:
    app = world.server.token(ANN, "patient/Observation.rs patient/Encounter.r", client_id="app")
    shown = {name.partition("/")[0] for _, name in _names(world.server.get("_history?_count=1000", app))}
    assert shown == {"Observation"}
    for path in ("_history?_type=Encounter", "Encounter/_history", "_history?_type=Patient", "Patient/_history"):
        assert world.server.call("GET", path, app).status_code == 403
    assert world.server.call("GET", "Encounter/a-enc/_history", app).status_code == 200
    nothing = world.server.token(ANN, "openid", client_id="app")
    assert world.server.call("GET", "_history", nothing).status_code == 403
    world.server.get("_history?_type=AuditEvent", world.ann, 400)


def test_a_history_is_on_the_log_of_the_patients_it_showed(world: World) -> None:
    world.server.get("Observation/_history?_count=1000", world.gp)
    events = world.server.get("AuditEvent?patient=Patient/ann&subtype=history-type", world.ann)["entry"]
    touched = {each["what"].get("reference", "") for each in events[0]["resource"]["entity"] if "what" in each}
    assert "Observation/a-2/_history/1" in touched
    assert not [name for name in touched if "Observation/b-" in name]
