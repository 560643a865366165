"""The permission matrix: (interaction, type) by (caller, state of the consent); `permissions.txt`, asked over HTTP.

Each state has a patient of its own, each caller a resource of its own to read, change and delete. A cell is the status
of the answer; of a search, a count and `$everything`, how many there are (`n1`). Let in are the practice (thus its GP)
and the carer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from tests.consent.callers import in_emergency
from tests.consent.world import (
    CARER,
    GP,
    PRACTICE,
    TRUST,
    Json,
    World,
    consent,
    document,
    labelled,
    observation,
    ref,
    staff_token,
)
from tests.server import Server

_STATES: dict[str, Json] = {
    "none": {"status": "inactive"},
    "permit": {},
    "read": {"action": [{"coding": [{"code": "access"}]}]},
    "expired": {"period": {"end": "2026-11-21"}},
    "deny": {"type": "deny"},
    "disabled": {"type": "deny", "policy": "https://profiles.ihe.net/ITI/PCF/Policy-deny"},
    "emergency": {"status": "inactive"},
    "purpose": {"purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}]},
}
"""What the Consent of each patient says; under `emergency` there is none, and the GP has broken the glass."""
_ALL = tuple(_STATES)
_PATCH = {"Content-Type": "application/json-patch+json"}

_TABLE = Path(__file__).with_name("permissions.txt")


class Cell(NamedTuple):
    """One request of the matrix."""

    caller: str
    interaction: str
    type: str
    state: str


def _cells() -> dict[Cell, str]:
    """Return the table: a line with a caller begins its rows, in the columns of that line."""
    found: dict[Cell, str] = {}
    caller, columns = "", ()  # type: tuple[str, tuple[str, ...]]
    for line in filter(None, _TABLE.read_text().splitlines()):
        first, *rest = line.split()
        if first.endswith(":"):
            caller, columns = first[:-1], tuple(rest)
            continue
        kind, *expected = rest
        found |= {Cell(caller, first, kind, state): outcome for state, outcome in zip(columns, expected, strict=True)}
    return found


@dataclass
class Matrix:
    """The record that the matrix is asked of."""

    world: World
    consents: dict[str, str] = field(default_factory=dict)
    own: dict[tuple[str, str], str] = field(default_factory=dict)
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)

    def build(self) -> Matrix:
        """Fill the record: each state's patient, what the trust and the callers wrote about them, then the states."""
        server = self.world.server
        for state in _ALL:
            patient = f"Patient/{state}"
            server.put({"resourceType": "Patient", "id": state, "name": [{"family": state}]}, self.world.trust)
            self._callers(state)
            body = consent(patient, PRACTICE, CARER, labels=())
            self.consents[state] = server.post("Consent", self.tokens["patient", state], body)["id"]
        for state in _ALL:
            self._resources(state)
        for state, said in _STATES.items():
            body = consent(f"Patient/{state}", PRACTICE, CARER, **{"labels": (), **said})
            server.put(body | {"id": self.consents[state]}, self.tokens["patient", state], 200)
        self.tokens["gp", "emergency"] = in_emergency(self.world, "Patient/emergency")
        return self

    def _callers(self, state: str) -> None:
        world, patient = self.world, f"Patient/{state}"
        token = world.server.token
        known = {
            "gp": world.gp, "practice": world.practice, "carer": world.carer, "trust": world.trust,
            "operator": world.operator, "other": world.bob, "patient": token(patient),
            "research": self.tokens.get(("research", "none")) or token(GP, purpose="HRESCH"),
            "app": token(patient, "patient/Observation.rs", client_id="app"),
            "coordinator": self.tokens.get(("coordinator", "none")) or staff_token(world, "coordinator"),
            "officer": self.tokens.get(("officer", "none")) or staff_token(world, "privacy-officer"),
        }  # fmt: skip
        self.tokens |= {(caller, state): found for caller, found in known.items()}

    def _resources(self, state: str) -> None:
        server, patient = self.world.server, f"Patient/{state}"
        callers = sorted({caller for caller, of_state in self.tokens if of_state == state})
        bodies: list[Json] = [observation(patient, f"{state}-{caller}") for caller in callers]
        bodies += [
            document(patient, state, "general", f"Binary/{state}"),
            {"resourceType": "Binary", "id": state, "contentType": "text/plain", "data": "aGVsbG8=",
             "securityContext": ref(f"DocumentReference/{state}")},
            {"resourceType": "Provenance", "id": state, "recorded": "2026-03-01T09:00:00Z",
             "target": [ref(f"DocumentReference/{state}")], "agent": [{"who": ref(TRUST)}]},
        ]  # fmt: skip
        entries = [
            {"resource": body, "request": {"method": "PUT", "url": f"{body['resourceType']}/{body['id']}"}}
            for body in bodies
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        server.post("", self.world.trust, bundle, 200)
        for caller in callers:
            made = server.call("POST", "Observation", self.tokens[caller, state], observation(patient))
            # Whoever writes nothing has nothing of their own: then it is the trust's once more.
            own = orjson.loads(made.data)["id"] if made.status_code == 201 else f"{state}-{caller}"
            self.own[caller, state] = own

    def ask(self, cell: Cell) -> str:
        """Return the outcome of one cell."""
        method, path, body = self._request(cell)
        headers = _PATCH if method == "PATCH" else {}
        sent = orjson.dumps(body) if isinstance(body, list) else body
        answer = self.world.server.call(method, path, self.tokens[cell.caller, cell.state], sent, headers)
        if answer.status_code != 200 or cell.interaction not in {"search", "count", "everything"}:
            return str(answer.status_code)
        found = orjson.loads(answer.data)
        return f"n{len(found.get('entry', ())) if cell.interaction != 'count' else found['total']}"

    def _request(self, cell: Cell) -> tuple[str, str, Json | list[Json] | None]:
        caller, interaction, kind, state = cell
        ids = {"Observation": f"{state}-{caller}", "Consent": self.consents[state], "Practitioner": "gp"}
        found = _reading(interaction, kind, ids.get(kind, state), state)
        return ("GET", found, None) if found else self._writing(cell, f"{kind}/{ids.get(kind, state)}")

    def _writing(self, cell: Cell, path: str) -> tuple[str, str, Json | list[Json] | None]:
        caller, interaction, kind, state = cell
        patient = f"Patient/{state}"
        body: Json = {"resourceType": kind, **_content(kind, patient, caller), "id": path.partition("/")[2]}
        operation: Json = {"op": "add", "path": "/language", "value": "en"}
        match interaction:
            case "create":
                return "POST", kind, body
            case "update":
                return "PUT", path, body | {"language": "en"}
            case "update-own":
                own = self.own[caller, state]
                return "PUT", f"Observation/{own}", body | {"id": own, "language": "en"}
            case "relabel":
                operation = {"op": "add", "path": "/meta", "value": labelled("general")}
                return "PATCH", path, [operation]
            case "patch":
                return "PATCH", path, [operation]
            case "delete":
                return "DELETE", path, None
        raise AssertionError(interaction)


def _reading(interaction: str, kind: str, logical_id: str, patient: str) -> str:
    """Return the URL to read, "" for an interaction that writes."""
    which = f"patient={patient}&_count=1" if kind in {"AuditEvent", "Consent"} else f"_id={logical_id}"
    return {
        "read": f"{kind}/{logical_id}",
        "vread": f"{kind}/{logical_id}/_history/1",
        "history": f"{kind}/{logical_id}/_history",
        "search": f"{kind}?{which}",
        "count": f"{kind}?{which}&_summary=count",
        "everything": f"Patient/{patient}/$everything?_type=Patient",
    }.get(interaction, "")


def _content(kind: str, patient: str, caller: str = "") -> Json:
    about: Json = {"subject": ref(patient), "meta": labelled("general")}
    code = {"text": "something"}
    found: Mapping[str, Json] = {
        "Observation": observation(patient),
        "Condition": about,
        "DocumentReference": {**about, "status": "current", "content": [{"attachment": {"title": "Letter"}}]},
        "DiagnosticReport": {**about, "status": "final", "code": code},
        "Consent": consent(patient, f"Practitioner/for-{caller}"),
        "CareTeam": {**about, "status": "active"},
        "Task": {"status": "requested", "intent": "order", "for": ref(patient)},
        "AuditEvent": {"type": {"code": "rest"}, "recorded": "2026-11-22T09:00:00Z", "agent": [{"requestor": True}],
                       "source": {"observer": ref(TRUST)}},
        "Patient": {"name": [{"family": "New"}]},
        "Practitioner": {"name": [{"family": "New"}]},
        "Organization": {"name": "New"},
    }  # fmt: skip
    return found[kind]


@pytest.fixture
def matrix(server: Server) -> Matrix:
    return Matrix(World(server).build()).build()


def test_each_cell_of_the_permission_matrix(matrix: Matrix) -> None:
    cells = _cells()
    wrong = {cell: found for cell, expected in cells.items() if (found := matrix.ask(cell)) != expected}
    assert not wrong


def test_every_caller_is_asked_everything() -> None:
    rows = {caller: [] for caller, *_ in _cells()}  # type: dict[str, list[tuple[str, str]]]
    for caller, interaction, kind, _ in _cells():
        if (interaction, kind) not in rows[caller]:
            rows[caller].append((interaction, kind))
    assert len(set(map(tuple, rows.values()))) == 1
    assert len(rows) == 11
