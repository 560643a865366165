"""A person at a browser without a mouse: goes by Tab, arrows, Space and Enter, and sees at each step where they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, Page, expect

_MOST_TABS = 150
_AT = """(wanted) => {
  const at = document.activeElement;
  return wanted === at || (at.type === "radio" && wanted.type === "radio" && at.name === wanted.name);
}"""
_SHOWN = """(element) => {
  if (element !== document.activeElement || !element.matches(":focus-visible")) return "has no visible focus";
  const marked = (style) => style.outlineStyle !== "none" || style.boxShadow !== "none";
  const label = element.labels?.[0];
  const drawn = [getComputedStyle(element), ...(label ? [getComputedStyle(label, "::before")] : [])];
  if (!drawn.some(marked)) return "does not show its focus";
  const box = element.getBoundingClientRect();
  const seen = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
  return seen ? "" : "is out of sight";
}"""
"""What is wrong with how the element that has the focus shows it, "" for nothing."""


@dataclass(frozen=True)
class Keyboard:
    """The keyboard of one browser page."""

    page: Page

    def open(self, url: str, title: str) -> None:
        """Go to an address, as by a bookmark or a link in a message."""
        self.page.goto(url)
        self.arrived(title)

    def arrived(self, title: str) -> None:
        """Insist on the page that a step leads to: its heading, and a title that begins with the same words."""
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(title)
        expect(self.page).to_have_title(_begins(title))
        self.page.wait_for_load_state()

    def told(self, *problems: str) -> None:
        """Insist that mistakes are announced: in the title, by an alert with the focus, and at their fields."""
        expect(self.page).to_have_title(_begins("Error: "))
        summary = self.page.locator(".nhsuk-error-summary")
        expect(summary).to_be_focused()
        for problem in problems:
            expect(summary.get_by_role("alert")).to_contain_text(problem)
            expect(self.page.locator(".nhsuk-error-message").filter(has_text=problem).first).to_be_visible()

    def reach(self, control: Locator) -> None:
        """Press Tab until a control has the focus, and insist that one sees it; of radio buttons any of the group."""
        # A key that is pressed while a page's scripts begin may be lost.
        self.page.wait_for_load_state()
        wanted = control.element_handle()
        for _ in range(_MOST_TABS):
            if self.page.evaluate(_AT, wanted):
                focused = self.page.locator("*:focus")
                # A page that scrolls by itself needs a moment.
                self.page.wait_for_function(f"!({_SHOWN})(document.activeElement)", timeout=2_000)
                expect(focused).to_be_visible()
                return
            self.page.keyboard.press("Tab")
        pytest.fail(f"the keyboard does not reach {control}")

    def follow(self, control: Locator, title: str) -> None:
        """Press Enter on a link or a button; another page comes."""
        self.send(control)
        self.arrived(title)

    def send(self, control: Locator) -> None:
        """Press Enter on what leads to a page that the caller looks at."""
        self.reach(control)
        self.page.keyboard.press("Enter")

    def press(self, control: Locator) -> None:
        """Press Enter on what changes the page it is on, and insist that the focus is not lost."""
        self.send(control)
        assert self.page.evaluate("document.activeElement !== document.body"), f"the focus is lost after {control}"

    def unfold(self, text: str) -> None:
        """Open or close what is folded away under these words."""
        self.press(self.page.locator("summary").filter(has_text=text))

    def write(self, field: Locator, text: str) -> None:
        """Fill in a field."""
        self.reach(field)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.press("Delete")
        self.page.keyboard.type(text)
        expect(field).to_have_value(text)

    def untick(self, box: Locator) -> None:
        """Take the tick off a checkbox."""
        self.reach(box)
        self.page.keyboard.press("Space")
        expect(box).not_to_be_checked()

    def tick(self, box: Locator) -> None:
        """Tick a checkbox that has no tick yet, or choose a radio button by the arrows."""
        self.reach(box)
        if box.get_attribute("type") != "radio":
            if not box.is_checked():
                self.page.keyboard.press("Space")
            expect(box).to_be_checked()
            return
        for _ in range(_MOST_TABS):
            if box.evaluate("element => element === document.activeElement"):
                self.page.keyboard.press("Space")
                expect(box).to_be_checked()
                return
            self.page.keyboard.press("ArrowDown")
        pytest.fail(f"the arrows do not reach {box}")


def _begins(title: str) -> re.Pattern[str]:
    return re.compile(rf"^{re.escape(title)}")
