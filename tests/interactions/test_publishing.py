"""The server's own conformance resources are served where their canonicals say."""

from fhir_server.assembly import own_resources
from fhir_server.interactions.publishing import publish
from fhir_server.web import Web
from tests.server import Server


def test_what_profiles_say_is_served_and_published_once(server: Server) -> None:
    web: Web = server.app.extensions["fhir"]
    everything = list(own_resources())
    assert publish(web.base, everything) == len(everything)
    assert publish(web.base, everything) == 0
    label = server.get("CodeSystem/privacy-label", server.token("Practitioner/anybody"))
    assert {concept["code"] for concept in label["concept"]} >= {"general", "mental-health"}
    changed = {**everything[0], "title": "Another title"}
    assert publish(web.base, [changed]) == 1
    path = f"{changed['resourceType']}/{changed['id']}"
    assert server.get(path, server.operator())["meta"]["versionId"] == "2"
