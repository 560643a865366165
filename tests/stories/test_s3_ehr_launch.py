"""S3: a professional opens the portal from the hospital's record system, in a browser, with and without JavaScript.

Whoever is new goes through the portal by keyboard alone.

The hospital is the stand-in that `fhir-server ehr-stand-in` runs; the server knows its address and a key, no more.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from fhir_server.cli.ehr_stand_in_pages import application
from fhir_server.cli.ehr_stand_in_system import Hospital
from fhir_server.cli.stand_in_client import Client
from fhir_server.cli.stand_in_keys import registered_key
from seed_data.hospital_system import LEAVER, NAME, NEW_CLERK, NEW_CONSULTANT, ODS_CODE, patients, staff
from tests.answering import answering
from tests.browsers import checked
from tests.keyboard import Keyboard
from tests.stories.site import Site, running, seeded_on_sqlite

pytestmark = pytest.mark.browser
NOT_SHARED = "You cannot see this record"
REFUSED = "You cannot open this service from your hospital's system"


@dataclass(frozen=True)
class Story:
    """The server and the hospital."""

    site: Site
    hospital: Hospital

    def open(self, page: Page, who: str, patient: str = "Nobody") -> None:
        """Open the shared record in the hospital's system."""
        page.goto(self.hospital.url)
        page.get_by_label("Signed in as").select_option(f"PractitionerRole/h-{who}")
        page.get_by_label("Open patient").select_option(label=patient)
        page.get_by_role("button", name="Open the shared record").click()

    def roles(self, who: str) -> list[bool]:
        """Return whether each role of somebody with this SDS user id is active here."""
        number = self.hospital.staff[f"Practitioner/h-{who}"]["identifier"][0]["value"]
        query = f"PractitionerRole?practitioner.identifier=https://fhir.nhs.uk/Id/sds-user-id|{number}"
        found = self.site.system(self.feed).get(query)
        return [entry["resource"]["active"] for entry in found.get("entry", ())]

    @property
    def feed(self) -> str:
        """Return the client of the trust's data feed."""
        return "epr-brentmoor-hospitals"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    url, keys, folder = seeded_on_sqlite(tmp_path_factory)
    listener = make_server("127.0.0.1", 0, lambda _environ, _start: [], threaded=True)
    key = registered_key(folder / "portal.pem")
    hospital = Hospital(f"http://localhost:{listener.server_port}", Client("portal", key, ()), staff(), patients())
    entry = {
        "name": NAME,
        "issuer": hospital.fhir_base,
        "client_id": "portal",
        "private_key_file": "portal.pem",
        "organization": ODS_CODE,
        "emergency_roles": ["consultant"],
    }
    (folder / "systems.json").write_text(json.dumps([entry]))
    with running(url, keys, folder, ehr_launch_file=str(folder / "systems.json")) as site:
        hospital.client = Client("portal", key, (f"{site.url}/launch/callback/{NAME}",))
        listener.app = application(hospital, site.url)
        hospital.clock = lambda: site.clock().timestamp()
        with answering(listener):
            yield Story(site, hospital)


def test_somebody_new_gets_an_account_and_role_and_sees_nobody_who_does_not_share(
    story: Story,
    new_phone: Callable[[], Page],
    script: bool,  # noqa: FBT001 - a fixture
) -> None:
    # One person for each kind of browser, as each is new once; only one of the two roles may use emergency access.
    who = NEW_CONSULTANT if script else NEW_CLERK
    page = new_phone()
    story.open(page, who, "Desmond Clarke")
    expect(page.get_by_role("heading", name="Accept the agreement and the policy")).to_be_visible()
    if script:
        checked(page)
    keys = Keyboard(page)
    keys.send(page.get_by_role("button", name="Open my account"))
    expect(page.get_by_text("Tick the box to accept the user agreement").first).to_be_visible()
    keys.tick(page.get_by_label("I accept the user agreement"))
    keys.tick(page.get_by_label("I have read and accept the privacy policy"))
    keys.follow(page.get_by_role("button", name="Open my account"), NOT_SHARED)
    assert "Desmond" not in page.content()
    assert story.roles(who) == [True]
    assert story.site.message("account-ready", f"{who.replace('-', '.')}@example.org")
    story.open(page, who)
    expect(page.get_by_role("heading", name="Patients")).to_be_visible()
    assert story.roles(who) == [True]
    story.open(page, who, "Desmond Clarke")
    keys.send(page.get_by_role("button", name="Emergency access"))
    if not script:
        expect(page.get_by_role("heading", name="Your role has no emergency access")).to_be_visible()
        return
    expect(page.get_by_label("NHS number")).to_be_visible()
    # What was proved too long ago is proved again where it was proved first.
    story.site.clock.advance(minutes=6)
    page.goto(f"{story.site.url}/emergency-access")
    keys.send(page.get_by_role("link", name="Use my hospital's system instead"))
    expect(page.get_by_label("NHS number")).to_be_visible()


