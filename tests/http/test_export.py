"""`$export`: the whole flow, what it holds, how it is asked for and how it is refused."""

from __future__ import annotations

import gzip
from base64 import b64decode
from datetime import timedelta
from urllib.parse import quote

import orjson

from fhir_server.operations import export_work
from fhir_server.store import export_pages, exports
from fhir_server.store.keys import reference_key
from tests.consent.world import ANN, BOB, GP, World, observation, ref
from tests.http.exporting import ASYNC, FILE, base, begin, exported, fetch, files_of, names_of, work
from tests.server import Server

_SHARED = {
    "Patient/ann", "RelatedPerson/carer", "Observation/a-1", "Observation/a-2", "Encounter/a-enc",
    "DocumentReference/a-doc", "Binary/a-bin", "Provenance/a-prov",
}  # fmt: skip
_DIRECTORY = {
    "Organization/trust", "Organization/practice", "Practitioner/gp", "Practitioner/consultant",
    "PractitionerRole/role-0", "PractitionerRole/role-1",
}  # fmt: skip


def test_an_export_is_begun_asked_for_fetched_and_deleted(world: World) -> None:
    server, token = world.server, world.practice
    url = begin(server, token, "$export?_outputFormat=ndjson")
    assert url.startswith("http://localhost/fhir/export/")
    running = server.call("GET", url, token)
    assert (running.status_code, running.data) == (202, b"")
    assert running.headers["X-Progress"] == "0 resources found, 0 of 145 types listed"
    assert running.headers["Retry-After"] == "1"
    hasty = server.call("GET", url, token)
    assert (hasty.status_code, hasty.headers["Retry-After"]) == (429, "30"), "asked again at once"
    fetch(server, token, f"{url}/1.ndjson", 404)
    work(server)
    answer = server.call("GET", url, token)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.headers["Expires"] == "Mon, 23 Nov 2026 09:00:02 GMT"
    manifest = orjson.loads(answer.data)
    assert manifest | {"output": None} == {
        "transactionTime": "2026-11-22T09:00:00.000Z",
        "request": "http://localhost/fhir/$export?_outputFormat=ndjson",
        "requiresAccessToken": True,
        "output": None,
        "deleted": [],
        "error": [],
    }
    files = {each["type"]: each["url"] for each in manifest["output"]}
    assert len(files) == len(manifest["output"])
    found = fetch(server, token, files["Observation"])
    assert found.content_type == "application/fhir+ndjson"
    lines = found.data.splitlines(keepends=True)
    assert sorted(lines) == [server.call("GET", f"Observation/a-{n}", token).data + b"\n" for n in (1, 2)]
    packed = server.call("GET", files["Observation"], token, headers=FILE | {"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == found.data
    assert server.call("GET", files["Observation"], token, headers={"Accept": "text/csv"}).status_code == 406
    assert server.call("GET", files["Observation"], headers=FILE).status_code == 401
    fetch(server, token, f"{url}/99.ndjson", 404)
    fetch(server, token, f"{url}/errors.ndjson", 404)
    assert server.call("DELETE", url, token).status_code == 202
    for gone in (url, files["Observation"]):
        fetch(server, token, gone, 404)
    assert server.call("DELETE", url, token).status_code == 404
    assert export_work.upkeep(base(server)) == 0


def test_what_is_exported_is_what_the_caller_could_search(world: World) -> None:
    server = world.server
    server.put({"resourceType": "Group", "id": "both", "type": "person", "actual": True,
                "member": [{"entity": ref(ANN)}, {"entity": ref(BOB), "inactive": True}]}, world.trust)  # fmt: skip
    carer = server.token("Practitioner/gp", "user/Observation.rs?category=vital-signs user/Patient.rs")
    rows: list[tuple[str, str, set[str]]] = [
        (world.practice, "$export", _SHARED | _DIRECTORY),
        (world.gp, "Patient/$export", _SHARED),
        (world.gp, "Patient/ann/$export", _SHARED),
        (world.gp, "Patient/$export?_type=Observation,Patient", {"Observation/a-1", "Observation/a-2", "Patient/ann"}),
        (carer, "$export", {"Observation/a-2", "Patient/ann"}),
        (world.trust, "Patient/$export?_type=Patient", {ANN, BOB}),
        (world.trust, "Group/both/$export?_type=Patient,Encounter", {ANN, "Encounter/a-enc", "Encounter/a-enc-mh"}),
        (world.trust, "Group/both/$export?_type=Observation",
         {"Observation/a-1", "Observation/a-2", "Observation/a-mh", "Observation/both"}),
        (world.bob, "Patient/ann/$export?_type=Encounter", set()),
    ]  # fmt: skip
    for token, path, wanted in rows:
        if wanted:
            assert names_of(exported(server, token, path)) == wanted, path
        else:
            assert server.call("GET", path, token, headers=ASYNC).status_code == 404, path
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueString": "Patient,Encounter"}, {"name": "patient", "valueReference": ref(BOB)},
    ]}  # fmt: skip
    answer = server.call("POST", "Patient/$export", world.trust, body, ASYNC)
    work(server)
    files = server.get(answer.headers["Content-Location"], world.trust)["output"]
    kinds = {each["type"]: fetch(server, world.trust, each["url"]).data.count(b"\n") for each in files}
    assert kinds == {"Patient": 1, "Encounter": 2}


