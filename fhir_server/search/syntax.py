r"""The letters of the search language: names, lists, escapes, prefixes (https://hl7.org/fhir/R4/search.html#escaping).

Comes in: decoded text of one parameter. Goes out: its parts, or a `FhirError` 400 that names the parameter and the
syntax.
"""

from __future__ import annotations

import re

from fhir_server.spec.outcome import FhirError, Kind

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
VALUE_CHARACTERS = 8_192

_ESCAPE = re.compile(r"\\([,|$\\])")


def split(text: str, separator: str) -> list[str]:
    """Return the parts between separators that no backslash escapes; escapes stay for the next level."""
    if "\\" not in text:
        return text.split(separator)
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == separator:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]


def unescape(text: str) -> str:
    r"""Return the text with `\,`, `\|`, `\$` and `\\` resolved."""
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def split_prefix(text: str) -> tuple[str, str]:
    """Return comparison prefix (`eq` where none is written) and the rest."""
    if text[:2] in PREFIXES:
        return text[:2], text[2:]
    return "eq", text


def invalid(name: str, allowed: str) -> FhirError:
    """Return the refusal of a value: which parameter, and what it may be."""
    return FhirError(Kind.INVALID_VALUE, f"The search parameter '{shown(name)}' {allowed}")


def unsupported(name: str, allowed: str) -> FhirError:
    """Return the refusal of a parameter, modifier or feature."""
    return FhirError(Kind.NOT_SUPPORTED, f"The search parameter '{shown(name)}' {allowed}")


def shown(text: str) -> str:
    """Return a text of the caller short and printable enough to be quoted back."""
    cut = text[:64]
    return "".join(character if character.isprintable() else "?" for character in cut) + ("…" if text != cut else "")
