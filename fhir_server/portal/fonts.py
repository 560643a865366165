"""The fonts of the PDF files that we make: embedded, so that no letter of a name and no sign of an amount is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fpdf import FPDF

FAMILY: Final = "DejaVu"
_FOLDER: Final = Path(__file__).parent / "static" / "vendor" / "fonts"


def embed(page: FPDF) -> None:
    """Let a file use the family, plain and bold."""
    for style, name in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
        page.add_font(FAMILY, style, str(_FOLDER / name))
