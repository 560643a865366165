"""Raw bytes of a Binary: whole, in ranges, never sniffed or run, and kept as they came."""

import base64
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
