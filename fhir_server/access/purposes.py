"""Purposes of use: codes of v3-ActReason as bits that know their kinds, and any other code as a key (access.md §3).

A Consent that names a purpose covers its kinds too (`HRESCH` covers `CLINTRCH`), as the code system's is-a has it. A
purpose of another system, such as a research project's, is compared as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fhir_server.store.keys import hash64

SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
DEFAULT: Final = "TREAT"
EMERGENCY: Final = "BTG"

# Each code with its kinds, below PurposeOfUse of http://terminology.hl7.org/CodeSystem/v3-ActReason.
_KINDS: Final[dict[str, str]] = {
    "HMARKT": "",
    "HOPERAT": "CAREMGT DONAT FRAUD GOV HACCRED HCOMPL HDECD HDIRECT HDM HLEGAL HOUTCOMS HPRGRP HQUALIMP HSYSADMIN "
    "LABELING METAMGT MEMADMIN MILCDM PATADMIN PATSFTY PERFMSR RECORDMGT SYSDEV TRAIN",
    "SYSDEV": "HTEST",
    "HPAYMT": "CLMATTCH COVAUTH COVERAGE REMITADV",
    "COVERAGE": "ELIGDTRM ELIGVER ENROLLM MILDCRG",
    "HRESCH": "BIORCH CLINTRCH DSRCH POARCH TRANSRCH",
    "CLINTRCH": "CLINTRCHNPC CLINTRCHPC PRECLINTRCH",
    "PATRQT": "FAMRQT PWATRNY SUPNWK",
    "PUBHLTH": "DISASTER THREAT",
    "TREAT": "CLINTRL COC ETREAT POPHLTH",
    "ETREAT": "BTG ERTREAT",
}
_CODES: Final = tuple(dict.fromkeys(code for head, kinds in _KINDS.items() for code in (head, *kinds.split())))
_BITS: Final = {code: 1 << index for index, code in enumerate(_CODES)}
SOME: Final = 1 << len(_CODES)
"""Set for every caller, whatever its purpose: what a provision without a purpose matches."""
ANY: Final = SOME


def known(code: str) -> bool:
    """Return whether v3-ActReason has this purpose of use."""
    return code in _BITS


def covered_by(code: str) -> int:
    """Return the bits of a purpose and all its kinds; KeyError for a code that is not a purpose of use."""
    return _BITS[code] | sum(covered_by(kind) for kind in _KINDS.get(code, "").split())


def key(system: str, code: str) -> int:
    """Return the key that a purpose of another code system is compared by."""
    return hash64(f"{system}|{code}")


def of_caller(text: str) -> tuple[int, tuple[int, ...]]:
    """Return (bits, keys of purposes of other systems) of a token's purposes: `CODE` or `system|code`, blank between.

    INVARIANT: `BTG` gives no bit: only breaking the glass opens what is for emergencies.
    """
    bits, others = SOME, []
    for word in text.split():
        system, bar, code = word.rpartition("|")
        if bar and system != SYSTEM:
            others.append(key(system, code))
        elif code != EMERGENCY:
            bits |= _BITS.get(code, 0)
    return bits, tuple(others)


def check(text: str) -> None:
    """Refuse purposes that no caller can have.

    Raises:
        ValueError: Saying what is allowed.
    """
    for word in text.split() or [""]:
        system, bar, code = word.rpartition("|")
        if (bar and system != SYSTEM and code) or (known(code) and code != EMERGENCY):
            continue
        raise ValueError(f"must be codes of v3-ActReason ({', '.join(codes())}) or system|code of another system")


def codes() -> Iterable[str]:
    """Return the codes of v3-ActReason that a caller may act for."""
    return (code for code in _CODES if code != EMERGENCY)
