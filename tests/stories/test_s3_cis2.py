"""S3, the other way in: a professional signs in with NHS CIS2, in a browser, with and without JavaScript.

They go by keyboard alone.

CIS2 is the stand-in that `fhir-server cis2-stand-in` runs; the server knows its issuer and a key, no more.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from fhir_server.cli.cis2_stand_in_provider import Cis2Issuer, application
from fhir_server.cli.stand_in_client import Client
from fhir_server.cli.stand_in_keys import registered_key
from seed_data.cis2 import people
from tests.answering import answering
from tests.keyboard import Keyboard
from tests.stories.site import Site, running, seeded_on_sqlite

pytestmark = pytest.mark.browser
REFUSED = "You do not have access with this role"


@dataclass(frozen=True)
class Story:
    """The server and CIS2."""

    site: Site
    issuer: Cis2Issuer

    def sign_in(self, page: Page, role: str, start: str = "/patients") -> None:
        """Come from a page of ours, and choose a person and role at CIS2 by a part of what is shown."""
        page.goto(f"{self.site.url}{start}")
        Keyboard(page).send(page.get_by_role("button", name="Continue with NHS CIS2"))
        self.choose(page, role)

    def choose(self, page: Page, role: str) -> None:
        """Choose at CIS2."""
        keys = Keyboard(page)
        keys.tick(page.get_by_label(re.compile(role)).first)
        keys.send(page.get_by_role("button", name="Continue", exact=True))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    url, keys, folder = seeded_on_sqlite(tmp_path_factory)
    key_file = folder / "client.pem"
    listener = make_server("127.0.0.1", 0, lambda _environ, _start: [], threaded=True)
    client = Client("demo", registered_key(key_file), ())
    issuer = Cis2Issuer(f"http://localhost:{listener.server_port}", client, (), staff=people())
    listener.app = application(issuer)
    settings = {"cis2_issuer": issuer.url, "cis2_client_id": "demo", "cis2_private_key_file": str(key_file)}
    with answering(listener), running(url, keys, folder, **settings) as site:
        issuer.client = Client("demo", client.key, (f"{site.url}/cis2/callback",))
        issuer.clock = lambda: site.clock().timestamp()
        yield Story(site, issuer)


def test_a_professional_comes_in_with_the_role_that_is_theirs_here(story: Story, new_phone: Callable[[], Page]) -> None:
    page = new_phone()
    # A role of the same person that no organisation holds for them here opens nothing, nor does going back from CIS2.
    for choice in ("Priya Raman: Locum", "Robin Elsewhere"):
        story.sign_in(page, choice)
        expect(page.get_by_role("heading", name=REFUSED)).to_be_visible()
        expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    page.goto(f"{story.site.url}/sign-in")
    keys = Keyboard(page)
    keys.send(page.get_by_role("button", name="Continue with NHS CIS2"))
    keys.send(page.get_by_role("button", name="Cancel"))
    expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()

    story.sign_in(page, "Priya Raman: (?!Locum)", "/emergency-access")
    expect(page.get_by_label("NHS number")).to_be_visible()
    # What was proved too long ago is proved again where it was proved first; another person's proof is another sign-in.
    story.site.clock.advance(minutes=6)
    page.goto(f"{story.site.url}/emergency-access")
    keys.send(page.get_by_role("link", name="Use NHS CIS2 instead"))
    story.choose(page, "Priya Raman: (?!Locum)")
    expect(page.get_by_label("NHS number")).to_be_visible()

    # Fewer than two factors are not enough, whoever it is.
    story.issuer.level = "1"
    other = new_phone()
    story.sign_in(other, "Priya Raman: (?!Locum)")
    expect(other.get_by_role("button", name="Sign out")).to_have_count(0)
    expect(other.get_by_role("heading", name="You are not signed in")).to_be_visible()
    story.issuer.level = "3"
