"""A SearchParameter of the operator, and how a test puts it in force."""

from typing import Any

from fhir_server.interactions import own_parameters
from fhir_server.web.extension import Web
from tests.server import Server

Json = dict[str, Any]
EYES = "http://example.org/eyes"


def parameter(**changes: Any) -> Json:
    return {
        "resourceType": "SearchParameter",
        "id": "eyes",
        "url": "http://example.org/SearchParameter/eyes",
        "name": "Eyes",
        "status": "active",
        "description": "Colour of the eyes",
        "code": "eyes",
        "base": ["Patient"],
        "type": "string",
        "expression": f"Patient.extension('{EYES}')",
        **changes,
    }


def patient_with(logical_id: str, colour: str) -> Json:
    return {
        "resourceType": "Patient",
        "id": logical_id,
        "extension": [{"url": EYES, "valueString": colour}],
    }


def part(name: str, expression: str) -> Json:
    return {"definition": f"http://hl7.org/fhir/SearchParameter/{name}", "expression": expression}


def parts(second: tuple[str, str]) -> list[Json]:
    """Return the parts of a composite over extensions, the first of which is in order."""
    return [part("individual-gender", "url"), part(*second)]


def base_of(server: Server) -> Any:
    web: Web = server.app.extensions["fhir"]
    return web.base


def forget(server: Server) -> None:
    """Let the process look at the database at its next request, as it does a second later."""
    base_of(server).live._checked_at_s = float("-inf")


def index_all(server: Server) -> None:
    while own_parameters.index_due(base_of(server)):
        pass


def put(server: Server, token: str, **changes: Any) -> None:
    server.put(parameter(**changes), token)
    forget(server)
