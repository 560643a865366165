"""What its author withholds from the patient (`NOPAT`), and results under embargo: absent for patient and carer.

Both are there for a professional who is let in, and for those who wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from fhir_server.access import labels
from tests.consent.world import ANN, CARER, LABEL, Json, World, consent, document, observation, ref
from tests.databases import Databases
from tests.server import build, create_schema

_EMBARGO_DAYS = 7
_SECRET = "11111-1"


@pytest.fixture
def world(databases: Databases, tmp_path: Path) -> Iterator[World]:
    """Return the small world on a server with an embargo, the carer let in like the practice."""
    made = build(databases.prepared("schema", create_schema), tmp_path, result_embargo_days=_EMBARGO_DAYS)
    found = World(made).build()
    found.share(consent(ANN, CARER))
    yield found
    made.close()


def _nopat() -> Json:
    return {"security": [{"system": LABEL, "code": "general"}, {"system": labels.ACT_CODE, "code": "NOPAT"}]}


def _answers(world: World, token: str, name: str) -> dict[str, str]:
    """Return what a caller is told by every road to an Observation of this name and the document beside it."""
    reads = (f"Observation/{name}", f"Observation/{name}/_history", f"Observation/{name}/_history/1",
             f"DocumentReference/{name}-doc", f"Binary/{name}-bin", f"Provenance/{name}-prov")  # fmt: skip
    searches = (
        "Observation?patient=ann&_total=accurate", "Observation?patient=ann&_summary=count", f"Observation?_id={name}",
        "Observation?_include=Observation:has-member&_id=a-points", f"Observation?code={_SECRET}&_total=accurate",
        "Encounter?_id=a-enc&_revinclude=Observation:encounter", f"Observation?has-member.code={_SECRET}",
        f"Encounter?_has:Observation:encounter:code={_SECRET}", f"Patient?_has:Observation:patient:code={_SECRET}",
        "Patient/ann/Observation", f"Patient/ann/Observation?code={_SECRET}&_summary=count", "Patient/ann/$everything",
        "DocumentReference?patient=ann&_total=accurate", "Provenance?_count=50", "Observation?_sort=-_lastUpdated",
        f"Provenance?target=DocumentReference/{name}-doc", "Observation?patient=ann&_security:not=x&_count=100",
        f"Observation?_security={labels.ACT_CODE}|NOPAT",
    )  # fmt: skip
    entries = [{"request": {"method": "GET", "url": path}} for path in reads]
    found = {path: world.server.call("GET", path, token) for path in (*reads, *searches)}
    batch = world.server.call("POST", "", token, {"resourceType": "Bundle", "type": "batch", "entry": entries})
    return {
        **{path: f"{answer.status_code} {answer.text}" for path, answer in found.items()},
        "batch": " ".join(entry["response"]["status"] for entry in orjson.loads(batch.data)["entry"]),
    }


def _comparable(text: str) -> str:
    """Drop what differs between any two answers: ids and times of the Bundle itself, and sealed links."""
    if not text.startswith("200 {"):
        return text
    body = orjson.loads(text[4:])
    kept = {name: value for name, value in body.items() if name not in {"id", "meta", "link", "timestamp"}}
    return orjson.dumps(kept).decode()


def _write_withheld(world: World, name: str) -> None:
    """Let the trust withhold an Observation that others point at, and a document, Binary and Provenance beside it."""
    body = observation(ANN, name, code=_SECRET, encounter=ref("Encounter/a-enc"))
    world.server.put({**body, "meta": _nopat()}, world.trust)
    world.server.put({**document(ANN, f"{name}-doc", "general", f"Binary/{name}-bin"), "meta": _nopat()}, world.trust)
    world.server.put({"resourceType": "Binary", "id": f"{name}-bin", "contentType": "text/plain", "data": "aGVsbG8=",
                      "securityContext": ref(f"DocumentReference/{name}-doc")}, world.trust)  # fmt: skip
    world.server.put({"resourceType": "Provenance", "id": f"{name}-prov", "recorded": "2026-03-01T09:00:00Z",
                      "target": [ref(f"DocumentReference/{name}-doc")],
                      "agent": [{"who": ref("Organization/trust")}]}, world.trust)  # fmt: skip


def test_what_its_author_withholds_is_absent_for_patient_and_carer_alone(world: World) -> None:
    points = observation(ANN, "a-points", hasMember=[ref("Observation/np")], day=20)
    points["effectiveDateTime"] = "2026-01-01"
    world.server.put(points, world.trust)
    before = {name: _answers(world, token, "np") for name, token in (("ann", world.ann), ("carer", world.carer))}
    _write_withheld(world, "np")
    for name, token in (("ann", world.ann), ("carer", world.carer)):
        for path, text in _answers(world, token, "np").items():
            assert _comparable(text) == _comparable(before[name][path]), f"{name} {path}"
    for token in (world.practice, world.gp, world.trust):
        told = _answers(world, token, "np")
        assert told["batch"] == " ".join(["200 OK"] * 6)
        roads = ("Observation?_include=Observation:has-member&_id=a-points", "Observation?patient=ann&_total=accurate",
                 f"Observation?_security={labels.ACT_CODE}|NOPAT")  # fmt: skip
        assert all('"np"' in told[path] for path in roads)
    assert '"a-points"' in _answers(world, world.gp, "np")[f"Observation?has-member.code={_SECRET}"]


def test_a_withheld_record_is_neither_changed_nor_felt_by_the_patient(world: World) -> None:
    _write_withheld(world, "np")
    for token in (world.ann, world.carer):
        for path in ("Observation/np", "Observation/absent"):
            body = observation(ANN, path.partition("/")[2])
            assert world.server.call("PUT", path, token, body).status_code == 404
            assert world.server.call("PUT", path, token, body, {"If-Match": 'W/"1"'}).status_code == 412
            assert world.server.call("DELETE", path, token).status_code == 204
        made = world.server.call("POST", "Observation", token, {**observation(ANN), "meta": _nopat()})
        assert made.status_code == 403, "nobody withholds from themselves"
    assert world.server.get("Observation/np", world.trust)["meta"]["versionId"] == "1"


def test_withholding_begins_and_ends_with_the_authors_word_and_hides_the_versions_of_its_time(world: World) -> None:
    world.server.put({**observation(ANN, "a-1"), "meta": _nopat()}, world.trust)
    assert world.server.call("GET", "Observation/a-1", world.ann).status_code == 404
    world.server.put(observation(ANN, "a-1", value=8), world.trust)
    history = world.server.get("Observation/a-1/_history", world.ann)["entry"]
    assert [each["resource"]["meta"]["versionId"] for each in history] == ["3", "1"]
    assert world.server.call("GET", "Observation/a-1/_history/2", world.ann).status_code == 404
    assert world.server.call("GET", "Observation/a-1/_history/2", world.practice).status_code == 200


def test_a_result_under_embargo_appears_when_the_time_comes(world: World) -> None:
    new = {"effectiveDateTime": "2026-11-21"}
    before = {name: _answers(world, token, "em") for name, token in (("ann", world.ann), ("carer", world.carer))}
    body = observation(ANN, "em", code=_SECRET, encounter=ref("Encounter/a-enc"), **new)
    world.server.put(body, world.trust)
    world.server.put({"resourceType": "DiagnosticReport", "id": "em-rep", "meta": body["meta"], "status": "final",
                      "code": {"text": "Histology"}, "subject": ref(ANN),
                      "effectiveDateTime": "2026-11-21"}, world.trust)  # fmt: skip
    world.server.put({"resourceType": "Binary", "id": "em-bin", "contentType": "text/plain", "data": "aGVsbG8=",
                      "securityContext": ref("DiagnosticReport/em-rep")}, world.trust)  # fmt: skip
    world.server.put({"resourceType": "Provenance", "id": "em-prov", "recorded": "2026-11-21T09:00:00Z",
                      "target": [ref("DiagnosticReport/em-rep")],
                      "agent": [{"who": ref("Organization/trust")}]}, world.trust)  # fmt: skip
    parts = ("Observation/em", "DiagnosticReport/em-rep", "Binary/em-bin", "Provenance/em-prov")
    for name, token in (("ann", world.ann), ("carer", world.carer)):
        for path, text in _answers(world, token, "em").items():
            assert _comparable(text) == _comparable(before[name][path]), f"{name} {path}"
        assert [world.server.call("GET", path, token).status_code for path in parts] == [404] * 4
    assert [world.server.call("GET", path, world.gp).status_code for path in parts] == [200] * 4
    world.server.put({**body, "status": "amended"}, world.trust)
    assert world.server.call("GET", "Observation/em", world.ann).status_code == 404
    # Seven days from the start of the day that the result is of.
    world.server.clock.advance(days=5, hours=14, minutes=59)
    assert world.server.call("GET", "Observation/em", world.server.token(ANN)).status_code == 404
    world.server.clock.advance(minutes=1)
    ann, carer = (world.server.token(person) for person in (ANN, CARER))
    for token in (ann, carer):
        assert [world.server.call("GET", path, token).status_code for path in parts] == [200] * 4
        assert "Observation/em" in world.server.ids("Observation?patient=ann", token)
        versions = world.server.get("Observation/em/_history", token)["entry"]
        assert [each["resource"]["meta"]["versionId"] for each in versions] == ["2", "1"]


def test_only_new_results_of_others_wait(world: World) -> None:
    today = "2026-11-22T08:00:00Z"
    at_once = {
        "vital": observation(ANN, "vital", category="vital-signs", effectiveDateTime=today),
        "social": observation(ANN, "social", category="social-history", effectiveDateTime=today),
        "old": observation(ANN, "old", effectiveDateTime="2026-11-01"),
        "released": observation(ANN, "released", effectiveDateTime="2026-10-30", issued="2026-11-01T08:00:00Z"),
    }
    waiting = {
        "lab": observation(ANN, "lab", effectiveDateTime=today),
        "future": observation(ANN, "future", effectiveDateTime="2027-11-22T08:00:00Z"),
        "undated": {k: v for k, v in observation(ANN, "undated").items() if k != "effectiveDateTime"},
        "culture": observation(ANN, "culture", effectiveDateTime="2026-10-01", issued=today),
        "plain": {k: v for k, v in observation(ANN, "plain", effectiveDateTime=today).items() if k != "category"},
    }
    entries = [
        {"resource": body, "request": {"method": "PUT", "url": f"Observation/{name}"}}
        for name, body in {**at_once, **waiting}.items()
    ]
    world.server.post("", world.trust, {"resourceType": "Bundle", "type": "transaction", "entry": entries}, 200)
    names = (*at_once, *waiting)
    seen = {name for name in names if world.server.call("GET", f"Observation/{name}", world.ann).status_code == 200}
    assert seen == set(at_once)
    own = world.server.post("Observation", world.ann, observation(ANN, effectiveDateTime=today))
    assert world.server.call("GET", f"Observation/{own['id']}", world.ann).status_code == 200
    world.server.clock.advance(days=_EMBARGO_DAYS, seconds=1)
    late = world.server.token(ANN)
    assert all(world.server.call("GET", f"Observation/{name}", late).status_code == 200 for name in waiting)
