"""Photograph the main pages, on a phone and at a desk, from the demo data into `docs/screens/`: `make screens`.

Not a test: people look at the pictures. Pages of names given on the command line only, all without.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, ViewportSize

from tests.browsers import launched_chromium
from tests.stories.site import Site, _seed, running

FOLDER: Final = Path(__file__).parents[1] / "docs" / "screens"
SIZES: Final = (
    ("phone", ViewportSize(width=390, height=844), 2400),
    ("desk", ViewportSize(width=1280, height=800), 1800),
)
"""Name, window, and the most of a page that a picture shows, in pixels."""
QUALITY: Final = 40
AMELIA, THOMAS, GP = "amelia.hart@example.org", "thomas.hart@example.org", "helen.ashworth@example.org"
CONSULTANT, COORDINATOR = "priya.raman@example.org", "nadia.lowe@example.org"
PRIVACY, DESK = "ruth.castellan@example.org", "gareth.pugh@example.org"
ADMIN, DEVELOPER = "sandra.voss@example.org", "mina.kovac@example.org"
RECORD: Final = "/patients/amelia-hart"


def _as_it_is(_page: Page) -> None:
    """Do nothing more."""


def _identity(page: Page) -> None:
    page.fill("#nhs-number", "999 002 4685")
    for part, value in (("day", "14"), ("month", "3"), ("year", "1976")):
        page.fill(f"#born-{part}", value)


def _ask_for_another_time(page: Page) -> None:
    ask = page.get_by_role("link", name="Ask to change or cancel").first
    if page.get_by_text("Asked for another time").count():
        return
    ask.click()
    page.get_by_label("Another time, please").check()
    page.fill("#message", "I am away that week. Mornings are best.")
    page.get_by_role("button", name="Send the request").click()


def _look_up(page: Page) -> None:
    _identity(page)
    page.get_by_role("button", name="Find").click()


def _in_an_emergency(page: Page) -> None:
    _identity(page)
    page.check("#reason-code")
    page.fill("#reason", "Collapsed in the clinic, cannot speak")
    page.check("#declaration")
    page.get_by_role("button", name="Open the record").click()
    page.get_by_role("region", name="Emergency access").wait_for()


def _share(page: Page) -> None:
    page.locator("#labels").check()
    page.locator("#ends").check()
    page.get_by_role("button", name="Continue").click()


def _letter(page: Page) -> None:
    page.fill("#title", "After your visit")
    page.get_by_label("As text, written here").check()
    page.fill("#text", "Dear Amelia Hart\n\nYour blood pressure is better. Keep on with the walks.")
    page.get_by_label("General health").check()
    page.get_by_role("button", name="Continue").click()


def _mistakes(page: Page) -> None:
    page.get_by_role("button", name="Save").click()


@dataclass(frozen=True)
class Shot:
    """One picture: its name, whose page it is ("" for a stranger), where, and what to do there first."""

    name: str
    email: str
    path: str
    first: Callable[[Page], None] = _as_it_is


SHOTS: Final = (
    Shot("welcome", "", "/"),
    Shot("sign-in", "", "/sign-in"),
    Shot("home", AMELIA, "/"),
    Shot("record", AMELIA, "/record"),
    Shot("appointments", AMELIA, "/record/appointments", _ask_for_another_time),
    Shot("letters", AMELIA, "/record/letters"),
    Shot("letter", AMELIA, "/record/letters/amelia-hart-letter-16"),
    Shot("results", AMELIA, "/record/results"),
    Shot("result", AMELIA, "/record/results/59261-8"),
    Shot("measurements", AMELIA, "/record/measurements"),
    Shot("mistakes", AMELIA, "/record/measurements/add/blood-pressure", _mistakes),
    Shot("sharing", AMELIA, "/sharing"),
    Shot("share", AMELIA, "/sharing/with/Organization/ealdene-health-centre"),
    Shot("share-check", AMELIA, "/sharing/with/Organization/ealdene-health-centre", _share),
    Shot("access-log", AMELIA, "/access-log"),
    Shot("apps", AMELIA, "/apps"),
    Shot("account", AMELIA, "/account"),
    Shot("carer", THOMAS, "/record"),
    Shot("patients", GP, "/patients"),
    Shot("patient", GP, RECORD),
    Shot("add-letter", GP, f"{RECORD}/add/letter", _letter),
    Shot("look-up", CONSULTANT, "/patients/find", _look_up),
    Shot("emergency", CONSULTANT, "/emergency-access", _in_an_emergency),
    Shot("invitations", COORDINATOR, "/organisation"),
    Shot("appointment-requests", COORDINATOR, "/organisation/appointment-requests"),
    Shot("reviews", PRIVACY, "/privacy"),
    Shot("service-desk", DESK, "/service-desk"),
    Shot("administration", ADMIN, "/administration/apps"),
    Shot("developer", DEVELOPER, "/developer"),
)


def taken(browser: Browser, site: Site, shots: tuple[Shot, ...]) -> Iterator[Path]:
    """Yield the file of each picture, newly taken; people are signed in once per size."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for size, viewport, most in SIZES:
        pages: dict[str, Page] = {}
        for shot in shots:
            if shot.email not in pages:
                context = browser.new_context(viewport=viewport, locale="en-GB", timezone_id="Europe/London")
                pages[shot.email] = context.new_page()
                if shot.email:
                    site.sign_in(pages[shot.email], shot.email)
            page = pages[shot.email]
            page.goto(f"{site.url}{shot.path}")
            shot.first(page)
            page.wait_for_load_state("networkidle")
            file = FOLDER / f"{shot.name}-{size}.webp"
            file.write_bytes(_picture(page, most))
            yield file
        for page in pages.values():
            page.context.close()


def _picture(page: Page, most: int) -> bytes:
    """Return a page from its top as WebP, which Playwright itself does not make."""
    devtools = page.context.new_cdp_session(page)
    width, height = page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, most), "scale": 1}
    asked = {"format": "webp", "quality": QUALITY, "captureBeyondViewport": True, "clip": clip}
    return base64.b64decode(devtools.send("Page.captureScreenshot", asked)["data"])


def main(names: list[str]) -> None:
    """Take the pictures of these names, of all pages where none is given, and say how much they weigh."""
    shots = tuple(shot for shot in SHOTS if not names or shot.name in names)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _seed(url := f"sqlite:///{folder}/screens.db", folder)
        with running(url, folder, folder) as site, contextmanager(launched_chromium)() as browser:
            files = list(taken(browser, site, shots))
    weight = sum(file.stat().st_size for file in files)
    sys.stdout.write(f"{len(files)} pictures, {weight // 1000} kB, in {FOLDER}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
