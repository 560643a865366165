"""S4: a professional asks for an account, two people of the service desk agree; mail goes over real SMTP.

Each goes by keyboard alone.
"""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browsers import checked
from tests.keyboard import Keyboard
from tests.stories.mailbox import Mailbox
from tests.stories.site import Site

pytestmark = pytest.mark.browser
CHECKS, AGREES = "gareth.pugh@example.org", "ifeoma.obi@example.org"
PASSWORD = "walrus kettle orbit 41"


def two_people_agree(site: Site, new_phone: Callable[[], Page], who: str, entry: str, *, script: bool) -> None:
    keys = Keyboard(new_phone())
    first = keys.page
    site.sign_in(first, CHECKS)
    first.goto(f"{site.url}/service-desk/requests")
    keys.send(first.get_by_role("link", name=re.compile(who)))
    keys.write(first.get_by_label("How you checked who it is"), "Called the practice on its published number.")
    keys.write(first.get_by_label("Entry of the person in the directory"), entry)
    keys.write(first.get_by_label("Entry of the organisation"), "Organization/kenbourne-road-surgery")
    keys.send(first.get_by_role("button", name="Save the check"))
    keys.send(first.get_by_role("link", name=re.compile(who)))
    expect(first.get_by_text(entry).first).to_be_visible()
    if script:
        checked(first)
    expect(first.get_by_role("button", name="Agree")).to_have_count(0)
    keys = Keyboard(new_phone())
    second = keys.page
    site.sign_in(second, AGREES)
    second.goto(f"{site.url}/service-desk/requests")
    keys.send(second.get_by_role("link", name=re.compile(who)))
    keys.send(second.get_by_role("button", name="Agree"))
    expect(second.get_by_role("alert")).to_be_visible()


def test_a_gp_asks_two_people_agree_and_the_account_sees_nobody(
    story: tuple[Site, Mailbox],
    new_phone: Callable[[], Page],
    script: bool,  # noqa: FBT001 - a fixture
) -> None:
    site, mailbox = story
    # One person for each kind of browser, as an address has one account. Nobody shares with them: they have no role.
    given = "Tamsin" if script else "Rhodri"
    who, address = f"Dr {given} Fourways", f"{given.lower()}.s4@example.org"
    person = {"resourceType": "Practitioner", "active": True, "name": [{"family": "Fourways", "given": [given]}]}
    made = site.system("epr-brentmoor-hospitals").call("POST", "Practitioner", person)
    assert made.status_code == 201, made.text
    entry = f"Practitioner/{made.json()['id']}"
    keys = Keyboard(new_phone())
    gp = keys.page
    gp.goto(f"{site.url}/contact")
    keys.send(gp.get_by_role("link", name=re.compile("account", re.IGNORECASE)).first)
    send = gp.get_by_role("button", name=re.compile("Continue|Send"))
    keys.send(send)
    expect(gp.get_by_text("Enter your full name").first).to_be_visible()
    if script:
        keys.told("Enter your full name")
        checked(gp)
    typed = {"Full name": who, "Work e-mail address": address, "Job": "GP", "Where you work": "The surgery in our road"}
    for label, answer in typed.items():
        keys.write(gp.get_by_label(label, exact=True), answer)
    keys.write(gp.get_by_label("What you need the account for"), "To see what my patients share with me.")
    keys.follow(send, "We have your message")

    two_people_agree(site, new_phone, who, entry, script=script)
    link = mailbox.link(address, rf"{re.escape(site.url)}/set-up/\S+")
    keys.open(link, "Set up your account")
    set_up = gp.get_by_role("button", name=re.compile("Continue|Set up"))
    keys.write(gp.get_by_label("Password", exact=True), PASSWORD)
    keys.send(set_up)
    expect(gp.get_by_text("Tick the box to accept the terms of use").first).to_be_visible()
    keys.write(gp.get_by_label("Password", exact=True), PASSWORD)
    keys.tick(gp.get_by_label("I accept the terms of use"))
    keys.send(set_up)
    expect(set_up).to_have_count(0)
    gp.goto(link)
    expect(gp.get_by_role("heading", name="This link does not work")).to_be_visible()
    site.sign_in(gp, address, PASSWORD)
    gp.goto(f"{site.url}/patients")
    expect(gp.get_by_role("heading", name="Patients")).to_be_visible()
    assert gp.locator("table a[href^='/patients/']").count() == 0
    for patient, name in (("desmond-clarke", "Desmond"), ("amelia-hart", "Amelia")):
        gp.goto(f"{site.url}/patients/{patient}")
        expect(gp.get_by_role("heading", level=1)).to_be_visible()
        assert name not in gp.content()
    for recipient, subject, body in mailbox.messages:
        if recipient == address:
            assert not [hint for hint in ("patient", "nhs", "health") if hint in (subject + body).lower()]


def test_a_message_to_the_service_desk_is_read_and_closed(
    story: tuple[Site, Mailbox],
    new_phone: Callable[[], Page],
    script: bool,  # noqa: FBT001 - a fixture
) -> None:
    site, mailbox = story
    body = f"My phone is broken {script}."
    keys = Keyboard(new_phone())
    stranger = keys.page
    stranger.goto(f"{site.url}/contact/message")
    keys.write(stranger.get_by_label("Your name"), "Ann Other")
    keys.write(stranger.get_by_label("Your e-mail address"), "ann.other@example.org")
    keys.reach(stranger.get_by_label("What is it about?"))
    stranger.keyboard.type("I cannot sign in")
    keys.write(stranger.get_by_label("Your message"), body)
    keys.follow(stranger.get_by_role("button", name=re.compile("Continue|Send")), "We have your message")
    assert mailbox.link("ann.other@example.org", "Our service desk has your message")
    desk = new_phone()
    site.sign_in(desk, CHECKS)
    desk.goto(f"{site.url}/service-desk/requests")
    expect(desk.get_by_text(body)).to_be_visible()
    Keyboard(desk).send(desk.get_by_role("button", name="Answered the message of Ann Other"))
    expect(desk.get_by_text(body)).to_have_count(0)
