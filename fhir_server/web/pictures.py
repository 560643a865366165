"""Pictures that pages show without asking another host."""

from __future__ import annotations

import segno


def qr_picture(text: str) -> str:
    """Return a QR code (ISO/IEC 18004) of a text as `data:` URI of an SVG, for the `src` of an image."""
    return segno.make(text, error="m", micro=False).svg_data_uri(scale=5, border=4, light="#fff")
