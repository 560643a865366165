"""`$export` discloses nothing that is hidden, at no moment of its life, and to nobody but who began it."""

from __future__ import annotations

import threading
from datetime import timedelta
from urllib.parse import quote

import orjson

from fhir_server.access import tokens
from fhir_server.interactions.audit_parts import ACT_REASON
from fhir_server.operations import export_work
from fhir_server.store import accounts, exports, oauth_clients, oauth_codes
from fhir_server.store.accounts import Account
from fhir_server.store.oauth_clients import Client
from tests.consent.removal import remove_hidden, restored
from tests.consent.world import ANN, BOB, GP, PRACTICE, World, consent, observation, ref
from tests.http.exporting import ASYNC, FILE, base, begin, exported, fetch, files_of, names_of, work
from tests.server import START

_EITHER = "Observation?encounter.class=IMP,Observation?_has:Observation:has-member:code=44261-6"
_PATHS = (
    "$export?_since=2026-11-22T08:00:00Z",
    "Patient/ann/$export",
    "Group/ours/$export",
    "Patient/$export?patient=Patient/ann,Patient/bob&_type=Observation,Patient",
    f"$export?_type=Observation,Patient&_typeFilter={quote(_EITHER)}&_elements=subject",
)
_REASON = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "reasonCode", "valueCoding": {"system": ACT_REASON, "code": "ETREAT"}},
        {"name": "reason", "valueString": "Unconscious in the emergency department"},
        {"name": "declaration", "valueBoolean": True},
    ],
}


def _export_or_refusal(world: World, token: str, path: str) -> dict[str, bytes] | bytes:
    answer = world.server.call("GET", path, token, headers=ASYNC)
    if answer.status_code == 404:
        return bytes(answer.data)
    work(world.server)
    return files_of(world.server, token, world.server.get(answer.headers["Content-Location"], token))


def test_an_export_is_byte_for_byte_that_of_a_store_without_the_hidden_rows(world: World) -> None:
    server = world.server
    for name, token in (("ours", world.practice), ("theirs", world.trust)):
        server.put({"resourceType": "Group", "id": name, "type": "person", "actual": True,
                    "member": [{"entity": ref(ANN)}, {"entity": ref(BOB)}]}, token)  # fmt: skip
    server.call("DELETE", "Observation/b-1", world.trust)
    server.call("DELETE", "Observation/a-2", world.trust)
    granular = server.token(GP, "user/*.rs user/Observation.rs?category=vital-signs", client_id="other")
    callers = {"practice": world.practice, "granular": granular}
    for name, token in callers.items():
        with restored(server):
            before = [_export_or_refusal(world, token, path) for path in _PATHS]
        with restored(server):
            assert remove_hidden(server, token), f"something is hidden from {name}"
            after = [_export_or_refusal(world, token, path) for path in _PATHS]
        for path, one, other in zip(_PATHS, before, after, strict=True):
            assert one == other, (name, path)
        assert any(isinstance(each, dict) and each for each in before), f"{name} sees something"


def test_a_consent_that_ends_stops_what_is_listed_and_what_was_listed(world: World) -> None:
    server, token = world.server, world.practice
    kept = begin(server, token, "Patient/$export?_type=Observation,Encounter")
    work(server)
    files = {each["type"]: each["url"] for each in server.get(kept, token)["output"]}
    assert set(files) == {"Observation", "Encounter"}
    narrow = server.token(PRACTICE, "system/Observation.rs?category=vital-signs")
    assert orjson.loads(fetch(server, narrow, files["Observation"]).data)["id"] == "a-2", "by the scopes of who fetches"
    fetch(server, narrow, files["Encounter"], 403)
    waiting = begin(server, token, "Patient/$export")
    server.put(observation(ANN, "a-1", "mental-health"), world.trust)
    assert fetch(server, token, files["Observation"]).data.count(b"\n") == 1, "what was relabelled is left out"
    server.put(consent(ANN, PRACTICE, status="inactive") | {"id": world.consents[0]}, world.ann)
    for url in files.values():
        assert fetch(server, token, url, 404).data == fetch(server, token, f"{kept}/9.ndjson", 404).data
    assert server.get(kept, token)["output"] == []
    work(server)
    assert server.get(waiting, token)["output"] == []
    world.share(consent(ANN, PRACTICE))
    assert names_of(files_of(server, token, server.get(kept, token))) == {"Observation/a-2", "Encounter/a-enc"}


def test_an_export_is_not_there_for_anybody_else(world: World) -> None:
    server = world.server
    url = begin(server, world.practice)
    work(server)
    others = {
        "another client of the organisation": server.token(PRACTICE, client_id="another"),
        "another subject of the client": world.gp,
        "another organisation": world.trust,
        "the operator": world.operator,
    }
    for name, token in others.items():
        for method, path in (("GET", url), ("GET", f"{url}/1.ndjson"), ("DELETE", url)):
            absent = path.replace(url.rpartition("/")[2], "a" * 43)
            said = [
                server.call(method, each, token, headers=FILE | {"X-Request-Id": "same"}) for each in (path, absent)
            ]
            assert said[0].status_code == 404, (name, method, path)
            assert said[0].data == said[1].data
    assert server.get(url, world.practice)["output"]


