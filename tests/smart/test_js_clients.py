"""JavaScript clients, unmodified: npm `fhirclient` in a browser, npm `oauth4webapi` in Node; pinned by content."""

import json
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from werkzeug.serving import make_server

from fhir_server.spec.build_packages import Package, fetch
from fhir_server.store.accounts import Account
from tests.answering import answering
from tests.consent.world import consent
from tests.npm import node
from tests.server import Server
from tests.smart.test_fhirclient import consent_given, patient_and_results
from tests.smart.world import World

SOURCE = Path(__file__).parent / "js_clients"
FHIRCLIENT = Package(
    "fhirclient",
    "2.6.3",
    "sha512-CirZixcwWelbkIXxpxlNQx5+ZdJirl6F1s4y4yvA1X7hHAkr9n99aVHaMi0wX+97nATjKQ65X6NB5as/wZoJzg==",
)
OAUTH4WEBAPI = Package(
    "oauth4webapi",
    "3.8.2",
    "sha512-FzZZ+bht5X0FKe7Mwz3DAVAmlH1BV5blSak/lHMBKz0/EBMhX6B10GlQYI51+oRp8ObJaX0g6pXrAxZh5s8rjw==",
)
LABELS = ("general", "mental-health", "sexual-health", "social-care")
SCOPE = "launch openid fhirUser offline_access patient/*.rs"
REDIRECT = "http://localhost:9/callback"


def member(package: Package, name: str) -> bytes:
    with tarfile.open(fetch(package), "r:gz") as archive:
        file = archive.extractfile(f"package/{name}")
        assert file is not None
        return file.read()


@pytest.fixture
def app_address() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Return the address of an app on another port, and its pages by path."""
    pages: dict[str, bytes] = {}

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        content = pages.get(environ["PATH_INFO"])
        kind = "text/javascript" if environ["PATH_INFO"].endswith(".js") else "text/html"
        start("200 OK" if content is not None else "404 Not Found", [("Content-Type", kind)])
        return [content or b""]

    listener = make_server("127.0.0.1", 0, answer, threaded=True)
    with answering(listener):
        yield f"http://localhost:{listener.server_port}", pages


def registered(server: Server, app: tuple[str, dict[str, bytes]], scope: str) -> World:
    """Return the world in which the app of this address is registered and has its pages."""
    patient_and_results(server)
    world = World(server.app, server.store, server.clock)
    address, pages = app
    app_id = world.client(redirect_uris=[f"{address}/index.html"], launch_uri=f"{address}/launch.html")[0]
    launch = (SOURCE / "launch.html").read_text().replace("CLIENT_ID", app_id).replace("SCOPE", scope)
    pages["/launch.html"] = launch.replace("ISS", f"{base_of(server)}/fhir").encode()
    pages["/index.html"] = (SOURCE / "index.html").read_bytes()
    pages["/fhir-client.js"] = member(FHIRCLIENT, "build/fhir-client.js")
    return world


def base_of(server: Server) -> str:
    return str(server.app.extensions["fhir"].base_url)


def sign_in(world: World, page: Page, base: str, account: Account | None = None) -> None:
    cookie = world.browser(account or world.person()).get_cookie("session")
    assert cookie is not None
    page.context.add_cookies([{"name": "session", "value": cookie.value, "url": base}])


def result(page: Page) -> dict[str, Any]:
    page.wait_for_function("document.getElementById('result')?.textContent", timeout=30_000)
    found: dict[str, Any] = json.loads(page.inner_text("#result"))
    assert "error" not in found, found
    return found


def test_fhirclient_is_launched_from_the_patients_page(
    listening: Server, page: Page, app_address: tuple[str, dict[str, bytes]]
) -> None:
    world, base = registered(listening, app_address, SCOPE), base_of(listening)
    sign_in(world, page, base)

    page.goto(f"{base}/oauth/launch?patient=1")
    page.click("text=Open Growth Chart")
    page.click("button[value=allow]")

    found = result(page)
    assert found["patient"] == found["user"] == "1"
    assert found["weights"] == ["weight-1"]
    assert found["isNew"] is True
    assert found["scope"] == SCOPE


def test_fhirclient_is_launched_by_a_professional_in_an_encounter(
    listening: Server, page: Page, app_address: tuple[str, dict[str, bytes]]
) -> None:
    scope = f"{SCOPE} user/Practitioner.rs"
    world, base = registered(listening, app_address, scope), base_of(listening)
    operator = listening.operator()
    visit = {"resourceType": "Encounter", "id": "visit-1", "status": "finished", "subject": {"reference": "Patient/1"}}
    visit |= {"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}}
    shared = consent("Patient/1", "Practitioner/doc", labels=LABELS) | {"id": "shared"}
    for resource in ({"resourceType": "Practitioner", "id": "doc", "name": [{"family": "House"}]}, visit, shared):
        listening.put(resource, operator)
    doctor = world.person("Practitioner/doc", role="professional", name="Dr House")
    sign_in(world, page, base, doctor)

    page.goto(f"{base}/oauth/launch?patient=1&encounter=visit-1&context=Observation/weight-1")
    assert "Byron1" in page.inner_text("h1")
    page.click("text=Open Growth Chart")
    assert "Byron1" in page.inner_text("main"), "whose record it is stands on the page that asks"
    page.click("button[value=allow]")

    found = result(page)
    assert (found["patient"], found["user"], found["encounter"]) == ("1", "doc", "visit-1")
    assert found["fhirContext"] == [{"reference": "Observation/weight-1"}]
    assert (found["weights"], found["isNew"]) == (["weight-1"], True)


def test_fhirclient_starts_on_its_own(listening: Server, page: Page, app_address: tuple[str, dict[str, bytes]]) -> None:
    scope = SCOPE.replace("launch", "launch/patient")
    world, base = registered(listening, app_address, scope), base_of(listening)
    sign_in(world, page, base)

    page.goto(f"{app_address[0]}/launch.html")
    page.click("button[value=allow]")

    found = result(page)
    assert (found["patient"], found["weights"], found["isNew"]) == ("1", ["weight-1"], True)


def test_oauth4webapi_finds_the_server_signs_in_refreshes_and_revokes(listening: Server, tmp_path: Path) -> None:
    patient_and_results(listening)
    world, base = World(listening.app, listening.store, listening.clock), base_of(listening)
    app_id, secret = world.client(kind="secret", redirect_uris=[REDIRECT])
    library = tmp_path / "oauth4webapi.mjs"
    library.write_bytes(member(OAUTH4WEBAPI, "build/index.js"))
    scope = "launch/patient openid fhirUser offline_access patient/*.rs"
    arguments = [str(library), base, app_id, secret, REDIRECT, f"{base}/fhir", scope]
    command = [node(), str(SOURCE / "code_flow.mjs"), *arguments]

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        address = run.stdout.readline().strip()
        assert address, run.communicate()[1]
        answer, errors = run.communicate(consent_given(world, base, address) + "\n", timeout=60)

    assert run.returncode == 0, errors
    found = json.loads(answer)
    assert found["found"] == [f"{base}/oauth/token"] * 2
    assert found["claims"]["fhirUser"] == found["person"]["fhirUser"] == f"{base}/fhir/Patient/1"
    assert (found["patient"], found["isNew"]) == ("1", True)
    assert (found["before"], found["after"]) == (True, False)
