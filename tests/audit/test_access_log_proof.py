"""`Patient/[id]/$access-log-proof`: every proof holds under a verifier of its own, and only the right people get it."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.interactions.audit_proof_check import ProofError, check
from fhir_server.store import events
from fhir_server.store.events import Criteria, Readable
from fhir_server.store.keys import reference_key
from tests.audit.conftest import plain_event
from tests.audit.independent import extends, hashes, proved_events, signed_state, value
from tests.audit.people import STRANGERS, seal, token_of
from tests.consent.world import World
from tests.server import Server

Json = dict[str, Any]
PROOF = "Patient/ann/$access-log-proof"


@pytest.fixture
def world(server: Server) -> World:
    """Return a record with some reads behind it: of Ann's by the GP, in vain by Bob, and of Bob's."""
    made = World(server).build()
    for number in range(3):
        server.call("GET", f"Observation/a-{number}", made.gp)
        server.call("GET", "Patient/ann", made.bob)
        server.get("Patient/bob", made.bob)
    return made


def entries(document: Json) -> list[list[Json]]:
    return [each["part"] for each in document["parameter"] if each["name"] == "entry"]


def listed(world: World) -> list[Json]:
    """Return Ann's events from the database: to ask for them over HTTP would add one."""
    ann = Criteria(patient=((reference_key("Patient", "ann"),),))
    with world.server.store.read() as session:
        found = events.search(session, Readable(everything=True, patient=0), ann, limit=1_000)
    return [json.loads(event.content) for event in found]


def test_every_entry_of_the_patient_is_proved(world: World, tmp_path: Path) -> None:
    expected = listed(world)
    seal(world.server, tmp_path)
    document = world.server.get(f"{PROOF}?_count=500", world.ann)
    proved = proved_events(document)
    assert [event["id"] for event in proved] == [event["id"] for event in expected]
    assert value(document["parameter"], "pending") == 0
    assert "Patient/bob" not in str([event["entity"] for event in proved])
    found = check(json.dumps(document, indent=2).encode())
    assert (found.proved_count, found.pending_count, found.next_url) == (len(expected), 0, "")


def test_the_look_at_the_log_is_on_the_log(world: World, tmp_path: Path) -> None:
    seal(world.server, tmp_path)
    before = len(listed(world))
    world.server.get(PROOF, world.ann)
    newest = listed(world)[0]
    assert len(listed(world)) == before + 1
    queries = [b64decode(entity["query"]) for entity in newest["entity"] if "query" in entity]
    assert queries == [b"Patient/ann/$access-log-proof"]


def test_what_is_newer_than_the_checkpoint_is_said_to_be(world: World, tmp_path: Path) -> None:
    without = world.server.get(PROOF, world.ann)
    assert "checkpoint" not in {each["name"] for each in without["parameter"]}
    seal(world.server, tmp_path)
    world.server.get("Patient/ann", world.ann)
    document = world.server.get(PROOF, world.ann)
    # The read, and the download without a checkpoint, which was sealed: it came before.
    assert value(document["parameter"], "pending") == 1
    assert [part["name"] for part in entries(document)[0]] == ["auditEvent"]
    assert len(proved_events(document)) == len(entries(document)) - 1


def test_pages_hold_every_entry_once_and_each_is_proved(world: World, tmp_path: Path) -> None:
    expected = [event["id"] for event in listed(world)]
    seal(world.server, tmp_path)
    end = world.server.clock().isoformat().replace("+00:00", "Z")
    seen: list[str] = []
    url = f"{PROOF}?_count=4&date=le{end}"
    while url:
        document = world.server.get(url, world.ann)
        seen += [event["id"] for event in proved_events(document)]
        following = [each["valueUri"] for each in document["parameter"] if each["name"] == "next"]
        assert len(entries(document)) <= 4
        url = following[0] if following else ""
    # The clock stands still, so looking at a page adds to a page to come nothing: it is newer than all of them.
    assert [each for each in seen if each in expected] == expected
    assert len(set(seen)) == len(seen)


def test_a_page_link_is_of_no_use_to_another_caller(world: World, tmp_path: Path) -> None:
    seal(world.server, tmp_path)
    document = world.server.get(f"{PROOF}?_count=2", world.ann)
    url = value(document["parameter"], "next")
    assert world.server.call("GET", url, token_of(world, "privacy-officer")).status_code == 400


def test_the_log_of_today_extends_the_one_that_was_kept(world: World, tmp_path: Path) -> None:
    old = seal(world.server, tmp_path)
    kept = json.dumps(world.server.get(PROOF, world.ann)).encode()
    for _ in range(5):
        world.server.get("Patient/ann", world.ann)
    new = seal(world.server, tmp_path)
    document = world.server.get(f"{PROOF}?from={old.size}", world.ann)
    (consistency,) = (each["part"] for each in document["parameter"] if each["name"] == "consistency")
    assert extends((old.size, old.root), signed_state(document), hashes(consistency))
    text = json.dumps(document).encode()
    for older in (kept, old.note().encode()):
        assert check(text, older=older).extends == old.size
    with pytest.raises(ProofError, match=f"from={old.size}"):
        check(json.dumps(world.server.get(PROOF, world.ann)).encode(), older=kept)
    assert check(text, older=new.note().encode()).extends == new.size


