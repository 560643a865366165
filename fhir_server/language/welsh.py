"""What Welsh does to a word that comes after "and": no catalogue can say it, as the word is not known before."""

from __future__ import annotations

from typing import Final

CODE: Final = "cy"
_BEFORE_VOWELS: Final = "ac"
_ELSE: Final = "a"
_VOWELS: Final = frozenset("aâeêiîoôuûwŵyŷ")
_SPOKEN_WITH_A_VOWEL: Final = frozenset({"1", "8", "11"})
"""Numbers in figures that begin with a vowel when they are read out: un, wyth, un ar ddeg."""
_ASPIRATED: Final = {"c": "ch", "p": "ph", "t": "th"}
_DIGRAPHS: Final = ("ch", "ph", "th")


def and_(text: str) -> str:
    """Return what follows in a list, with its "and": `ac alergeddau`, `a chynlluniau gofal`, `a llythyrau`.

    Args:
        text: Words of ours begin with a small letter. Names, which nothing changes, begin with a capital, and so does
            what is between quotation marks.
    """
    first = text.split(maxsplit=1)[0].lstrip("“(").casefold() if text.strip() else ""
    if first[:1] in _VOWELS or first in _SPOKEN_WITH_A_VOWEL:
        return f"{_BEFORE_VOWELS} {text}"
    changed = _ASPIRATED.get(text[:1]) if not text.startswith(_DIGRAPHS) else None
    return f"{_ELSE} {changed + text[1:] if changed else text}"
