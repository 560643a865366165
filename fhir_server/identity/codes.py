"""Single-use secrets: tokens that travel in links, codes that people type."""

from __future__ import annotations

import hashlib
import hmac
import secrets

# Crockford's alphabet: no I, L, O, U; a typed O is a 0, a typed I or L a 1. Eight of them are 40 bits.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_AS_MEANT = str.maketrans("OIL", "011")
_CODE_CHARACTERS = 8
_LINK_CODE_CHARACTERS = 12


def new_token() -> str:
    """Return a token of 256 random bits for a link."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_code() -> str:
    """Return a code of eight characters as people read it: `7KQM-2X0P`."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(_CODE_CHARACTERS))
    return f"{code[:4]}-{code[4:]}"


def code_hash(code: str, owner: str) -> str:
    """Return what is stored of a code that goes with a link, another one for each owner (the invitation's id).

    A fast hash is right here, a slow one like argon2id buys nothing. The code is 40 random bits, not a word that
    somebody chose; guessed over the network it is limited to five wrong tries in 15 minutes. Who has a copy of the
    database could find it, but it opens nothing without its link, of which only the SHA-256 of 256 random bits is
    there (60 bits for a link on paper). And a file of 50,000 people costs a second, not an hour of a core.
    """
    return hashlib.blake2b(plain_code(code).encode(), key=owner.encode()[:64], digest_size=32).hexdigest()


def is_code(known_hash: str, typed: str, owner: str) -> bool:
    """Return whether a typed code is the one of this owner."""
    return hmac.compare_digest(known_hash.encode(), code_hash(typed, owner).encode())


def new_link_code() -> str:
    """Return a code of twelve characters that stands for a link on paper (60 bits): `7KQM-2X0P-9AHT`."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(_LINK_CODE_CHARACTERS))
    return "-".join((code[:4], code[4:8], code[8:]))


def plain_code(typed: str) -> str:
    """Return a typed code without spaces, hyphens and case, O read as 0, I and L as 1."""
    return "".join(c for c in typed.upper() if c.isalnum()).translate(_AS_MEANT)


def new_digits() -> str:
    """Return a code of six digits for a text message."""
    return f"{secrets.randbelow(10**6):06d}"


def plain_digits(typed: str) -> str:
    """Return typed digits without spaces and hyphens."""
    return "".join(c for c in typed if not c.isspace() and c != "-")
