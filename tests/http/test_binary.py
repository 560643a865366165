"""Raw bytes of a Binary: whole, in ranges, never sniffed or run, and kept as they came."""

import base64
import gzip
import tracemalloc
from tempfile import TemporaryFile
from typing import Any

import orjson

from tests.server import Server

_BYTES = bytes(range(256)) * 8_193
"""More than two of the pieces that an answer goes out in, and no multiple of three."""


def _post(server: Server, token: str, content: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    sent = {"Content-Type": "image/png", **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = server.call("POST", "Binary", token, content, sent)
    return answer.status_code, orjson.loads(answer.data)


def test_bytes_come_back_whole_and_in_ranges(server: Server) -> None:
    token = server.operator()
    for content in (_BYTES, _BYTES[:-1], _BYTES[:-2], b"x"):
        status, stored = _post(server, token, content)
        assert status == 201
        path, end = f"Binary/{stored['id']}", len(content)

        def get(method: str = "GET", path: str = path, **headers: str) -> tuple[int, bytes, str | None, str | None]:
            answer = server.call(method, path, token, headers={"Accept": "image/png", **headers})
            told = answer.headers
            return answer.status_code, answer.data, told["Content-Length"], told.get("Content-Range")

        assert get() == (200, content, str(end), None)
        assert get("HEAD") == (200, b"", str(end), None)
        assert get(Range="bytes=0-0") == (206, content[:1], "1", f"bytes 0-0/{end}")
        assert get(Range="bytes=-1") == (206, content[-1:], "1", f"bytes {end - 1}-{end - 1}/{end}")
        assert get(Range=f"bytes={end}-")[0] == 416
        for whole in ("bytes=0-0,2-3", "pages=1-2", "bytes=x"):
            assert get(Range=whole)[:2] == (200, content), whole
        assert get(Range="bytes=0-0", **{"If-Range": 'W/"1"'})[:2] == (200, content)
        if end > 1:
            for first, last in ((1, 1), (2, 7), (1_048_575, 1_048_580), (5, end - 2), (end - 4, end - 1)):
                part = content[first : last + 1]
                told = (206, part, str(len(part)), f"bytes {first}-{last}/{end}")
                assert get(Range=f"bytes={first}-{last}") == told, (first, last)


def test_what_others_stored_is_not_run_and_keeps_its_type(server: Server) -> None:
    token = server.operator()
    # (as stored, as sent out): what is no media type would end the answer, or be guessed at.
    for kind, sent in (
        ("text/html; charset=utf-16", "text/html; charset=utf-16"),
        ("text/plain;charset=utf-8", "text/plain;charset=utf-8"),
        ('multipart/x; boundary="a b"', 'multipart/x; boundary="a b"'),
        ("тест", "application/octet-stream"),
        ("text", "application/octet-stream"),
        (f"x/{'y' * 500}", "application/octet-stream"),
    ):
        spaced = base64.b64encode(b"<script>").decode()[:4] + "\n " + base64.b64encode(b"<script>").decode()[4:]
        body = {"resourceType": "Binary", "contentType": kind, "data": spaced}
        stored = server.post("Binary", token, body)
        answer = server.call("GET", f"Binary/{stored['id']}", token, headers={"Accept": "image/png"})
        assert (answer.data, answer.headers["Content-Type"]) == (b"<script>", sent), kind
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["ETag"] == 'W/"1"'
    status, stored = _post(server, token, b"x", Content_Type="text/plain; charset=iso-8859-1")
    assert (status, stored["contentType"]) == (201, "text/plain; charset=iso-8859-1")


def test_a_security_context_is_a_reference_or_the_content_is_refused(server: Server) -> None:
    token = server.operator()
    patient = server.post("Patient", token, {"resourceType": "Patient"})
    for named in (f"Patient/{patient['id']}", f"http://localhost/fhir/Patient/{patient['id']}"):
        status, stored = _post(server, token, b"x", X_Security_Context=named)
        assert (status, stored["securityContext"]) == (201, {"reference": named})
    for named in ("nobody", "Patient", "http://elsewhere.test/fhir/Patient/1", "urn:uuid:1"):
        status, refused = _post(server, token, b"x", X_Security_Context=named)
        assert (status, refused["resourceType"]) == (400, "OperationOutcome"), named


def test_a_long_body_is_any_write_of_a_binary(server: Server) -> None:
    """It is kept in a file on its way: every version, form and refusal is as if it had been held."""
    token = server.operator()
    kept, encoded = _BYTES[::-1], base64.b64encode(_BYTES[::-1]).decode()
    status, stored = _post(server, token, _BYTES)
    path = f"Binary/{stored['id']}"
    assert (status, base64.b64decode(stored["data"]) == _BYTES) == (201, True)
    sent = {"Content-Type": "image/png", "If-Match": 'W/"1"', "Content-Encoding": "gzip"}
    changed = server.call("PUT", path, token, gzip.compress(kept, 1), sent)
    assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
    assert int(changed.headers["Content-Length"]) == len(changed.data)
    assert orjson.loads(changed.data)["data"] == encoded
    assert orjson.loads(changed.data) == server.get(path, token)
    before = server.call("GET", f"{path}/_history/1", token, headers={"Accept": "image/png"})
    assert before.data == _BYTES
    # What is refused changes nothing, and what is there already is not written again.
    for method, where, headers, expected in (
        ("PUT", path, sent, 412),
        ("PUT", f"{path}x?y=1", {"Content-Type": "image/png"}, 400),
        ("POST", "Binary", {"Content-Type": "image/png", "X-Security-Context": "nobody"}, 400),
        ("POST", "Binary", {"Content-Type": "image/png", "Content-Encoding": "gzip"}, 400),
    ):
        content = gzip.compress(kept, 1)[:-1] if expected == 400 and "Content-Encoding" in headers else kept
        content = gzip.compress(kept, 1) if expected == 412 else content
        assert server.call(method, where, token, content, headers).status_code == expected, (method, where, headers)
    found = server.call(
        "POST", "Binary", token, _BYTES, {"Content-Type": "a/b", "If-None-Exist": f"_id={stored['id']}"}
    )
    assert (found.status_code, orjson.loads(found.data)["data"]) == (200, encoded)
    assert server.get("Binary?_summary=count", token)["total"] == 1
    as_xml = server.call("POST", "Binary", token, _BYTES, {"Content-Type": "a/b", "Accept": "application/fhir+xml"})
    assert base64.b64encode(_BYTES) in as_xml.data
    brief = server.call("POST", "Binary", token, _BYTES, {"Content-Type": "a/b", "Prefer": "return=minimal"})
    assert (brief.status_code, brief.data) == (201, b"")


def test_a_long_body_is_not_held_in_memory(server: Server) -> None:
    token, length = server.operator(), 24_000_000
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "image/png", "Prefer": "return=minimal"}
    client = server.app.test_client()
    with TemporaryFile() as zeros:
        zeros.truncate(length)
        tracemalloc.start()
        answer = client.post("/fhir/Binary", headers=headers, input_stream=zeros)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert answer.status_code == 201
    assert peak < length // 2
    path = answer.headers["Location"].partition("/_history")[0]
    raw = server.call("GET", path, token, headers={"Accept": "image/png", "Range": "bytes=-5"})
    assert raw.headers["Content-Range"] == f"bytes {length - 5}-{length - 1}/{length}"
