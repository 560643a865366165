"""NHS numbers as people type them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from nhs_number.validate import is_valid

from fhir_server.portal.forms import Problem

_LOOKALIKES = str.maketrans("OoIl", "0011")


def nhs_number_answer(form: Mapping[str, str], name: str) -> str | Problem:
    """Return the ten digits of an NHS number typed with or without spaces and hyphens, or what is wrong with it."""
    typed = form.get(name, "").strip()
    if not typed:
        return Problem("Enter an NHS number", f"#{name}")
    plain = unicodedata.normalize("NFKC", typed).translate(_LOOKALIKES)
    digits = "".join(char for char in plain if not char.isspace() and char not in "-‐‑–.")  # noqa: RUF001 - hyphens people paste
    if not digits.isdecimal() or not digits.isascii() or not is_valid(digits):
        return Problem("Enter a real NHS number: 10 digits, such as 943 476 5919", f"#{name}")
    return digits
