"""The invitation as a letter for who has no e-mail address: one page, large print, with language and title.

The code of the link is on it and nowhere else; the second code goes by text message.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

import segno
from fpdf import FPDF

from fhir_server import web
from fhir_server.portal import fonts

_LARGE, _NORMAL = 20, 14
_QR_SIDE_MM: Final = 40.0


class Printed(Protocol):
    """What the letter says of an invitation."""

    @property
    def given(self) -> str:
        """Return the first name."""

    @property
    def family(self) -> str:
        """Return the last name."""

    @property
    def expires_at(self) -> datetime:
        """Return until when it works."""


def pdf(invitation: Printed, code: str, sender: str) -> bytes:
    """Return the letter.

    Args:
        invitation: For whom.
        code: What stands for the link, as people type it.
        sender: Name of the coordinator.
    """
    brand, address = web.current().brand_name, f"{web.current().base_url}/register"
    last_day = f"{invitation.expires_at.day} {invitation.expires_at:%B %Y}"
    page = FPDF(format="A4")
    fonts.embed(page)
    page.set_lang("en-GB")
    page.set_title(f"Your invitation to {brand}")
    page.set_margin(25)
    page.add_page()
    name = f"{invitation.given} {invitation.family}"
    _line(page, brand, _NORMAL)
    _line(page, name, _NORMAL, after_mm=8)
    _line(page, f"Your invitation to {brand}", _LARGE, bold=True)
    _line(page, f"Hello {invitation.given}", _NORMAL)
    _line(page, f"You are invited to open your account. You can do it until {last_day}.", _NORMAL)
    _line(page, f"1. On a phone, tablet or computer, go to {address}", _NORMAL)
    _line(page, "2. Type this code:", _NORMAL)
    _line(page, code, _LARGE, bold=True)
    _line(page, "3. Type the second code, which we sent to your mobile phone, and your date of birth.", _NORMAL)
    _line(page, "Or point the camera of your phone at this picture:", _NORMAL)
    _picture(page, f"{address}/{code.replace('-', '')}")
    _line(page, "Never give a code or a password to anybody who calls or writes.", _NORMAL)
    _line(page, sender, _NORMAL)
    return bytes(page.output())


def _line(page: FPDF, text: str, size: int, *, bold: bool = False, after_mm: float = 3) -> None:
    page.set_font(fonts.FAMILY, "B" if bold else "", size)
    page.multi_cell(0, size * 0.5, text, align="L", new_x="LMARGIN", new_y="NEXT")
    page.ln(after_mm)


def _picture(page: FPDF, address: str) -> None:
    modules = tuple(segno.make(address, error="m").matrix)
    side = _QR_SIDE_MM / len(modules)
    if page.will_page_break(_QR_SIDE_MM):
        page.add_page()
    left, top = page.get_x(), page.get_y()
    for row, line in enumerate(modules):
        for column, is_dark in enumerate(line):
            if is_dark:
                page.rect(left + column * side, top + row * side, side, side, style="F")
    page.set_y(top + _QR_SIDE_MM + 5)
