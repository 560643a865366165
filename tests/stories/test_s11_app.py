"""S11: an app asks for what it wants; the patient unticks some; it gets exactly the rest, until she removes it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browsers import checked
from tests.keyboard import Keyboard
from tests.stories.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AMELIA, CARER = "amelia.hart@example.org", "thomas.hart@example.org"
HOME, APP = "http://localhost:8000/demo-app/callback", "Heartbeat Diary"
VITAL_SIGNS = "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"
SCOPES = f"launch/patient openid fhirUser offline_access {VITAL_SIGNS} patient/DocumentReference.rs"
VERIFIER = "a-secret-that-this-app-made-for-this-sign-in-and-keeps"


def test_s11_an_app_gets_what_was_ticked_and_is_dead_once_removed(
    sqlite_site: Site, new_page: Callable[[], Page]
) -> None:
    site = sqlite_site
    patient, carer = new_page(), new_page()
    site.sign_in(patient, AMELIA)
    keys = Keyboard(patient)
    the_patient_can_say_no(site, keys)
    app = App(site, the_patient_allows_some(site, keys))
    app.reads_what_was_ticked()
    the_patient_sees_when_it_was_used(site, keys)

    site.sign_in(carer, CARER)
    the_carer_chooses_whose_record(site, Keyboard(carer))
    the_patient_removes_it(keys)
    app.is_dead()


class App:
    """What the makers of the app have: its code, then its tokens."""

    def __init__(self, site: Site, code: str) -> None:
        """Redeem the code that came with the person back to the app."""
        self.site = site
        self.tokens = self._ask(
            200, grant_type="authorization_code", code=code, redirect_uri=HOME, code_verifier=VERIFIER
        )
        assert self.tokens["patient"] == "amelia-hart"
        assert "DocumentReference" not in self.tokens["scope"]
        assert VITAL_SIGNS in self.tokens["scope"].split()

    def _ask(self, status: int, **form: str) -> dict[str, Any]:
        answer = httpx.post(f"{self.site.url}/oauth/token", data={"client_id": "demo-app", **form})
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.site.fhir}/{path}", headers={"Authorization": f"Bearer {self.tokens['access_token']}"})

    def reads_what_was_ticked(self) -> None:
        """Read vital signs and nothing else, with a token that was refreshed."""
        self.tokens = self._ask(200, grant_type="refresh_token", refresh_token=self.tokens["refresh_token"])
        found = self._get("Observation?patient=amelia-hart&_count=1000&_total=accurate").json()
        categories = {
            coding["code"]
            for entry in found["entry"]
            for category in entry["resource"]["category"]
            for coding in category["coding"]
        }
        assert found["total"] > 0
        assert categories == {"vital-signs"}
        for path in ("DocumentReference?patient=amelia-hart", "Condition?patient=amelia-hart"):
            assert self._get(path).status_code == 403, path

    def is_dead(self) -> None:
        """Find that neither token is good for anything."""
        assert self._get("Observation?patient=amelia-hart").status_code == 401
        self._ask(400, grant_type="refresh_token", refresh_token=self.tokens["refresh_token"])


def asked(site: Site) -> str:
    """Return the address at which the app asks."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": "demo-app",
        "redirect_uri": HOME,
        "scope": SCOPES,
        "state": "what-the-app-remembers",
        "aud": site.fhir,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{site.url}/oauth/authorize?{urlencode(query)}"


def sent_back(keys: Keyboard, button: str) -> dict[str, str]:
    """Press a button that leads to the app's own site; return what the person brings along."""
    page = keys.page
    page.route(f"{HOME}?*", lambda route: route.fulfill(body="Welcome back to the app"))
    keys.send(page.get_by_role("button", name=button, exact=True))
    expect(page.get_by_text("Welcome back to the app")).to_be_visible()
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def the_patient_can_say_no(site: Site, keys: Keyboard) -> None:
    keys.open(asked(site), f"Allow {APP}")
    assert sent_back(keys, "Do not allow")["error"] == "access_denied"


def the_patient_allows_some(site: Site, keys: Keyboard) -> str:
    page = keys.page
    keys.open(asked(site), f"Allow {APP}")
    expect(page.get_by_role("group", name="What may it do?")).to_contain_text("vital signs")
    expect(page.get_by_role("main")).not_to_contain_text("Observation")
    checked(page)
    keys.untick(page.get_by_label("See letters and documents"))
    back = sent_back(keys, "Allow")
    assert back["state"] == "what-the-app-remembers"
    return back["code"]


def the_patient_sees_when_it_was_used(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.open(f"{site.url}/apps", "Connected apps")
    expect(page.get_by_role("main")).to_contain_text(APP)
    expect(page.get_by_role("main")).not_to_contain_text("Never")
    expect(page.get_by_role("main")).not_to_contain_text("letters")
    checked(page)


def the_carer_chooses_whose_record(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.open(asked(site), f"Allow {APP}")
    expect(page.get_by_role("main")).to_contain_text("Amelia Hart")
    back = sent_back(keys, "Allow")
    assert "code" in back


def the_patient_removes_it(keys: Keyboard) -> None:
    page = keys.page
    keys.follow(page.get_by_role("link", name=f"Remove {APP}"), f"Remove {APP}")
    keys.follow(page.get_by_role("button", name="Remove the app"), "Connected apps")
    expect(page.get_by_role("alert")).to_contain_text("It can no longer see anything")
    expect(page.get_by_role("main")).to_contain_text("No app is connected")
