"""Names of apps that people are asked to trust: readable, and not made to pass for another's."""

from __future__ import annotations

import unicodedata

LONGEST_NAME_CHARS = 100
_MIXED_WRITING = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"})
"""Scripts that are written together, and with Latin letters, as a matter of course."""
_LOOKALIKES = str.maketrans(
    "аɑавеёзкмнорсстухіїјѕԁԛԝһ" + "αβγεζηικμνορτυχω" + "ıłøđ" + "01l35",
    "aaabee3kmhopcctyxiijsdqwh" + "aByeZnikmvoptuxw" + "iiod" + "oiies",
)
"""Letters of other alphabets, and digits, that look like a Latin letter."""


def problem_of_name(text: str) -> str:
    """Return what is wrong with the name of an app, "" for nothing."""
    if not text.strip():
        return "is missing"
    if len(text) > LONGEST_NAME_CHARS:
        return f"must have at most {LONGEST_NAME_CHARS} characters"
    if not text.isprintable():
        return "must not have control or invisible characters"
    if unicodedata.normalize("NFKC", text) != text or text != text.strip():
        return "must be plain text in Unicode form NFKC, without spaces around it"
    if any(unicodedata.combining(first) and unicodedata.combining(second) for first, second in zip(text, text[1:])):  # noqa: B905, RUF007 - neighbours
        return "must not pile up accents"
    if not any(character.isalnum() for character in text):
        return "needs a letter or digit"
    if len(_scripts(text) - _MIXED_WRITING) > 1:
        return "must not mix alphabets whose letters look alike"
    return ""


def skeleton(text: str) -> str:
    """Return a name without what the eye passes over: two names with one skeleton look alike."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in plain.translate(_LOOKALIKES).casefold().translate(_LOOKALIKES) if c.isalnum())


def _scripts(text: str) -> set[str]:
    letters = (character for character in text if character.isalpha())
    return {unicodedata.name(letter, "UNNAMED").partition(" ")[0] for letter in letters}
