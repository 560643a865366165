"""A person as NHS login states them, read once from userinfo that agrees with a verified ID token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from nhs_number.validate import is_valid

from fhir_server.identity.accounts import plain_email
from fhir_server.identity.invitations import plain_mobile
from fhir_server.identity.openid import OpenIdError, Problem

_NUMBER = re.compile(r"[0-9]{10}")
LEVEL = "P9"
VECTORS = ("P9.Cp.Cd", "P9.Cp.Ck", "P9.Cm")
"""The vectors of trust that open a record: identity checked against a document, and two factors."""
SHARED_CLAIMS = ("nhs_number", "birthdate", "family_name", "identity_proofing_level")
"""Claims that ID token and userinfo may both state."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as NHS login knows them.

    Attributes:
        level: `identity_proofing_level`: P0, P5 or P9.
        email: "" unless NHS login confirmed it.
        mobile: E.164, or "".
    """

    issuer: str
    subject: str
    level: str
    nhs_number: str
    birth_date: str
    family: str
    given: str
    email: str
    mobile: str


def identity_of(issuer: str, claims: Mapping[str, Any]) -> Identity:
    """Read what userinfo says of a person; the ID token vouches for `sub`.

    Raises:
        OpenIdError: LEVEL below P9; UNTRUSTED where a claim that P9 promises is missing or malformed.
    """
    level = claims.get("identity_proofing_level")
    if level != LEVEL:
        raise OpenIdError(Problem.LEVEL, "NHS login has not proved this person's identity to P9")
    number, family = _text(claims, "nhs_number"), _text(claims, "family_name")
    if not _NUMBER.fullmatch(number) or not is_valid(number) or not family or not _is_day(_text(claims, "birthdate")):
        raise OpenIdError(Problem.UNTRUSTED, "NHS login does not state NHS number, date of birth and surname")
    confirmed = claims.get("email_verified") in (True, "true")
    return Identity(
        issuer=issuer,
        subject=claims["sub"],
        level=level,
        nhs_number=number,
        birth_date=_text(claims, "birthdate"),
        family=family,
        given=_text(claims, "given_name"),
        email=plain_email(_text(claims, "email")) if confirmed else "",
        mobile=plain_mobile(_text(claims, "phone_number")) if claims.get("phone_number_verified") is not False else "",
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    found = claims.get(name)
    return found.strip() if isinstance(found, str) else ""


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
