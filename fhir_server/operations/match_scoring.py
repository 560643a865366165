"""How alike two descriptions of a person are: demographics of a Patient against those of another, as score and grade.

Each fact that is asked for agrees wholly, partly or not at all with what is stored; a fact that the record lacks tells
nothing and costs certainty. https://hl7.org/fhir/R4/valueset-match-grade.html names the grades.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fhir_server.search.string import comparable

Json = Mapping[str, Any]

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
_PROBABLE, _POSSIBLE = 0.8, 0.5
_WEIGHTS = {
    "nhs": 40,
    "identifier": 30,
    "birth": 20,
    "family": 15,
    "given": 10,
    "postcode": 10,
    "telecom": 10,
    "gender": 3,
}
_UNKNOWN_SHARE = 0.3
"""Part of a fact's weight that counts against a record which lacks it."""
_ONE_SLIP, _SHORTER, _HALF = 0.8, 0.6, 0.5
_TELLING = frozenset({"male", "female"})
_DIGITS = re.compile(r"[0-9]")
_PHONE_DIGITS = 9
"""The end of a telephone number that is the same with and without the code of its country."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHORTEST_WITH_SLIP = 4
_OUTWARD = -3


class Grade(Enum):
    """How sure it is that two descriptions are of one person, the surest first."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"
    NOT = "certainly-not"


