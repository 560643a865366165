"""Headers, encodings and bodies: conditional reads, preferences, gzip both ways, charsets, text that is no text."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest

from tests.consent.world import World
from tests.server import Server

PATIENT = {"resourceType": "Patient", "active": True, "birthDate": "1980-01-02", "name": [{"family": "Rest"}]}
RAW = b'{"resourceType":"Patient","name":[{"family":"%s"}]}'
NOW = "Sun, 22 Nov 2026 09:00:00 GMT"
BEFORE = "Sun, 22 Nov 2026 08:59:59 GMT"
GZIP = {"Content-Encoding": "gzip"}


@pytest.fixture
def operator(server: Server) -> str:
    return server.operator()


CONDITIONAL_READS: list[tuple[dict[str, str], int]] = [
    ({"If-None-Match": 'W/"1"'}, 304),
    ({"If-None-Match": '"1"'}, 304),
    ({"If-None-Match": 'W/"7", W/"1"'}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": 'W/"7"'}, 200),
    ({"If-Modified-Since": NOW}, 304),
    ({"If-Modified-Since": BEFORE}, 200),
    ({"If-Modified-Since": "yesterday"}, 200),
    # Of both the tag counts (RFC 9110, 13.1.3).
    ({"If-None-Match": 'W/"7"', "If-Modified-Since": NOW}, 200),
    ({"If-None-Match": 'W/"1"', "If-Modified-Since": BEFORE}, 304),
]


def test_a_conditional_read_sends_what_has_changed(server: Server, operator: str) -> None:
    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    for headers, status in CONDITIONAL_READS:
        for url in (path, f"{path}/_history/1"):
            for method in ("GET", "HEAD"):
                answer = server.call(method, url, operator, headers=headers)
                assert answer.status_code == status, (method, url, headers)
                assert bool(answer.data) == (status == 200 and method == "GET"), (method, url, headers)
                assert answer.headers["ETag"] == 'W/"1"'
                assert answer.headers.get("Last-Modified", NOW) == NOW


def test_a_conditional_read_of_something_hidden_is_404(world: World) -> None:
    for headers in ({"If-None-Match": "*"}, {"If-Modified-Since": NOW}):
        assert world.server.call("GET", "Observation/a-mh", world.gp, headers=headers).status_code == 404


@pytest.mark.parametrize(
    "path, allowed",
    [
        ("", {"GET", "HEAD", "POST"}),
        ("metadata", {"GET", "HEAD"}),
        ("Patient", {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
        ("Patient/x", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("Patient/x/_history", {"GET", "HEAD"}),
        ("Patient/_search", {"POST"}),
        ("Nothing/x", set()),
    ],
)
def test_options_tells_the_methods_and_needs_no_token(server: Server, path: str, allowed: set[str]) -> None:
    asked = {"Origin": "https://app.test", "Access-Control-Request-Method": "PUT"}
    answer = server.call("OPTIONS", path, headers=asked)
    assert answer.status_code == 204
    assert set(answer.headers["Allow"].split(", ")) == allowed | {"OPTIONS"}
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert {"If-Match", "If-None-Exist", "Prefer"} <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_method_that_is_not_allowed_is_told_which_are(server: Server, operator: str) -> None:
    answer = server.call("POST", "Patient/x", operator, PATIENT)
    assert answer.status_code == 405
    assert "PUT" in answer.headers["Allow"]
    assert "POST" not in answer.headers["Allow"]


KINDS = [("representation", "Patient"), ("OperationOutcome", "OperationOutcome"), ("minimal", "")]


def test_a_preference_is_read_as_its_rfc_says(server: Server, operator: str) -> None:
    for wish, kind in (
        ('return="minimal"', ""),
        ("RETURN = minimal", ""),
        ("respond-async, return=minimal; handling=lenient", ""),
        ("return=minimal, return=representation", ""),
        ("return=all", "Patient"),
    ):
        made = server.call("POST", "Patient", operator, PATIENT, {"Prefer": wish})
        assert (orjson.loads(made.data)["resourceType"] if made.data else "") == kind, wish


@pytest.mark.parametrize("wish, kind", KINDS)
def test_every_write_honours_what_is_to_be_returned(server: Server, operator: str, wish: str, kind: str) -> None:
    prefer = {"Prefer": f"return={wish}"}
    sent = {**PATIENT, "identifier": [{"value": "one"}]}
    made = server.call("POST", "Patient", operator, sent, prefer | {"If-None-Exist": "identifier=one"})
    logical_id = made.headers["Location"].split("/")[-3]
    patch = orjson.dumps([{"op": "remove", "path": "/birthDate"}])
    answers = [
        made,
        server.call("POST", "Patient", operator, sent, prefer | {"If-None-Exist": "identifier=one"}),
        server.call("PUT", f"Patient/{logical_id}", operator, {**sent, "id": logical_id}, prefer),
        server.call("PUT", "Patient?identifier=one", operator, sent, prefer),
        server.call(
            "PATCH",
            f"Patient/{logical_id}",
            operator,
            patch,
            prefer | {"Content-Type": "application/json-patch+json"},
        ),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200]
    for answer in answers:
        assert (orjson.loads(answer.data)["resourceType"] if answer.data else "") == kind
        assert answer.headers["ETag"]
        assert "/_history/" in answer.headers["Location"]
    for path in (f"Patient/{logical_id}", "Patient/nowhere"):
        deleted = server.call("DELETE", path, operator, headers=prefer)
        told = wish == "OperationOutcome"
        assert (deleted.status_code, bool(deleted.data)) == ((200, True) if told else (204, False))


@pytest.mark.parametrize("bundle", ["batch", "transaction"])
@pytest.mark.parametrize("wish, kind", [*KINDS, ("", "")])
def test_a_bundle_honours_what_is_to_be_returned(
    server: Server, operator: str, bundle: str, wish: str, kind: str
) -> None:
    logical_id = server.post("Patient", operator, PATIENT)["id"]
    entries = [
        {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}},
        {"resource": {**PATIENT, "id": logical_id}, "request": {"method": "PUT", "url": f"Patient/{logical_id}"}},
    ]
    body = {"resourceType": "Bundle", "type": bundle, "entry": entries}
    answer = server.call("POST", "", operator, body, {"Prefer": f"return={wish}"} if wish else {})
    assert answer.json is not None
    for entry in answer.json["entry"]:
        assert entry.get("resource", {}).get("resourceType", "") == ("Patient" if kind == "Patient" else "")
        assert ("outcome" in entry["response"]) == (kind == "OperationOutcome")


def test_a_read_may_be_cut_down(server: Server, operator: str) -> None:
    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    for url in (path, f"{path}/_history/1"):
        some = server.get(f"{url}?_elements=name", operator)
        assert some.keys() == {"resourceType", "id", "meta", "name", "active"}
        assert some["meta"]["tag"][0]["code"] == "SUBSETTED"
        assert "birthDate" in server.get(f"{url}?_summary=true", operator)
        assert "birthDate" not in server.get(f"{url}?_summary=text", operator)
        assert server.get(f"{url}?_summary=false", operator) == server.get(url, operator)
        for wrong in ("_summary=count", "_summary=x", "_elements=a%20b"):
            server.get(f"{url}?{wrong}", operator, 400)


def test_answers_are_compressed_where_that_is_wanted_and_worth_it(server: Server, operator: str) -> None:
    large = {**PATIENT, "name": [{"family": "x" * 5_000}]}
    path = f"Patient/{server.post('Patient', operator, large)['id']}"
    plain, packed = server.call("GET", path, operator), server.call("GET", path, operator, headers=_taking("gzip, br"))
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data)
    assert "Content-Encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["Vary"]
    for wish in ("br", "identity", "gzip;q=0"):
        assert server.call("GET", path, operator, headers=_taking(wish)).data == plain.data
    small = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    assert "Content-Encoding" not in server.call("GET", small, operator, headers=_taking("gzip")).headers
    made = server.call("POST", "Binary", operator, b"\x89PNG" * 1_000, {"Content-Type": "image/png"})
    binary = {"Accept": "image/png", **_taking("gzip")}
    raw = server.call("GET", f"Binary/{made.headers['Location'].split('/')[-3]}", operator, headers=binary)
    assert raw.data == b"\x89PNG" * 1_000


def _taking(encodings: str) -> dict[str, str]:
    return {"Accept-Encoding": encodings}


def test_a_body_may_come_compressed(server: Server, operator: str) -> None:
    body = RAW % b"packed"
    for sent in (gzip.compress(body), gzip.compress(body[:9]) + gzip.compress(body[9:])):
        made = server.call("POST", "Patient", operator, sent, GZIP)
        assert made.status_code == 201, made.text
    form = {**GZIP, "Content-Type": "application/x-www-form-urlencoded"}
    found = server.call("POST", "Patient/_search", operator, gzip.compress(b"name=packed"), form)
    assert found.json is not None
    assert len(found.json["entry"]) == 2


def test_a_bomb_is_413_and_what_is_no_gzip_400(server: Server, operator: str) -> None:
    bomb = gzip.compress(b'{"resourceType":"Patient","id":"' + b"0" * 200_000_000, 9)
    assert len(bomb) < 1_000_000
    assert server.call("POST", "Patient", operator, bomb, GZIP).status_code == 413
    many = gzip.compress(b" " * 20_000_000, 9) * 10
    assert server.call("POST", "Patient", operator, many, GZIP).status_code == 413
    whole = gzip.compress(RAW % b"x")
    for sent in (b"{}", whole[:-9], whole + b"rest", b"\x1f\x8b"):
        assert server.call("POST", "Patient", operator, sent, GZIP).status_code == 400
    assert server.call("POST", "Patient", operator, whole, {"Content-Encoding": "deflate"}).status_code == 415


@pytest.mark.parametrize(
    "media, status",
    [
        ("application/fhir+json", 201),
        ("application/fhir+json; charset=utf-8", 201),
        ('application/json; charset="UTF-8"', 201),
        ("application/fhir+json; fhirVersion=4.0", 201),
        ("application/fhir+json; charset=iso-8859-1", 415),
        ("application/fhir+json; charset=utf-16", 415),
        ("text/plain; charset=utf-8", 415),
    ],
)
def test_the_charset_is_utf_8(server: Server, operator: str, media: str, status: int) -> None:
    assert server.call("POST", "Patient", operator, RAW % b"x", {"Content-Type": media}).status_code == status


@pytest.mark.parametrize(
    "body, status",
    [
        # A byte order mark is passed over: RFC 8259 lets parsers do so, and common editors write one.
        (b"\xef\xbb\xbf" + RAW % b"x", 201),
        (RAW % "ü𝄞".encode(), 201),
        (RAW % b"\\ud834\\udd1e", 201),
        (RAW % b"\\ud800", 400),
        (RAW % b"x\\udc00y", 400),
        (RAW % b"\xed\xa0\x80", 400),
        (RAW % b"\xc0\x80", 400),
        (RAW % b"a\x00b", 400),
        (RAW % b"a\\u0000b", 422),
        ((RAW % b"x").decode().encode("utf-16"), 400),
        (b'{"resourceType":"Patient","active":true,"active":true}', 400),
        (b'{"resourceType":"Patient","x":Infinity}', 400),
        (b'{"resourceType":"Patient","x":NaN}', 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", 400),
        (b"[" * 50_000, 400),
        (b"", 400),
        (b'{"resourceType":"Patient","id":"' + b"a" * 52_500_000 + b'"}', 413),
    ],
)
def test_text_is_taken_or_refused_as_a_whole(server: Server, operator: str, body: bytes, status: int) -> None:
    answer = server.call("POST", "Patient", operator, body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = orjson.loads(answer.data)
    assert found["resourceType"] == ("Patient" if status == 201 else "OperationOutcome")
