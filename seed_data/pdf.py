"""A one-page letter as a small PDF, the same bytes every time.

Comes in: the lines of a letter. Goes out: bytes. Must not know: FHIR, people.
Core fonts only (nothing embedded), so the text must stay within Latin-1.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARGIN_MM = 20
_LINE_MM = 5.4


def letter_pdf(*, title: str, heading: str, lines: Sequence[str], made_on: dt.date) -> bytes:
    """Return an A4 page: a bold heading, then the lines, which must already be wrapped to the page.

    `made_on` becomes the creation date, so that nothing depends on the clock.
    """
    from fpdf import FPDF  # noqa: PLC0415 - half a second and an imaging library, needed only where letters are made

    document = FPDF(format="A4")
    document.set_creation_date(dt.datetime.combine(made_on, dt.time(12), dt.UTC))
    document.set_title(title)
    document.set_author(heading)
    document.set_lang("en-GB")
    document.set_margins(_MARGIN_MM, _MARGIN_MM)
    document.add_page()
    document.set_font("Helvetica", "B", 13)
    document.cell(text=heading, h=9, new_x="LMARGIN", new_y="NEXT")
    document.set_font("Helvetica", "", 10.5)
    top = document.get_y() + _LINE_MM
    for number, line in enumerate(lines):
        if line:
            document.text(_MARGIN_MM, top + number * _LINE_MM, line)
    return bytes(document.output())
