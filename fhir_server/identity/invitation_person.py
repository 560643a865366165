"""Whom to invite: what a coordinator typed or a file says, in the one form that is stored, or what is wrong with it.

Names go into e-mails, letters and tables that other programs open: what could be read there as a formula, an address or
another person's name never gets in.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Final

import phonenumbers
from nhs_number.validate import is_valid

from fhir_server.identity.accounts import plain_email
from fhir_server.spec.outcome import FhirError, Issue, Kind

_LONGEST_NAME: Final = 100
_LONGEST_OTHER: Final = 320
_SEPARATORS: Final = re.compile(r"[\s-]")
_MOBILE: Final = re.compile(r"\+?[0-9 ().-]{6,30}")
_EARLIEST_BIRTH: Final = date(1890, 1, 1)
_IN_NAMES: Final = frozenset(" '\u2019\u2018-\u2010\u2011.\u00b7")
_ADDRESS: Final = re.compile(r"\w\.\w\w")
"""What mail programs make a link of; after the dot of `J. Hart` comes a space, after that of `J.R.` another dot."""
_ABBREVIATED: Final = re.compile(r"(?<!\w)(\w{1,3})\.(?=(\w)\w)")
"""The `St.` of `St.John`."""
_OF_NO_ALPHABET: Final = "\u00aa\u00ba\u02bb\u02bc"
_BEGINS_NAMES: Final = frozenset("'\u2019\u2018")
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that show nothing: by them two names would look the same, or be empty."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom to invite, as typed by the coordinator or read from a CSV row.

    Attributes:
        birth_date: `YYYY-MM-DD`.
        nhs_number: Ten digits, spaces and hyphens allowed; "" where there is none.
        email: "" where the link goes by letter.
        mobile: Any way of writing a number; United Kingdom where it has no country code.
        patient: `Patient/…`: the record exists already; the caller made it through the road where it did not.
    """

    given: str
    family: str
    birth_date: str
    nhs_number: str
    email: str
    mobile: str
    patient: str


def checked(person: Person, today: date) -> Person:
    """Return the details in the one form that is stored.

    Raises:
        FhirError: INVALID_VALUE with one issue per wrong detail, whose `expression` is the name of the field.
    """
    given, family = plain_name(person.given), plain_name(person.family)
    birth_date = _plain_birth_date(person.birth_date, today)
    number = _SEPARATORS.sub("", person.nhs_number)
    typed = person.email.strip()
    email, mobile = plain_invited_email(typed), plain_mobile(person.mobile)
    wrong = {
        "given": not given and "Enter the first name, in letters of one alphabet",
        "family": not family and "Enter the last name, in letters of one alphabet",
        "birth_date": not birth_date and "Enter a real date of birth, for example 27 3 1985",
        "nhs_number": number
        and not (number.isascii() and is_valid(number))
        and "Enter an NHS number with 10 digits, for example 943 476 5919",
        "email": typed and not email and "Enter an e-mail address in the correct format, like name@example.com",
        "mobile": not mobile and "Enter a mobile phone number, like 07700 900 982",
        "patient": not person.patient.startswith("Patient/") and "The person has no record yet",
    }
    issues = tuple(Issue("error", Kind.INVALID_VALUE.issue_code, text, (name,)) for name, text in wrong.items() if text)
    if issues:
        raise FhirError(Kind.INVALID_VALUE, issues[0].diagnostics, issues=issues)
    return Person(given, family, birth_date, number, email, mobile, person.patient)


def plain_mobile(typed: str) -> str:
    """Return a mobile number in E.164, "" where it is none."""
    if not _MOBILE.fullmatch(typed.strip()) or not typed.isascii():
        return ""
    try:
        number = phonenumbers.parse(typed, "GB")
    except phonenumbers.NumberParseException:
        return ""
    # Numbers reserved for examples (07700 900xxx) are possible, not valid; the demo uses them.
    if not phonenumbers.is_possible_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def plain_invited_email(typed: str) -> str:
    """Return an e-mail address in the form that is stored, "" where it is none or begins as a formula does."""
    return plain_email(typed) if typed[:1].isalnum() and len(typed) <= _LONGEST_OTHER else ""


def plain_name(typed: str) -> str:
    """Return a name in the form that is stored, "" where it is none.

    Letters of one alphabet, with apostrophes, hyphens, dots and spaces: a Cyrillic letter that looks like an `a` would
    let one name pass for another. Wide and ornamental letters become the ones they stand for. `St.John` becomes
    `St. John`, which no mail program takes for an address.
    """
    plain = "".join(each if each in _OF_NO_ALPHABET else unicodedata.normalize("NFKC", each) for each in typed)
    text = _ABBREVIATED.sub(_spaced, unicodedata.normalize("NFC", " ".join(plain.split())))
    if not text or len(text) > _LONGEST_NAME or typed != typed.strip("\x00") or _UNSEEN.search(typed):
        return ""
    letters = [character for character in text if character.isalpha()]
    rest = [character for character in text if not character.isalpha() and character not in _IN_NAMES]
    if (
        not letters
        or _ADDRESS.search(text)
        or any(not unicodedata.category(character).startswith("M") for character in rest)
    ):
        return ""
    begins_well = text[0].isalpha() or text[0] in _BEGINS_NAMES
    # The first word of a character's name is its alphabet: LATIN, CYRILLIC, GREEK, CJK.
    alphabets = {unicodedata.name(letter, "?").partition(" ")[0] for letter in letters if letter not in _OF_NO_ALPHABET}
    return text if begins_well and len(alphabets) == 1 else ""


def _spaced(found: re.Match[str]) -> str:
    return f"{found[1]}. " if found[1][0].isupper() and found[2].isupper() else found[0]


def _plain_birth_date(typed: str, today: date) -> str:
    try:
        day = date.fromisoformat(typed.strip())
    except ValueError:
        return ""
    return day.isoformat() if _EARLIEST_BIRTH <= day <= today else ""