def test_a_filter_of_a_type_is_the_search_of_it_and_several_are_any_of_them(world: World) -> None:
    server, token = world.server, world.trust
    rows = [
        ("Observation?code=718-7",),
        ("Observation?category=vital-signs", "Observation?code=44261-6"),
        ("Observation?patient.family=Ann&date=ge2026-03-03",),
        ("Observation?_has:Observation:has-member:code=44261-6",),
        ("Observation?encounter.class=IMP", "Observation?value-quantity=9", "Encounter?class=AMB"),
        ("Observation?code:missing=true",),
        ("Observation?",),
    ]
    for filters in rows:
        kinds = sorted({each.partition("?")[0] for each in filters})
        wanted = {name for each in filters for name in server.ids(f"{each}&_count=100", token)}
        for joined in (
            "&".join(f"_typeFilter={quote(each)}" for each in filters),
            f"_typeFilter={quote(','.join(filters))}",
        ):
            found = names_of(exported(server, token, f"$export?_type={','.join(kinds)}&{joined}"))
            assert found == wanted, (filters, joined)
    whole = names_of(exported(server, token, "$export?_typeFilter=Observation%3Fcode%3D44261-6"))
    assert {name for name in whole if name.startswith("Observation")} == {"Observation/a-mh", "Observation/b-mh"}
    assert "Encounter/a-enc" in whole, "a type without a filter comes whole"


def test_since_elements_and_deletions(world: World) -> None:
    server, token = world.server, world.trust
    since = server.clock().isoformat().replace("+00:00", "Z")
    assert exported(server, token, f"$export?_since={quote(since)}") == {}, "nothing is newer than the instant itself"
    server.put(observation(ANN, "a-1", value=6), token)
    server.put(observation(ANN, "new"), token)
    assert server.call("DELETE", "Encounter/b-enc-mh", token).status_code == 204
    server.clock.advance(seconds=1)
    path = f"Patient/$export?_since={quote(since)}&_elements=Observation.status,id"
    files = exported(server, token, path)
    assert names_of(files) == {"Observation/a-1", "Observation/new"}
    assert set(files) == {"output Observation 1.ndjson", "deleted Bundle 2.ndjson"}
    for line in files["output Observation 1.ndjson"].splitlines():
        assert set(orjson.loads(line)) == {"resourceType", "id", "meta", "status", "code"}
        assert "SUBSETTED" in line.decode()
    assert orjson.loads(files["deleted Bundle 2.ndjson"]) == {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": "Encounter/b-enc-mh"}}],
    }
    others = exported(server, world.practice, path)
    assert names_of(others) == {"Observation/a-1", "Observation/new"}
    assert not any(name.startswith("deleted") for name in others), "what was hidden is not told to be deleted"


def test_a_kick_off_that_is_not_understood_is_refused_by_name(world: World) -> None:
    server = world.server
    reads = server.token("Organization/practice", "system/Observation.r")
    one = server.token("Organization/practice", "system/Observation.rs")
    rows: list[tuple[str, str, int, str]] = [
        (world.practice, "$export?_outputFormat=text/csv", 400, "_outputFormat"),
        (world.practice, "$export?_since=2026", 400, "_since"),
        (world.practice, "$export?_since=2999-01-01T00:00:00Z", 400, "_since"),
        (world.practice, "$export?_since=2026-01-01T00:00:00Z&_since=2026-01-01T00:00:00Z", 400, "_since"),
        (world.practice, "$export?_since=2026-13-01T00:00:00Z", 400, "_since"),
        (world.practice, "$export?_type=Patiend", 400, "Patiend"),
        (world.practice, "$export?_type=AuditEvent", 400, "AuditEvent"),
        (world.practice, "Patient/$export?_type=Organization", 400, "Organization"),
        (world.practice, "$export?_typeFilter=Observation", 400, "_typeFilter"),
        (world.practice, "$export?_typeFilter=Observation%3Fnone%3D1", 400, "'none'"),
        (world.practice, "$export?_typeFilter=Observation%3F_include%3D*", 400, "_include"),
        (world.practice, "$export?_typeFilter=Observation%3F_count%3D1", 400, "_count"),
        (world.practice, "$export?_type=Patient&_typeFilter=Observation%3Fcode%3D1", 400, "_type"),
        (world.practice, "$export?_elements=a%20b", 400, "_elements"),
        (world.practice, "$export?includeAssociatedData=x", 400, "includeAssociatedData"),
        (world.practice, "$export?patient=Patient/ann", 400, "patient"),
        (world.practice, "Patient/$export?patient=Organization/trust", 400, "patient"),
        (one, "$export?_type=Patient", 403, "Patient"),
        (reads, "$export", 403, "scope"),
        (world.practice, "Group/none/$export", 404, "Group/none"),
        (world.practice, "Patient/bob/$export", 404, "Patient/bob"),
        (world.practice, "Group/$export", 404, "$export"),
        (world.practice, "Observation/$export", 404, "$export"),
        ("", "$export", 401, "token"),
    ]
    for token, path, status, said in rows:
        answer = server.call("GET", path, token, headers=ASYNC)
        assert (answer.status_code, "Content-Location" in answer.headers) == (status, False), path
        assert said in answer.get_json()["issue"][0]["diagnostics"], path
    for headers in ({}, {"Prefer": "return=minimal"}):
        answer = server.call("GET", "$export", world.practice, headers=headers)
        assert (answer.status_code, "respond-async" in answer.text) == (400, True)
    assert server.call("HEAD", "$export", world.practice, headers=ASYNC).status_code == 400
    entry = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "$export"}}]}
    bundle = server.call("POST", "", world.practice, entry, ASYNC).get_json()
    assert bundle["entry"][0]["response"]["status"].startswith("400")
    lenient = exported(server, one, "$export?includeAssociatedData=x", Prefer="respond-async, handling=lenient")
    assert set(lenient) == {"output Observation 1.ndjson", "error OperationOutcome errors.ndjson"}
    problem = orjson.loads(lenient["error OperationOutcome errors.ndjson"])
    assert "includeAssociatedData" in problem["issue"][0]["diagnostics"]


