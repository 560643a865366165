"""Passwords and other secrets that people remember: which are good enough, how they are kept and compared.

Rules after NIST SP 800-63B §5.1.1.2: length counts, known and guessable ones are refused, no composition rules.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_CHARACTERS = 12
MAX_CHARACTERS = 256
_MIN_SCORE = 3
_SCORED_CHARACTERS = 72
"""zxcvbn takes no more; the beginning of a longer password decides."""

# Second of the OWASP recommendations for argon2id: 19 MiB, 2 passes; several sign-ins at once fit a small machine.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_WORD = re.compile(r"[^\W_]{3,}")


def problem(password: str, personal: Sequence[str] = ()) -> str:
    """Return what is wrong with a new password in plain words, "" where it is good.

    Args:
        password: As typed.
        personal: What a guesser would try first: name, e-mail address, date of birth.
    """
    if len(password) < MIN_CHARACTERS:
        return f"Password must be {MIN_CHARACTERS} characters or more"
    if len(password) > MAX_CHARACTERS:
        return f"Password must be {MAX_CHARACTERS} characters or fewer"
    if _normal(password).casefold() in _leaked():
        return "Password is in a list of passwords that were stolen before, so it is too easy to guess. Choose another"
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its dictionaries are 12 MB, which most processes never need

    words = [word.lower() for text in personal for word in _WORD.findall(text)]
    scored = zxcvbn(_normal(password)[:_SCORED_CHARACTERS], user_inputs=[*words, *(text.lower() for text in personal)])
    if scored["score"] < _MIN_SCORE:
        return "Password is too easy to guess. Three or four words that do not belong together make a good one"
    return ""


def hashed(secret: str) -> str:
    """Return the argon2id hash of a secret."""
    return _HASHER.hash(_normal(secret))


def matches(known_hash: str, secret: str) -> bool:
    """Return whether a secret is the one hashed; no hash ("") takes as long and is False."""
    try:
        _HASHER.verify(known_hash or _nobody(), _normal(secret))
    except (VerificationError, InvalidHashError):
        return False
    return bool(known_hash)


def is_outdated(known_hash: str) -> bool:
    """Return whether a hash was made with other costs than today's."""
    return _HASHER.check_needs_rehash(known_hash)


def plain_answer(answer: str) -> str:
    """Return a memorable answer without case, accents, punctuation and spare spaces, as people retype it."""
    letters = unicodedata.normalize("NFKD", answer).casefold()
    return " ".join(re.findall(r"\w+", "".join(c for c in letters if not unicodedata.combining(c))))


@cache
def _leaked() -> frozenset[str]:
    """Return the commonest passwords of published breaches, as zxcvbn ships them."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415 - as above

    return frozenset(FREQUENCY_LISTS["passwords"])


@cache
def _nobody() -> str:
    return _HASHER.hash("nobody has this password")


def _normal(secret: str) -> str:
    return unicodedata.normalize("NFKC", secret)
