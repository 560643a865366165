"""What Welsh does to a word that comes after "and" or "or": no catalogue can say it, not knowing the word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CODE: Final = "cy"
_BEFORE_VOWELS: Final = "ac"
_ELSE: Final = "a"
_VOWELS: Final = frozenset("aâeêiîoôuûwŵyŷ")
_SPOKEN_WITH_A_VOWEL: Final = frozenset({"1", "8", "11"})
"""Numbers in figures that begin with a vowel when they are read out: un, wyth, un ar ddeg."""
_ASPIRATED: Final = {"c": "ch", "p": "ph", "t": "th"}
_SOFTENED: Final = {"p": "b", "t": "d", "c": "g", "b": "f", "d": "dd", "g": "", "m": "f", "ll": "l", "rh": "r"}
_DIGRAPHS: Final = ("ch", "dd", "ff", "ng", "ll", "ph", "rh", "th")
"""Letters of the Welsh alphabet that are written as two."""


def and_(text: str, *, is_name: bool = False) -> str:
    """Return what follows in a list, with its "and": `ac alergeddau`, `a chynlluniau gofal`, `a llythyrau`.

    Args:
        text: Words of ours begin with a small letter, unless they are between quotation marks.
        is_name: They are none of ours but somebody's name or a record's words, which nothing changes.
    """
    first = text.split(maxsplit=1)[0].lstrip("“(").casefold() if text.strip() else ""
    if first[:1] in _VOWELS or first in _SPOKEN_WITH_A_VOWEL:
        return f"{_BEFORE_VOWELS} {text}"
    return f"{_ELSE} {text if is_name else _mutated(text, _ASPIRATED)}"


def or_(text: str) -> str:
    """Return what follows in a list of which any will do, with its "or": `neu ganlyniadau labordy`."""
    return f"neu {_mutated(text, _SOFTENED)}"


def _mutated(text: str, table: Mapping[str, str]) -> str:
    letter = text[:2] if text.startswith(_DIGRAPHS) else text[:1]
    return table.get(letter, letter) + text.removeprefix(letter)
