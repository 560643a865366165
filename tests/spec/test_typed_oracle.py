"""Every resource that the server makes itself, checked by typed models that others keep (docs/adr/0009).

The models are R4B's; for these types R4B has what R4 has. A Bundle's entries are checked with it.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_server.portal.models import sharing
from fhir_server.portal.models.measurement import KINDS, observation
from fhir_server.portal.models.sharing import Grantee
from tests.databases import SqliteDatabases
from tests.server import Server, build, create_schema

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
ANN = {"reference": "Patient/ann", "display": "Ann"}
EMERGENCY = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "reasonCode",
            "valueCoding": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "ETREAT"},
        },
        {"name": "reason", "valueString": "Found unconscious, brought in by ambulance"},
        {"name": "declaration", "valueBoolean": True},
    ],
}


@pytest.fixture
def own(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that knows Ann and a consultant."""
    templates = tmp_path_factory.getbasetemp() / "sqlite-templates"
    templates.mkdir(exist_ok=True)
    made = build(SqliteDatabases(tmp_path, templates).prepared("schema", create_schema), tmp_path)
    operator = made.operator()
    made.put({"resourceType": "Patient", "id": "ann", "birthDate": "1980-01-02"}, operator)
    made.put({"resourceType": "Practitioner", "id": "consultant"}, operator)
    yield made
    made.close()


def _check(resource: dict[str, Any]) -> None:
    """Raise pydantic's ValidationError, which names the element, where the model does not hold."""
    get_fhir_model_class(resource["resourceType"]).model_validate_json(orjson.dumps(resource, default=str))


def test_the_oracle_tells_wrong_from_right() -> None:
    with pytest.raises(ValueError, match="status"):
        _check({"resourceType": "Task", "intent": "order"})


def test_capability_statement(own: Server) -> None:
    _check(own.get("metadata", ""))


def test_refusals(own: Server) -> None:
    token = own.operator()
    for path, status in (("Patient/unknown", 404), ("Patient?nothing=1", 400), ("Nothing", 404)):
        _check(own.get(path, token, status))
    _check(own.post("Patient", token, {"resourceType": "Patient", "gender": 1}, 400))
    _check(own.get("Patient", "made-up", 401))


def test_bundles(own: Server) -> None:
    token = own.operator()
    for path in ("Patient", "Patient?_summary=count", "Patient/ann/_history", "AuditEvent?_count=2"):
        _check(own.get(path, token))
    entry = {
        "resource": {"resourceType": "Basic", "code": {"text": "x"}},
        "request": {"method": "POST", "url": "Basic"},
    }
    for kind in ("transaction", "batch"):
        _check(own.post("", token, {"resourceType": "Bundle", "type": kind, "entry": [entry]}, 200))


def test_emergency_access_and_every_kind_of_audit_event(own: Server) -> None:
    consultant, operator = own.token("Practitioner/consultant"), own.operator()
    _check(own.post("Patient/ann/$break-glass", consultant, EMERGENCY, 200))
    own.get("Patient/ann", consultant)
    own.post("Patient/ann/$end-break-glass", consultant, {"resourceType": "Parameters"}, 200)
    client = own.app.test_client()
    client.get("/api/v1/status", headers={"Authorization": f"Bearer {operator}"})
    client.get("/api/v1/clients/unknown", headers={"Authorization": f"Bearer {operator}"})

    (review,) = own.get("Task?status=requested", operator)["entry"]
    _check(review["resource"])
    events = [entry["resource"] for entry in own.get("AuditEvent?_count=50", operator)["entry"]]
    for event in events:
        _check(event)
    kinds = {event["subtype"][0]["code"] for event in events}
    assert kinds >= {"read", "update", "operation", "110127", "110138", "read-status", "read-client"}


def test_what_the_portal_makes() -> None:
    grantee = Grantee("Organization/p", "Example Practice")
    _check(sharing.permit(patient=ANN, grantee=grantee, labels=("general",), until=date(2027, 1, 1), now=NOW))
    for kind in KINDS:
        values = {field.name: Decimal("70.5") for field in kind.fields}
        _check(observation(kind, values, patient=ANN, taken=NOW))
