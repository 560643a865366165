"""S1: a coordinator invites a patient, who registers and signs in to her own record; mail goes over real SMTP.

Each goes by keyboard alone.
"""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.keyboard import Keyboard
from tests.stories.mailbox import Mailbox
from tests.stories.site import Site

pytestmark = pytest.mark.browser
COORDINATOR = "nadia.lowe@example.org"
PASSWORD = "walrus kettle orbit 41"


def test_an_invited_patient_registers_and_signs_in_to_her_own_record(
    story: tuple[Site, Mailbox],
    new_phone: Callable[[], Page],
    script: bool,  # noqa: FBT001 - a fixture
) -> None:
    site, mailbox = story
    # One person for each kind of browser, as each can open their account once.
    number, address, mobile = (
        ("943 476 5919", "ann.s1@example.org", "07700 900982")
        if script
        else ("987 654 3210", "bea.s1@example.org", "07700 900983")
    )
    desk = Keyboard(new_phone())
    site.sign_in(desk.page, COORDINATOR)
    the_coordinator_invites(site, desk, number, address, mobile)

    keys = Keyboard(new_phone())
    patient = keys.page
    keys.open(mailbox.link(address, rf"{re.escape(site.url)}/register/\S+"), "Check that it is you")
    to = f"+44{mobile.replace(' ', '')[1:]}"
    code = site.found("invitation-code", to, r"code is (\S+)\.").replace("-", " ").lower()
    the_patient_registers(keys, code)
    keys.open(mailbox.link(address, rf"{re.escape(site.url)}/confirm-email/\S+"), "Your e-mail address is confirmed")
    keys.open(f"{site.url}/sign-in", "Sign in")
    keys.write(patient.get_by_label("E-mail address"), address)
    keys.write(patient.get_by_label("Password", exact=True), PASSWORD)
    keys.send(patient.get_by_role("button", name="Sign in", exact=True))
    expect(patient.get_by_role("button", name="Sign out")).to_be_visible()
    patient.goto(f"{site.url}/record")
    expect(patient.get_by_text("Ann Example").first).to_be_visible()
    assert "Amelia Hart" not in patient.content()
    for recipient, subject, body in mailbox.messages:
        if recipient == address:
            assert not [hint for hint in ("hospital", "nhs", "health") if hint in (subject + body).lower()]


def write_birthday(keys: Keyboard) -> None:
    for part, value in (("Day", "1"), ("Month", "2"), ("Year", "1980")):
        keys.write(keys.page.get_by_label(part), value)


def the_coordinator_invites(site: Site, keys: Keyboard, number: str, address: str, mobile: str) -> None:
    page = keys.page
    keys.open(f"{site.url}/organisation/invite", "Invite a patient")
    keys.write(page.get_by_label("First name"), "Ann")
    keys.write(page.get_by_label("Last name"), "Example")
    write_birthday(keys)
    keys.write(page.get_by_label("NHS number"), number)
    keys.write(page.get_by_label("E-mail address"), address)
    keys.write(page.get_by_label("Mobile phone number"), mobile)
    keys.send(page.get_by_role("button", name="Send the invitation"))
    expect(page.get_by_text("The invitation is on its way")).to_be_visible()


def the_patient_registers(keys: Keyboard, code: str) -> None:
    page = keys.page
    go_on = page.get_by_role("button", name="Continue")
    keys.write(page.get_by_label("Code from the text message"), code)
    write_birthday(keys)
    keys.follow(go_on, "Choose a password")
    keys.write(page.get_by_label("Password", exact=True), PASSWORD)
    keys.follow(go_on, "Choose a memorable question")
    keys.tick(page.get_by_role("radio").last)
    keys.write(page.get_by_label("Your answer"), "Rover")
    keys.follow(go_on, "Accept the agreement and the policy")
    for box in page.get_by_role("checkbox").all():
        keys.tick(box)
    keys.follow(page.get_by_role("main").get_by_role("button"), "Check your e-mail")
