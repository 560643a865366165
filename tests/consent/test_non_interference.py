"""Non-interference (access.md §1): a caller gets, to the byte, the answer there would be without hidden rows.

Each example draws a record with consents, a caller and a series of requests, sends them, takes every row away that the
caller may not see, and sends them again. A write is taken back at once, so that requests do not depend on each other.
Left out, and why: ids and page cursors are random (ids are made one, cursors followed); the request id and date; a
patient's own AuditEvents, to which the requests themselves add; a feed's PUT to a taken id and its match of people by
NHS number, which are the two stated exceptions (threat model). Rows that say who a caller is (roles, organisations)
stay, as grants do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.consent.removal import put_back, remove_hidden, restored, saved
from tests.consent.world import ANN, BOB, CARER, CONSULTANT, GP, LABEL, PRACTICE, World, consent, observation, ref

_EXAMPLES = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 7
_REQUESTS = 45
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CURSOR = re.compile(rb"_cursor=[A-Za-z0-9_%-]+")
_HEADERS = ("ETag", "Last-Modified", "Location", "Content-Type", "Cache-Control", "WWW-Authenticate")
_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_LABELS = ("general", "mental-health", "sexual-health", "social-care")
_PATIENTS = (ANN, BOB)
_PAGES = 20


class Request(NamedTuple):
    """One request, as a test client sends it."""

    method: str
    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


# ---------------------------------------------------------------- what is drawn

_IDS = ("a-1", "a-2", "a-mh", "b-1", "b-2", "b-mh", "both", "drawn-0", "drawn-1", "drawn-2", "drawn-3", "nowhere")
_REFERENCES = (
    *(f"Observation/{name}" for name in _IDS),
    *(f"{kind}/{prefix}-{stem}{end}" for kind, stem in (
        ("DocumentReference", "doc"), ("Binary", "bin"), ("Provenance", "prov"), ("Encounter", "enc")
    ) for prefix in "ab" for end in ("", "-mh")),
    ANN, BOB, CARER, GP, PRACTICE, "Patient/nowhere", "Observation/gone", "Consent/first",
)  # fmt: skip
_SEARCHES = (
    "Observation?code=718-7", "Observation?code:not=718-7", "Observation?code:missing=false", "Observation?subject={p}",
    "Observation?patient={p}&category=vital-signs", "Observation?date=ge2026-03-02", "Observation?value-quantity=gt5",
    "Observation?subject.name=ann", "Observation?subject:Patient.birthdate=lt1982",
    "Observation?has-member:missing=false",
    "Observation?encounter:Encounter.class=IMP", "Observation?has-member:Observation.value-quantity=9",
    "Observation?_id={o},a-1,b-1", "Observation?_security=" + LABEL + "|mental-health", "Observation?performer={p}",
    "Observation?_lastUpdated=ge2020", "Observation?encounter.subject:Patient.name=bob", "Observation?code:text=haemo",
    "Observation?code-value-quantity=718-7$5", "Observation?_has:Observation:has-member:code=44261-6",
    "Patient?_has:Observation:subject:code=44261-6", "Patient?_has:Consent:patient:status=active", "Patient?name=a,b",
    "Patient?_has:Observation:subject:has-member:Observation.code=44261-6", "Patient?birthdate=lt1985",
    "Patient?gender:missing=true",
    "Encounter?class=IMP", "Encounter?_has:Observation:encounter:value-quantity=7", "DocumentReference?subject={p}",
    "Provenance?target={r}", "Provenance?recorded=ge2026", "Binary?_id=a-bin,a-bin-mh", "Consent?patient={p}",
    "RelatedPerson?patient={p}",
    "Practitioner?name=practitioner", "PractitionerRole?organization=" + PRACTICE, "Organization?name=org",
    "Task?status=requested",
)  # fmt: skip
_SHAPES = (
    "", "", "_total=accurate", "_summary=count", "_count=1", "_count=2&_total=accurate", "_sort=-_lastUpdated",
    "_include=*", "_include=*&_include:iterate=*", "_elements=id", "_count=3&_sort=_id",
)  # fmt: skip
_OBSERVATION_SHAPES = (
    *_SHAPES, "_sort=date", "_sort=-date,code", "_sort=value-quantity&_count=1", "_sort=has-member",
    "_include=Observation:encounter", "_include=Observation:has-member&_include:iterate=Observation:has-member",
    "_revinclude=Observation:has-member", "_include=Observation:subject&_revinclude:iterate=DocumentReference:subject",
)  # fmt: skip


@st.composite
def _read(draw: st.DrawFn) -> Request:
    suffix = draw(st.sampled_from(("", "", "", "/_history", "/_history/1", "/_history/2", "/_history?_count=1")))
    headers = draw(st.sampled_from(((), (), (("If-None-Match", 'W/"1"'),), (("Accept", "text/plain"),))))
    return Request("GET", draw(st.sampled_from(_REFERENCES)) + suffix, None, headers)


@st.composite
def _search(draw: st.DrawFn) -> Request:
    query = draw(st.sampled_from(_SEARCHES)).format(
        p=draw(st.sampled_from(_PATIENTS)), o=draw(st.sampled_from(_IDS)), r=draw(st.sampled_from(_REFERENCES))
    )
    shape = draw(st.sampled_from(_OBSERVATION_SHAPES if query.startswith("Observation") else _SHAPES))
    if draw(st.integers(0, 5)):
        return Request("GET", f"{query}&{shape}".rstrip("&"))
    kind, _, rest = f"{query}&{shape}".rstrip("&").partition("?")
    pairs = [pair.partition("=")[::2] for pair in rest.split("&")]
    form = urlencode(pairs).encode()
    return Request("POST", f"{kind}/_search", form, (("Content-Type", "application/x-www-form-urlencoded"),))


@st.composite
def _write(draw: st.DrawFn) -> Request:
    patient, logical_id = draw(st.sampled_from(_PATIENTS)), draw(st.sampled_from(_IDS))
    label = draw(st.sampled_from((*_LABELS, "")))
    match draw(st.integers(0, 8)):
        case 0:
            criteria = draw(st.sampled_from((f"_id={logical_id}", "code=718-7", f"subject={patient}&value-quantity=9")))
            found = Request("POST", "Observation", observation(patient, label=label), (("If-None-Exist", criteria),))
        case 1:
            criteria = draw(st.sampled_from((f"_id={logical_id}", "code=44261-6", "encounter=Encounter/a-enc-mh")))
            found = Request("PUT", f"Observation?{criteria}", observation(patient, label=label))
        case 2:
            criteria = draw(st.sampled_from((f"_id={logical_id}", "code=44261-6", f"subject={patient}")))
            found = Request("DELETE", f"Observation?{criteria}")
        case 3:
            found = Request("DELETE", draw(st.sampled_from(_REFERENCES)))
        case 4:
            version = draw(st.sampled_from(("", "1", "2")))
            headers = (("If-Match", f'W/"{version}"'),) if version else ()
            found = Request("PUT", f"Observation/{logical_id}", observation(patient, logical_id, label), headers)
        case 5:
            patch = orjson.dumps([{"op": "replace", "path": "/status", "value": "amended"}])
            found = Request(
                "PATCH", f"Observation/{logical_id}", patch, (("Content-Type", "application/json-patch+json"),)
            )
        case 6:
            made = observation(
                patient,
                label=label,
                encounter=ref(f"Encounter?_id={draw(st.sampled_from(('a-enc', 'a-enc-mh', 'b-enc')))}"),
            )
            entries = [{"resource": made, "request": {"method": "POST", "url": "Observation"}},
                       {"request": {"method": "GET", "url": draw(st.sampled_from(_REFERENCES))}}]  # fmt: skip
            found = Request("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        case 7:
            target = draw(st.sampled_from(_REFERENCES))
            binary = {
                "resourceType": "Binary",
                "contentType": "text/plain",
                "securityContext": ref(target),
                "data": "aGk=",
            }
            found = Request("POST", "Binary", binary)
        case _:
            found = Request("POST", "Consent", consent(patient, draw(st.sampled_from((GP, CARER, CONSULTANT)))))
    return found


@st.composite
def _batch(draw: st.DrawFn) -> Request:
    urls = [
        request.path
        for request in draw(st.lists(st.one_of(_read(), _search()), min_size=1, max_size=4))
        if request.method == "GET"
    ]
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    return Request("POST", "", {"resourceType": "Bundle", "type": "batch", "entry": entries})


_REQUEST = st.one_of(_read(), _search(), _search(), _search(), _write(), _batch())


@st.composite
def _extra(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for number in range(draw(st.integers(0, 4))):
        more: dict[str, Any] = {"hasMember": [ref(f"Observation/{draw(st.sampled_from(_IDS))}")]}
        if draw(st.booleans()):
            more["performer"] = [ref(draw(st.sampled_from((ANN, BOB, GP, PRACTICE))))]
        patient, label = draw(st.sampled_from(_PATIENTS)), draw(st.sampled_from((*_LABELS, "")))
        made.append(observation(patient, f"drawn-{number}", label, day=draw(st.integers(1, 9)), **more))
    return made


@st.composite
def _shared(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    grantees = draw(
        st.lists(st.sampled_from((GP, CONSULTANT, CARER, "PractitionerRole/role-0")), max_size=3, unique=True)
    )
    for grantee in grantees:
        listed = tuple(draw(st.lists(st.sampled_from(_LABELS), max_size=4, unique=True)))
        kind = draw(st.sampled_from(("permit", "permit", "deny")))
        made.append(consent(draw(st.sampled_from(_PATIENTS)), grantee, labels=listed, type=kind))
    return made


def _broken(world: World) -> str:
    token = world.server.token(GP)
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "reasonCode", "valueCoding": {"system": _ACT_REASON, "code": "ETREAT"}},
        {"name": "reason", "valueString": "Unconscious in the emergency department"},
        {"name": "declaration", "valueBoolean": True},
    ]}  # fmt: skip
    world.server.post("Patient/bob/$break-glass", token, body, 200)
    return token


_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_CALLERS: dict[str, Callable[[World], str]] = {
    "practice": lambda world: world.practice,
    "gp": lambda world: world.gp,
    "consultant": lambda world: world.consultant,
    "ann": lambda world: world.ann,
    "bob": lambda world: world.bob,
    "carer": lambda world: world.carer,
    "app": lambda world: world.server.token(ANN, "patient/Observation.rs patient/Patient.rs", client_id="app"),
    "vitals": lambda world: world.server.token(
        GP, f"user/Observation.cruds?category={_CATEGORY}|vital-signs user/Patient.rs user/Encounter.rs"
    ),
    "launched": lambda world: world.server.token(GP, "patient/*.cruds", patient=ANN),
    "emergency": _broken,
}


# ---------------------------------------------------------------- the property


@settings(
    max_examples=_EXAMPLES,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example takes a second: shrinking one takes many minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_hidden_rows_change_no_byte_of_any_answer(world: World, data: st.DataObject) -> None:
    extra, shared = data.draw(_extra(), "records"), data.draw(_shared(), "consents")
    caller = data.draw(st.sampled_from(sorted(_CALLERS)), "caller")
    with restored(world.server):
        _fill(world, extra, shared)
        token = _CALLERS[caller](world)
        requests = data.draw(st.lists(_REQUEST, min_size=_REQUESTS, max_size=_REQUESTS), "requests")
        whole = [_answer(world, token, request) for request in requests]
        removed = remove_hidden(world.server, token)
        assert removed or caller == "operator"
        for request, expected in zip(requests, whole, strict=True):
            assert _answer(world, token, request) == expected, (caller, request)


def _fill(world: World, extra: Sequence[dict[str, Any]], shared: Sequence[dict[str, Any]]) -> None:
    for body in extra:
        world.server.put(body, world.trust)
    for body in shared:
        world.share(body)
    world.server.put(observation(ANN, "a-2", "mental-health", value=8), world.trust)
    world.server.put(observation(ANN, "a-2", "general", value=7), world.trust)
    world.server.put(observation(ANN, "gone"), world.trust)
    world.server.call("DELETE", "Observation/gone", world.trust)


def _answer(world: World, token: str, request: Request) -> list[tuple[int, bytes, tuple[str | None, ...]]]:
    """Return status, body and headers of the answer, and of each page that follows."""
    if request.method == "GET" or request.path.endswith("_search"):
        return _pages(world, token, request)
    with world.server.store.read() as session:
        before = saved(session)
    try:
        return [_plain(_send(world, token, request))]
    finally:
        with world.server.store.write() as session:
            put_back(session, before)


def _pages(world: World, token: str, request: Request) -> list[tuple[int, bytes, tuple[str | None, ...]]]:
    answers = []
    for _ in range(_PAGES):
        answer = _send(world, token, request)
        answers.append(_plain(answer))
        link = re.search(rb'"relation":"next","url":"([^"]+)"', answer.data)
        if link is None:
            break
        request = Request("GET", link.group(1).decode())
    return answers


def _send(world: World, token: str, request: Request) -> TestResponse:
    path = request.path.replace("Consent/first", f"Consent/{world.consents[0]}")
    return world.server.call(request.method, path, token, request.body, dict(request.headers))


def _plain(answer: TestResponse) -> tuple[int, bytes, tuple[str | None, ...]]:
    body = _CURSOR.sub(b"_cursor=X", _UUID.sub(b"ID", answer.data))
    headers = tuple(
        _UUID.sub(b"ID", value.encode()).decode() if value else None
        for value in (answer.headers.get(name) for name in _HEADERS)
    )
    return answer.status_code, body, headers