def test_a_known_consultant_gets_to_who_shares_and_to_one_page_for_everybody_else(
    story: Story, new_phone: Callable[[], Page]
) -> None:
    page = new_phone()
    story.open(page, "priya-raman", "Rajesh Nair")
    expect(page.get_by_role("heading", name="Rajesh Nair")).to_be_visible()
    shown = []
    for patient in ("Nobody Known", "Chloe Bennett"):
        story.open(page, "priya-raman", patient)
        expect(page.get_by_role("heading", name=NOT_SHARED)).to_be_visible()
        assert patient not in page.content()
        shown.append(page.locator("main").inner_text().splitlines())
    # Nothing but the number and the date of birth, which the hospital knows anyway, tells the two pages apart.
    assert len([1 for one, other in zip(*shown, strict=True) if one != other]) <= 2


def test_whom_the_hospital_lets_go_is_out_at_once_and_stays_out(browser: Browser, story: Story) -> None:
    page = browser.new_page()
    story.open(page, LEAVER)
    expect(page.get_by_role("heading", name=REFUSED)).to_be_visible()
    assert story.roles(LEAVER) == [False]
    who = "yasmin-haddad"
    story.open(page, who)
    expect(page.get_by_role("heading", name="Patients")).to_be_visible()
    other = browser.new_page()
    story.site.sign_in(other, "yasmin.haddad@example.org")
    story.hospital.staff[f"PractitionerRole/h-{who}"]["active"] = False
    third = browser.new_page()
    story.open(third, who)
    expect(third.get_by_role("heading", name=REFUSED)).to_be_visible()
    assert story.roles(who) == [False]
    for left in (page, other):
        left.goto(f"{story.site.url}/patients")
        expect(left.get_by_role("heading", name="Sign in")).to_be_visible()
    # Nor does it open the account of somebody who works elsewhere only, whatever it says of them.
    gp = story.site.system(story.feed).get("Practitioner/helen-ashworth")
    impostor, known = {"id": "h-impostor", "identifier": gp["identifier"]}, story.hospital.staff
    at_work = {"id": "h-impostor", "practitioner": {"reference": "Practitioner/h-impostor", "display": "Dr Somebody"}}
    known["Practitioner/h-impostor"] = {**known["Practitioner/h-priya-raman"], **impostor}
    known["PractitionerRole/h-impostor"] = {**known["PractitionerRole/h-priya-raman"], **at_work}
    story.open(third, "impostor")
    expect(third.get_by_role("heading", name=REFUSED)).to_be_visible()
    # With a role here, too, they work here, without what their own organisation lets them do in emergencies.
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/helen-ashworth"},
            "organization": {"reference": "Organization/brentmoor-hospitals"}, "active": True}  # fmt: skip
    assert story.site.system(story.feed).call("POST", "PractitionerRole", role).status_code == 201
    story.open(third, "impostor")
    expect(third.get_by_role("link", name="Working for Brentmoor")).to_be_visible()
    third.goto(f"{story.site.url}/emergency-access")
    expect(third.get_by_role("heading", name="Your role has no emergency access")).to_be_visible()
    third.get_by_role("link", name="Working for Brentmoor").click()
    third.get_by_label("Kenbourne Road Surgery").check()
    third.get_by_role("button", name="Save").click()
    expect(third.get_by_role("link", name="Working for Kenbourne")).to_be_visible()
    story.open(third, "impostor")
    expect(third.get_by_role("link", name="Working for Brentmoor")).to_be_visible()
    third.close()
    third = browser.new_page()
    # What ended here is not revived by the hospital's word alone.
    story.hospital.staff[f"PractitionerRole/h-{who}"]["active"] = True
    story.open(third, who)
    expect(third.get_by_role("heading", name=REFUSED)).to_be_visible()
    page.close()


def test_a_launch_from_elsewhere_is_refused_and_nobody_is_asked_anything(browser: Browser, story: Story) -> None:
    page = browser.new_page()
    for query in (
        "iss=http://localhost:1/fhir&launch=x",
        f"iss={story.hospital.fhir_base}",
        f"iss={story.hospital.fhir_base}&iss=http://localhost:1/fhir&launch=x",
        f"iss={story.hospital.url}&launch=x",
    ):
        answer = page.goto(f"{story.site.url}/launch?{query}")
        assert answer is not None
        assert answer.status == 403
    page.goto(f"{story.site.url}/launch?iss={story.hospital.fhir_base}&launch=guessed")
    expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
    page.goto(f"{story.site.url}/launch/callback/{NAME}?code=guessed&state=guessed")
    expect(page.get_by_role("heading", name="This sign-in is not valid any more")).to_be_visible()
    page.close()