def test_nobody_else_gets_it(world: World, tmp_path: Path) -> None:
    seal(world.server, tmp_path)
    for who in STRANGERS:
        token = token_of(world, who)
        refused = [world.server.call("GET", path, token) for path in (PROOF, "Patient/absent/$access-log-proof")]
        assert [answer.status_code for answer in refused] == [403, 403], who
        told = [json.loads(answer.data)["issue"] for answer in refused]
        assert told[0] == told[1]
        assert listed(world)[0]["outcome"] == "4"


def test_another_patients_log_is_as_absent_as_that_of_nobody(world: World, tmp_path: Path) -> None:
    seal(world.server, tmp_path)
    told = []
    for patient in ("ann", "absent"):
        answer = world.server.call("GET", f"Patient/{patient}/$access-log-proof", world.bob)
        assert answer.status_code == 404
        told.append(answer.text.replace(patient, "").replace(answer.headers["X-Request-Id"], ""))
    assert told[0] == told[1]


def test_an_app_without_the_scope_is_refused(world: World) -> None:
    token = world.server.token("Patient/ann", "patient/Patient.rs patient/Observation.rs")
    assert world.server.call("GET", PROOF, token).status_code == 403


def test_the_privacy_officer_gets_it(world: World, tmp_path: Path) -> None:
    expected = [event["id"] for event in listed(world)]
    seal(world.server, tmp_path)
    document = world.server.get(f"{PROOF}?_count=500", token_of(world, "privacy-officer"))
    assert [event["id"] for event in proved_events(document)] == expected


def test_what_is_not_understood_is_refused_by_name(world: World, tmp_path: Path) -> None:
    seal(world.server, tmp_path)
    for query in ("colour=red", "from=0", "from=x", "from=99999999", "_count=-1", "date=yesterday", "_cursor=AAAA"):
        answer = world.server.call("GET", f"{PROOF}?{query}", world.ann)
        assert answer.status_code == 400, query
        assert query.partition("=")[0] in answer.text or "page link" in answer.text


def test_a_page_has_at_most_500_entries(world: World, tmp_path: Path) -> None:
    ann = reference_key("Patient", "ann")
    with world.server.store.write() as session:
        events.append(session, [plain_event(number, patient=ann, recorded_at=number) for number in range(1, 621)])
    seal(world.server, tmp_path)
    document = world.server.get(f"{PROOF}?_count=1000", world.ann)
    assert len(proved_events(document)) == 500
    assert value(document["parameter"], "next")


def _entry(document: Json, number: int = 0) -> list[Json]:
    return entries(document)[number]


def _part(parts: list[Json], name: str) -> Json:
    return next(each for each in parts if each["name"] == name)


def _change_event(document: Json) -> None:
    _part(_entry(document), "auditEvent")["resource"]["outcome"] = "8"


def _change_leaf(document: Json) -> None:
    part = _part(_entry(document), "leaf")
    part["valueBase64Binary"] = b64encode(b64decode(part["valueBase64Binary"]) + b" ").decode()


def _change_index(document: Json) -> None:
    _part(_entry(document), "index")["valueUnsignedInt"] -= 1


def _drop_hash(document: Json) -> None:
    parts = _entry(document)
    parts.remove(_part(parts, "hash"))


def _swap_events(document: Json) -> None:
    one, two = _part(_entry(document), "auditEvent"), _part(_entry(document, 1), "auditEvent")
    one["resource"], two["resource"] = two["resource"], one["resource"]


def _change_checkpoint(document: Json) -> None:
    part = _part(document["parameter"], "checkpoint")
    part["valueString"] = part["valueString"].replace("signed 2026", "signed 2027")


def _another_key(document: Json) -> None:
    _part(document["parameter"], "publicKey")["valueBase64Binary"] = b64encode(bytes(32)).decode()


def _no_base64(document: Json) -> None:
    _part(_entry(document), "hash")["valueBase64Binary"] = "*"


def _no_ascii(document: Json) -> None:
    _part(document["parameter"], "publicKey")["valueBase64Binary"] = "é"


def _two_checkpoints(document: Json) -> None:
    document["parameter"].append(_part(document["parameter"], "checkpoint"))


CHANGES: tuple[Callable[[Json], None], ...] = (
    _change_event, _change_leaf, _change_index, _drop_hash, _swap_events, _change_checkpoint, _another_key, _no_base64,
    _no_ascii, _two_checkpoints,
)  # fmt: skip


def test_a_file_that_was_changed_does_not_hold(world: World, tmp_path: Path) -> None:
    seal(world.server, tmp_path)
    text = json.dumps(world.server.get(PROOF, world.ann))
    check(text.encode())
    held = []
    for change in CHANGES:
        document = json.loads(text)
        change(document)
        try:
            check(json.dumps(document).encode())
        except ProofError:
            continue
        held.append(change.__name__)
    assert held == []


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b"{}", b'{"resourceType":"Parameters","parameter":[3,null]}'])
def test_what_is_no_such_file_is_a_sentence(text: bytes) -> None:
    with pytest.raises(ProofError):
        check(text)


def test_a_file_signed_with_another_key_than_the_known_one_does_not_hold(world: World, tmp_path: Path) -> None:
    checkpoint = seal(world.server, tmp_path)
    text = json.dumps(world.server.get(PROOF, world.ann)).encode()
    check(text, public_key=checkpoint.public_key)
    with pytest.raises(ProofError, match="another key"):
        check(text, public_key=bytes(32))
