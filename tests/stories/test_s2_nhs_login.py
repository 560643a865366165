"""S2: a person opens their record with NHS login, in a real browser, with and without JavaScript, by keyboard alone.

NHS login is the stand-in that `fhir-server nhs-login-stand-in` runs; the server knows its issuer and a key, no more.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from fhir_server.cli.nhs_login_stand_in_pages import application
from fhir_server.cli.nhs_login_stand_in_tokens import Issuer
from fhir_server.cli.stand_in_client import Client
from fhir_server.cli.stand_in_keys import registered_key
from seed_data.nhs_login import NhsLoginPerson, people
from tests.answering import answering
from tests.browsers import checked
from tests.keyboard import Keyboard
from tests.stories.site import Site, running, seeded_on_sqlite

pytestmark = pytest.mark.browser
NEW = "has a record here, and no account yet"
WITH_ACCOUNT = "has an account here, with a password"
P5 = "is known to P5 only: proves their identity on the way"
OTHER_NAME = "has another surname in the record"


@dataclass(frozen=True)
class Story:
    """The server, the stand-in, and who is on its list."""

    site: Site
    issuer: Issuer
    people: tuple[NhsLoginPerson, ...]

    def person(self, note: str) -> NhsLoginPerson:
        """Return the first person of a kind."""
        return next(person for person in self.people if person.note == note)

    def start(self, page: Page) -> None:
        """Go to NHS login from the sign-in page."""
        page.goto(f"{self.site.url}/sign-in")
        Keyboard(page).send(page.get_by_role("button", name="Continue with NHS login"))
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    def choose(self, page: Page, person: NhsLoginPerson) -> None:
        """Sign in at NHS login as somebody."""
        keys = Keyboard(page)
        keys.tick(page.get_by_label(f"{person.name} ({person.level})"))
        keys.send(page.get_by_role("button", name="Continue"))

    def accept(self, page: Page) -> None:
        """Accept agreement and policy."""
        keys = Keyboard(page)
        keys.tick(page.get_by_label("I accept the user agreement"))
        keys.tick(page.get_by_label("I have read and accept the privacy policy"))
        keys.send(page.get_by_role("button", name="Open my account"))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    url, keys, folder = seeded_on_sqlite(tmp_path_factory)
    key_file = folder / "client.pem"
    known = people(datetime.now(UTC).date())
    listener = make_server("127.0.0.1", 0, lambda _environ, _start: [], threaded=True)
    issuer = Issuer(f"http://localhost:{listener.server_port}", Client("demo", registered_key(key_file), ()), known)
    listener.app = application(issuer)
    with answering(listener):
        settings = {
            "nhs_login_issuer": issuer.url,
            "nhs_login_client_id": "demo",
            "nhs_login_private_key_file": str(key_file),
        }
        with running(url, keys, folder, **settings) as site:
            issuer.client = Client("demo", registered_key(key_file), (f"{site.url}/nhs-login/callback",))
            issuer.clock = lambda: site.clock().timestamp()
            yield Story(site, issuer, known)


def test_a_person_with_a_record_opens_an_account_and_comes_back(
    story: Story,
    new_phone: Callable[[], Page],
    script: bool,  # noqa: FBT001 - a fixture
) -> None:
    # One person for each kind of browser, as each can open their account once.
    person = [person for person in story.people if person.note == NEW][int(script)]
    page = new_phone()
    story.start(page)
    story.choose(page, person)
    expect(page.get_by_role("heading", name="Accept the agreement and the policy")).to_be_visible()
    keys = Keyboard(page)
    keys.send(page.get_by_role("button", name="Open my account"))
    expect(page.get_by_text("Tick the box to accept the user agreement").first).to_be_visible()
    if script:
        keys.told("Tick the box to accept the user agreement")
        checked(page)
    story.accept(page)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.goto(f"{story.site.url}/account")
    assert person.email in page.content()
    keys.send(page.get_by_role("button", name="Sign out"))
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    story.start(page)
    story.choose(page, person)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert story.site.message("account-ready", person.email)


def test_somebody_known_to_p5_only_proves_who_they_are_on_the_way(story: Story, new_phone: Callable[[], Page]) -> None:
    page = new_phone()
    story.start(page)
    story.choose(page, story.person(P5))
    expect(page.get_by_role("heading", name="Prove who you are")).to_be_visible()
    Keyboard(page).send(page.get_by_role("button", name="Prove my identity"))
    expect(page.get_by_role("heading", name="Accept the agreement and the policy")).to_be_visible()


@pytest.mark.parametrize("note", [P5, NEW])
def test_somebody_who_does_not_go_on_is_told_so_and_not_in(
    story: Story, new_phone: Callable[[], Page], note: str
) -> None:
    page = new_phone()
    story.start(page)
    if note == P5:
        story.choose(page, story.person(note))
        Keyboard(page).send(page.get_by_role("button", name="Not now"))
    else:
        Keyboard(page).send(page.get_by_role("button", name="Cancel"))
    expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_somebody_with_other_details_than_the_record_is_not_linked(story: Story, new_phone: Callable[[], Page]) -> None:
    page = new_phone()
    story.start(page)
    story.choose(page, story.person(OTHER_NAME))
    expect(page.get_by_role("heading", name="We could not link your NHS login")).to_be_visible()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_the_owner_of_an_account_links_it_signs_in_with_it_and_removes_it(
    story: Story,
    new_phone: Callable[[], Page],
    script: bool,  # noqa: FBT001 - a fixture
) -> None:
    person = story.person(WITH_ACCOUNT)
    page = new_phone()
    story.start(page)
    story.choose(page, person)
    expect(page.get_by_role("heading", name="You have an account already")).to_be_visible()
    keys = Keyboard(page)
    keys.send(page.get_by_role("button", name="Sign in"))
    keys.write(page.get_by_label("E-mail address"), person.email)
    keys.write(page.get_by_label("Password", exact=True), story.site.accounts[person.email])
    keys.follow(page.get_by_role("button", name="Sign in", exact=True), "Link NHS login to your account")
    if script:
        checked(page)
    keys.send(page.get_by_role("button", name="Link NHS login"))
    expect(page.get_by_text("NHS login is linked to your account.")).to_be_visible()
    if script:
        checked(page)
    other = new_phone()
    story.start(other)
    story.choose(other, person)
    expect(other.get_by_role("button", name="Sign out")).to_be_visible()
    other.goto(f"{story.site.url}/account/nhs-login")
    Keyboard(other).send(other.get_by_role("button", name="Remove NHS login"))
    expect(other.get_by_text("NHS login is not linked to your account any more.")).to_be_visible()


def test_a_page_of_nhs_login_kept_too_long_signs_nobody_in(story: Story, new_phone: Callable[[], Page]) -> None:
    page = new_phone()
    story.start(page)
    story.site.clock.advance(minutes=61)
    try:
        story.choose(page, story.person(NEW))
        expect(page.get_by_role("heading", name="This sign-in is not valid any more")).to_be_visible()
    finally:
        story.site.clock.advance(minutes=-61)


def test_a_link_back_from_nhs_login_works_once(story: Story, new_phone: Callable[[], Page]) -> None:
    page = new_phone()
    seen: list[str] = []
    page.on("request", lambda sent: seen.append(sent.url))
    story.start(page)
    story.choose(page, story.person(OTHER_NAME))
    expect(page.get_by_role("heading", name="We could not link your NHS login")).to_be_visible()
    (back,) = [url for url in seen if re.search(r"/nhs-login/callback\?code=", url)]
    page.goto(back)
    expect(page.get_by_role("heading", name="This sign-in is not valid any more")).to_be_visible()