@dataclass(frozen=True, slots=True)
class Person:
    """The facts of a Patient that people are told apart by, as they are compared.

    Attributes:
        nhs: NHS numbers.
        identifiers: Other identifiers with their system.
        birth: Date of birth, perhaps partial, "" for none.
        family, given: Names of any use, former ones as well.
        gender: `male` or `female`; "" for anything that tells nobody apart.
        postcodes: Without spaces, upper case.
        telecom: E-mail addresses, and the ends of telephone numbers.
    """

    nhs: frozenset[str]
    identifiers: frozenset[tuple[str, str]]
    birth: str
    family: frozenset[str]
    given: frozenset[str]
    gender: str
    postcodes: frozenset[str]
    telecom: frozenset[str]

    @property
    def facts(self) -> frozenset[str]:
        """Return the names of the facts that are there."""
        found = {
            "nhs": self.nhs,
            "identifier": self.identifiers,
            "birth": self.birth,
            "family": self.family,
            "given": self.given,
            "gender": self.gender,
            "postcode": self.postcodes,
            "telecom": self.telecom,
        }
        return frozenset(name for name, value in found.items() if value)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How alike two persons are: a score from 0 to 1, and the grade."""

    score: float
    grade: Grade


def person(patient: Json) -> Person:
    """Return the facts of a Patient resource."""
    named = [(each.get("system", ""), each.get("value", "")) for each in patient.get("identifier", ())]
    names = patient.get("name", ())
    gender = patient.get("gender", "")
    return Person(
        frozenset("".join(value.split()) for system, value in named if system == NHS_NUMBER and value),
        frozenset((system, value) for system, value in named if system not in {"", NHS_NUMBER} and value),
        str(patient.get("birthDate") or ""),
        frozenset(filter(None, (_name(each.get("family")) for each in names))),
        frozenset(filter(None, (_name(text) for each in names for text in each.get("given", ())))),
        gender if gender in _TELLING else "",
        frozenset(filter(None, (_postcode(each.get("postalCode")) for each in patient.get("address", ())))),
        frozenset(filter(None, (_reached(each.get("value")) for each in patient.get("telecom", ())))),
    )


def verdict(asked: Person, stored: Person) -> Verdict:
    """Return how alike a stored person is to the one asked for."""
    agreement = {name: degree for name, degree in _agreement(asked, stored) if degree is not None}
    if "nhs" in agreement and not agreement["nhs"]:
        # Two people with two numbers, however much else they share: twins do.
        return Verdict(0.0, Grade.NOT)
    known = sum(_WEIGHTS[name] for name in agreement)
    unknown = sum(_WEIGHTS[name] for name in asked.facts - agreement.keys()) * _UNKNOWN_SHARE
    if not known:
        return Verdict(0.0, Grade.NOT)
    score = round(sum(_WEIGHTS[name] * degree for name, degree in agreement.items()) / (known + unknown), 4)
    return Verdict(score, _grade(score, agreement))


def _grade(score: float, agreement: Mapping[str, float]) -> Grade:
    named = max(agreement.get("family", 0), agreement.get("given", 0))
    identified = max(agreement.get("nhs", 0), agreement.get("identifier", 0)) == 1 and agreement.get("birth") == 1
    whole = all(agreement.get(name) == 1 for name in ("family", "given", "birth", "gender", "postcode"))
    contradicted = agreement.get("family", 1) == 0 and agreement.get("given", 1) == 0
    if (identified and named >= _HALF) or (whole and min(agreement.values()) > 0):
        return Grade.CERTAIN
    if score >= _PROBABLE and not contradicted:
        return Grade.PROBABLE
    return Grade.POSSIBLE if score >= _POSSIBLE else Grade.NOT


def _agreement(asked: Person, stored: Person) -> Iterable[tuple[str, float | None]]:
    """Yield how far each fact agrees, from 0 to 1; None where one of them lacks it."""
    yield "nhs", _any(asked.nhs, stored.nhs)
    # Identifiers of different systems say nothing about each other.
    systems = {system for system, _ in asked.identifiers} & {system for system, _ in stored.identifiers}
    yield "identifier", _any(asked.identifiers, stored.identifiers) if systems else None
    yield "birth", _birth(asked.birth, stored.birth) if asked.birth and stored.birth else None
    yield "family", _best(asked.family, stored.family)
    yield "given", _best(asked.given, stored.given)
    yield "gender", float(asked.gender == stored.gender) if asked.gender and stored.gender else None
    yield "postcode", _postcodes(asked.postcodes, stored.postcodes)
    yield "telecom", _any(asked.telecom, stored.telecom)


def _any(one: frozenset[Any], other: frozenset[Any]) -> float | None:
    return float(bool(one & other)) if one and other else None


def _best(one: frozenset[str], other: frozenset[str]) -> float | None:
    return max(_name_degree(a, b) for a in one for b in other) if one and other else None


def _name_degree(one: str, other: str) -> float:
    if one == other:
        return 1.0
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) >= _SHORTEST_WITH_SLIP and _is_one_slip(shorter, longer):
        return _ONE_SLIP
    if len(shorter) == 1 and longer.startswith(shorter):
        return _HALF
    return _SHORTER if set(shorter.split()) & set(longer.split()) else 0.0


def _birth(one: str, other: str) -> float:
    if one == other:
        return 1.0
    shorter, longer = sorted((one, other), key=len)
    if longer.startswith(f"{shorter}-"):
        return _SHORTER
    if not _DAY.fullmatch(one) or not _DAY.fullmatch(other):
        return 0.0
    year, month, day = one.split("-")
    if other == f"{year}-{day}-{month}":
        return _SHORTER
    return _HALF if _is_one_slip(one, other) else 0.0


def _is_one_slip(shorter: str, longer: str) -> bool:
    """Return whether one character more, another or two swapped tell two texts apart; the first is no longer."""
    if len(longer) - len(shorter) > 1:
        return False
    at = next((index for index, pair in enumerate(zip(shorter, longer, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        return True
    if len(longer) > len(shorter):
        return shorter[at:] == longer[at + 1 :]
    swapped = shorter[at : at + 2] == longer[at : at + 2][::-1] and shorter[at + 2 :] == longer[at + 2 :]
    return swapped or shorter[at + 1 :] == longer[at + 1 :]


def _postcodes(one: frozenset[str], other: frozenset[str]) -> float | None:
    if not one or not other:
        return None
    if one & other:
        return 1.0
    return _HALF if {each[:_OUTWARD] for each in one} & {each[:_OUTWARD] for each in other} else 0.0


def _name(text: str | None) -> str:
    return comparable(text) if text else ""


def _postcode(text: str | None) -> str:
    return "".join((text or "").split()).upper()


def _reached(text: str | None) -> str:
    if not text or "@" in text:
        return (text or "").strip().casefold()
    return "".join(_DIGITS.findall(text))[-_PHONE_DIGITS:]