def test_an_export_ends_with_its_permission_and_its_client(world: World) -> None:
    server = world.server
    now = server.clock()
    with server.store.write() as session:
        for name in ("kept", "suspended"):
            registered = Client(name, name, "jwks", (), "system/*.rs", now, organization=PRACTICE)
            oauth_clients.add_client(session, registered)
    urls, held = {}, {}
    for name in ("kept", "suspended", "revoked"):
        held[name] = server.token(PRACTICE, "system/*.rs", client_id=name, grant_id=f"of {name}", expires_in_s=300)
        urls[name] = begin(server, held[name])
    work(server)
    server.clock.advance(minutes=10)
    with server.store.write() as session:
        oauth_clients.set_client_active(session, "suspended", active=False)
        tokens.revoke_grant(session, "of revoked", server.clock())
    again = {name: server.token(PRACTICE, "system/*.rs", client_id=name, grant_id=f"new of {name}") for name in urls}
    assert server.get(urls["kept"], again["kept"])["output"], "a short token may run out"
    assert server.call("GET", urls["suspended"], again["suspended"]).status_code == 401
    fetch(server, again["revoked"], urls["revoked"], 404)
    assert export_work.upkeep(base(server)) == 2
    with server.store.read() as session:
        (left,) = exports.present(session)
    assert left.owner.client_id == "kept"
    server.clock.advance(hours=24)
    fetch(server, server.token(PRACTICE, client_id="kept"), urls["kept"], 404)
    assert export_work.upkeep(base(server)) == 1


def test_a_persons_export_ends_when_no_token_of_the_app_works_and_with_the_account(world: World) -> None:
    server, now = world.server, world.server.clock()
    account = Account(
        id="gp", email="gp@example.org", name="GP", role="professional", reference=GP, organization=PRACTICE,
        may_break_glass=False, active=True, created_at=START, email_confirmed_at=START,
    )  # fmt: skip
    with server.store.write() as session:
        accounts.add(session, account, accounts.Secrets("", ""))
        oauth_codes.add_refresh_token(
            session, grant_id="lasting", client_id="lasting", scope="user/*.rs", now=now, expires_in_s=86_400
        )
    for name in ("once", "lasting"):
        begin(server, server.token(GP, "user/*.rs", client_id=name, grant_id=name, account_id="gp", expires_in_s=600))
    assert export_work.upkeep(base(server)) == 0
    server.clock.advance(minutes=11)
    assert export_work.upkeep(base(server)) == 1
    with server.store.read() as session:
        (left,) = exports.present(session)
    assert left.grant_id == "lasting"
    with server.store.write() as session:
        accounts.set_active(session, "gp", active=False, now=server.clock())
    work(server)
    with server.store.read() as session:
        assert exports.present(session) == ()


def test_a_running_export_stops_when_its_permission_ends(world: World) -> None:
    server = world.server
    token = server.token(GP, "user/*.rs", grant_id="of an app")
    url = begin(server, token)
    with server.store.write() as session:
        tokens.revoke_grant(session, "of an app", server.clock())
    work(server)
    with server.store.read() as session:
        assert exports.present(session) == ()
    fetch(server, server.token(GP, "user/*.rs"), url, 404)


def test_what_an_emergency_opens_is_in_no_export_and_nothing_is_fetched_during_it(world: World) -> None:
    server, gp = world.server, world.gp
    url = begin(server, gp, "Patient/$export")
    answer = server.call("POST", "Patient/bob/$break-glass", gp, _REASON)
    assert answer.status_code == 200, answer.text
    work(server)
    assert server.get("Patient/bob", gp)["id"] == "bob"
    for path in (url, f"{url}/1.ndjson"):
        assert "during an emergency access" in fetch(server, gp, path, 403).text
    server.clock.advance(minutes=61)
    found = names_of(files_of(server, gp, server.get(url, gp)))
    assert {name for name in found if "/b" in name} == set()
    assert "Patient/ann" in found


def test_a_worker_that_dies_leaves_its_job_to_the_next_and_two_list_nothing_twice(world: World) -> None:
    server = world.server
    expected = exported(server, world.trust)
    url = begin(server, world.trust)
    server.clock.advance(seconds=2)
    now = server.clock()
    with server.store.write() as session:
        dead = exports.lease(session, now, until=now + timedelta(minutes=2), name="dead")
    assert dead is not None
    work(server)
    assert server.call("GET", url, world.trust).status_code == 202, "it is another's for two minutes"
    server.clock.advance(minutes=2)
    stop = threading.Barrier(2)

    def run() -> None:
        stop.wait()
        while export_work.work(base(server)):
            pass

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with server.store.write() as session:
        assert not exports.advance(session, dead, dead, until=now), "the dead one may not come back"
    assert files_of(server, world.trust, server.get(url, world.trust)) == expected
