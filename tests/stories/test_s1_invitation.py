"""S1: a coordinator invites a patient, who registers and signs in to her own record; mail goes over real SMTP."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

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
    desk = new_phone()
    site.sign_in(desk, COORDINATOR)
    desk.goto(f"{site.url}/organisation/invite")
    desk.get_by_label("First name").fill("Ann")
    desk.get_by_label("Last name").fill("Example")
    for part, value in (("Day", "1"), ("Month", "2"), ("Year", "1980")):
        desk.get_by_label(part).fill(value)
    desk.get_by_label("NHS number").fill(number)
    desk.get_by_label("E-mail address").fill(address)
    desk.get_by_label("Mobile phone number").fill(mobile)
    desk.get_by_role("button", name="Send the invitation").click()
    expect(desk.get_by_text("The invitation is on its way")).to_be_visible()

    patient = new_phone()
    patient.goto(mailbox.link(address, rf"{re.escape(site.url)}/register/\S+"))
    to = f"+44{mobile.replace(' ', '')[1:]}"
    code = site.found("invitation-code", to, r"code is (\S+)\.").replace("-", " ").lower()
    patient.get_by_label("Code from the text message").fill(code)
    for part, value in (("Day", "1"), ("Month", "2"), ("Year", "1980")):
        patient.get_by_label(part).fill(value)
    patient.get_by_role("button", name="Continue").click()
    patient.get_by_label("Password", exact=True).fill(PASSWORD)
    patient.get_by_role("button", name="Continue").click()
    patient.locator("#question").wait_for()
    if patient.locator("select#question").count():
        patient.locator("#question").select_option(index=1)
    else:
        patient.locator("#question").check()
    patient.locator("#answer").fill("Rover")
    patient.get_by_role("button", name="Continue").click()
    patient.get_by_role("checkbox").first.wait_for()
    patient.wait_for_load_state()
    for box in patient.get_by_role("checkbox").all():
        box.check()
    patient.locator("main form button[type=submit], main form button").first.click()
    expect(patient.get_by_role("heading", name="Check your e-mail")).to_be_visible()
    patient.goto(mailbox.link(address, rf"{re.escape(site.url)}/confirm-email/\S+"))
    expect(patient.get_by_role("heading", name="Your e-mail address is confirmed")).to_be_visible()
    site.sign_in(patient, address, PASSWORD)
    patient.goto(f"{site.url}/record")
    expect(patient.get_by_text("Ann Example").first).to_be_visible()
    assert "Amelia Hart" not in patient.content()
    for recipient, subject, body in mailbox.messages:
        if recipient == address:
            assert not [hint for hint in ("hospital", "nhs", "health") if hint in (subject + body).lower()]
