"""A client that shares no code with the server: PyPI `fhirclient`, unmodified, over real HTTP."""

from typing import Any

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.observation import Observation
from fhirclient.server import FHIRUnauthorizedException

from fhir_server.store import oauth
from tests.server import Server
from tests.smart.world import World, fields

REDIRECT = "http://localhost:9/callback"
SCOPE = "openid fhirUser offline_access patient/Patient.read patient/Observation.read"


@pytest.fixture
def server(listening: Server) -> Server:
    return listening


def patient_and_results(server: Server) -> None:
    operator = server.operator()
    for number in ("1", "2"):
        server.put({"resourceType": "Patient", "id": number, "name": [{"family": f"Byron{number}"}]}, operator)
        server.put(
            {
                "resourceType": "Observation",
                "id": f"weight-{number}",
                "status": "final",
                "code": {"text": "Weight"},
                "subject": {"reference": f"Patient/{number}"},
                "valueQuantity": {"value": 61.50, "unit": "kg"},
            },
            operator,
        )


def consent_given(world: World, base_url: str, address: str) -> str:
    """Follow the authorization address as a signed-in browser; return the address that the app is called back at."""
    browser = requests.Session()
    cookie = world.browser(world.person()).get_cookie("session")
    assert cookie is not None
    browser.cookies.set("session", cookie.value)
    page = browser.get(address, timeout=10)
    assert page.status_code == 200, page.text
    form: dict[str, Any] = fields(page.text) | {"decision": "allow"}
    answer = browser.post(f"{base_url}/oauth/decision", data=form, allow_redirects=False, timeout=10)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def observations(smart: FHIRClient) -> list[str]:
    return [found.id for found in Observation.where({}).perform_resources_iter(smart.server)]


def test_fhirclient_logs_in_reads_refreshes_and_is_removed(server: Server) -> None:
    patient_and_results(server)
    world = World(server.app, server.store, server.clock)
    base_url = server.app.extensions["fhir"].base_url
    app_id = world.client(redirect_uris=[REDIRECT])[0]
    settings = {"app_id": app_id, "api_base": f"{base_url}/fhir", "redirect_uri": REDIRECT, "scope": SCOPE}
    smart = FHIRClient(settings=settings)

    assert not smart.prepare()
    smart.handle_callback(consent_given(world, base_url, smart.authorize_url))

    assert smart.ready
    assert smart.patient.name[0].family == "Byron1"
    assert observations(smart) == ["weight-1"]
    assert smart.reauthorize()
    assert observations(smart) == ["weight-1"]

    with server.store.write() as session:
        (grant,) = oauth.grants_of(session, "Patient/1", server.clock())
        oauth.revoke_grant(session, grant.id, server.clock())
    with pytest.raises(FHIRUnauthorizedException):
        observations(smart)
    smart.server.session.close()


def test_fhirclient_with_its_default_scopes_gets_what_is_possible(server: Server) -> None:
    patient_and_results(server)
    world = World(server.app, server.store, server.clock)
    base_url = server.app.extensions["fhir"].base_url
    app_id = world.client(redirect_uris=[REDIRECT])[0]
    smart = FHIRClient(settings={"app_id": app_id, "api_base": f"{base_url}/fhir", "redirect_uri": REDIRECT})

    smart.prepare()
    smart.handle_callback(consent_given(world, base_url, smart.authorize_url))

    assert smart.launch_context["scope"] == "launch/patient user/*.rs patient/*.read openid profile"
    assert smart.patient.id == "1"
    smart.server.session.close()
