"""Purposes of use: what a caller may say it acts for, and what that opens; and which records are results."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.access import purposes
from fhir_server.access.ownership import is_result

_PROJECT = ("http://project", "study")


def test_a_caller_has_the_bits_of_its_purposes_and_keys_of_others() -> None:
    treat, others = purposes.of_caller(f"TREAT {purposes.SYSTEM}|CLINTRCH http://project|study NOSUCH")
    trial = purposes.covered_by("HRESCH") & treat & ~purposes.SOME
    assert trial
    assert not purposes.covered_by("HMARKT") & treat
    assert purposes.covered_by("TREAT") & treat & ~purposes.SOME
    assert others == (purposes.key(*_PROJECT),)
    assert purposes.of_caller("") == purposes.of_caller("NOSUCH") == (purposes.SOME, ())


def test_each_purpose_has_a_bit_of_its_own_beside_the_one_that_all_callers_have() -> None:
    own = [purposes.of_caller(code)[0] & ~purposes.SOME for code in purposes.codes()]
    assert purposes.SOME.bit_count() == 1
    assert [bit.bit_count() for bit in own] == [1] * len(own)
    assert len(set(own)) == len(own)
    assert all(not purposes.covered_by(code) & purposes.SOME for code in purposes.codes())


@pytest.mark.parametrize("text", ["BTG", f"{purposes.SYSTEM}|BTG"])
def test_no_caller_has_the_purpose_of_an_emergency_by_saying_so(text: str) -> None:
    assert purposes.of_caller(text) == (purposes.SOME, ())
    assert "BTG" not in set(purposes.codes())
    with pytest.raises(ValueError, match="must be codes"):
        purposes.check(text)


@pytest.mark.parametrize("text", ["", "NOSUCH", "TREAT NOSUCH", "http://project|", f"{purposes.SYSTEM}|NOSUCH"])
def test_purposes_that_nobody_can_have_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="TREAT"):
        purposes.check(text)


@pytest.mark.parametrize("text", ["TREAT", "TREAT HRESCH", "http://project|study", f"{purposes.SYSTEM}|PATRQT"])
def test_purposes_that_somebody_can_have_pass(text: str) -> None:
    purposes.check(text)


def _observation(*codes: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "category": [{"coding": [{"code": code}]} for code in codes]}


def test_reports_and_what_is_not_a_measurement_are_results() -> None:
    assert is_result({"resourceType": "DiagnosticReport"})
    assert not is_result({"resourceType": "Condition"})
    assert is_result(_observation())
    assert is_result(_observation("laboratory"))
    assert is_result(_observation("vital-signs", "laboratory"))
    for each in ("vital-signs", "social-history", "survey", "exam", "activity", "therapy"):
        assert not is_result(_observation(each)), each
    assert not is_result(_observation("vital-signs", "survey"))