def test_a_client_has_a_few_exports_at_a_time_and_a_complete_one_for_a_day(world: World) -> None:
    server, token = world.server, world.practice
    urls = [begin(server, token, "$export?_type=Patient") for _ in range(3)]
    answer = server.call("GET", "$export", token, headers=ASYNC)
    assert (answer.status_code, "Retry-After" in answer.headers) == (429, True)
    begin(server, world.gp)
    assert server.call("DELETE", urls[0], token).status_code == 202
    begin(server, token)
    work(server)
    assert server.get(urls[1], token)["output"]
    server.clock.advance(hours=23, minutes=59)
    later = server.token("Organization/practice")
    assert server.get(urls[1], later)["output"], "another token of the same client, for the same subject"
    server.clock.advance(minutes=1)
    fetch(server, later, urls[1], 404)


def test_every_download_is_on_the_log_of_the_patients_in_it(world: World) -> None:
    server = world.server
    exported(server, world.gp, "Patient/$export")
    events = [
        entry["resource"] for entry in server.get(f"AuditEvent?patient={ANN}&agent={GP}&_count=100", world.ann)["entry"]
    ]
    told: dict[str, list[str]] = {}
    for event in events:
        query = next((each["query"] for each in event["entity"] if "query" in each), "")
        targets = [each["what"]["reference"] for each in event["entity"] if "reference" in each.get("what", {})]
        told.setdefault(b64decode(query).decode().partition("?")[0], []).extend(targets)
    assert {each.partition("/_history")[0] for each in told["$export-file"]} == _SHARED
    assert server.get(f"AuditEvent?patient={BOB}&agent={GP}", world.bob).get("entry", []) == []


def test_what_changes_while_it_is_listed_comes_once_and_as_it_is_when_fetched(server: Server) -> None:
    token, here = server.operator(), base(server)
    people = [{"resourceType": "Patient", "id": f"p-{n:04}"} for n in range(1_100)]
    entry = [{"resource": each, "request": {"method": "PUT", "url": f"Patient/{each['id']}"}} for each in people]
    server.post("", token, {"resourceType": "Bundle", "type": "transaction", "entry": entry}, 200)
    url = begin(server, token, "$export?_type=Patient")
    server.clock.advance(seconds=2)
    with server.store.write() as session:
        job = exports.lease(session, here.now(), until=here.now() + timedelta(minutes=2), name="first")
    assert job is not None
    halfway = export_work.carry_on(here, job)
    assert halfway is not None
    assert (halfway.resource_count, halfway.cursor != "") == (1_000, True)
    with server.store.read() as session:
        (page,) = export_pages.of_job(session, job.id)
    listed = {each["id"]: reference_key("Patient", each["id"]) in page.keys for each in people}
    early, late = (next(name for name, was in listed.items() if was is wanted) for wanted in (True, False))
    for name in (early, late, "new"):
        server.put({"resourceType": "Patient", "id": name, "gender": "other"}, token)
    gone = next(name for name, was in listed.items() if was and name != early)
    assert server.call("DELETE", f"Patient/{gone}", token).status_code == 204
    server.clock.advance(minutes=2)
    work(server)
    files = files_of(server, token, server.get(url, token))
    assert set(files) == {"output Patient 1.ndjson"}, "pages of one type share a file"
    assert names_of(files) == {f"Patient/{each['id']}" for each in people} - {f"Patient/{gone}"}
    changed = {
        line["id"] for line in map(orjson.loads, files["output Patient 1.ndjson"].splitlines()) if "gender" in line
    }
    assert changed == {early, late}
