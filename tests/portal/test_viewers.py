"""Who can see a record now, in plain words."""

from __future__ import annotations

import re
from typing import Any

from fhir_server.portal.models import viewers
from tests.portal.conftest import AMELIA, Person
from tests.server import Server

Json = dict[str, Any]
OWN = "Patient/1"


def _count(kind: str, total: int, name: str = "total") -> Json:
    return {"name": "count", "part": [{"name": "type", "valueCode": kind}, {"name": name, "valueUnsignedInt": total}]}


def _access(actor: Json, *parts: Json, reasons: tuple[str, ...] = ("consent",)) -> Json:
    why = [{"name": "reason", "valueCode": reason} for reason in reasons]
    return {"name": "access", "part": [{"name": "actor", "valueReference": actor}, *why, *parts]}


def _report(*entries: Json) -> Json:
    return {"resourceType": "Parameters", "parameter": [{"name": "policy", "valueUri": "x"}, *entries]}


def test_what_somebody_sees_is_counted_in_words() -> None:
    entry = _access(
        {"reference": "Organization/p", "display": "Old name"},
        _count("Observation", 12), _count("DocumentReference", 1), _count("Flag", 2), _count("Binary", 9),
    )  # fmt: skip
    (viewer,) = viewers.viewers(_report(entry), {"Organization/p": "The Practice"}, OWN)
    assert viewer.name == "The Practice"
    assert viewer.sees == "1 letter, 12 results and measurements and 2 other entries"
    assert viewer.why == ("You share with them",)
    assert viewer.until is None


def test_the_patient_and_whoever_sees_nothing_are_left_out() -> None:
    entries = (
        _access({"reference": OWN}, _count("Observation", 3), reasons=("owner",)),
        _access({"reference": "Practitioner/x"}),
    )
    assert viewers.viewers(_report(*entries), {}, OWN) == ()


def test_emergencies_come_first_with_their_end() -> None:
    ends = {"name": "emergency", "valuePeriod": {"start": "2026-11-22T09:00:00Z", "end": "2026-11-22T10:00:00Z"}}
    entries = (
        _access({"display": "Anyone who is signed in"}, _count("Patient", 1)),
        _access({"reference": "Practitioner/x"}, ends, _count("Observation", 1), reasons=("emergency",)),
    )
    first, second = viewers.viewers(_report(*entries), {"Practitioner/x": "Zoe"}, OWN)
    assert first.is_emergency
    assert first.until is not None
    assert first.until.time == "10am"
    assert (second.name, second.sees) == ("Anyone who is signed in", "your name and date of birth")


def test_a_share_ends_but_what_somebody_wrote_stays_theirs() -> None:
    period = {"name": "period", "valuePeriod": {"end": "2027-01-31T00:00:00Z"}}
    seen = _count("Observation", 1)
    entries = (
        _access({"reference": "Organization/a"}, period, seen),
        _access({"reference": "Organization/b"}, period, seen, reasons=("consent", "own-data")),
    )
    ending, staying = viewers.viewers(_report(*entries), {}, OWN)
    assert ending.until is not None
    assert ending.until.day == "31 January 2027"
    assert staying.until is None


def test_a_preview_says_before_and_after() -> None:
    count = _count("Observation", 0, "before")
    count["part"].append({"name": "after", "valueUnsignedInt": 2})
    preview = {"resourceType": "Parameters", "parameter": [count]}
    assert viewers.previewed(preview) == ("", "2 results and measurements", (("Results and measurements", 0, 2),))


def _text(page: str) -> str:
    return re.sub(r"<[^>]+>|\s+", " ", page).replace("  ", " ")


def test_the_sharing_page_shows_who_sees_how_much(server: Server) -> None:
    page = _text(Person(server, AMELIA).get("/sharing"))
    shared, _, others = page.partition("Who else can see something")
    assert re.search(r"Kenbourne Road Surgery.*That is today +\d+ letters, \d+ results", shared), shared[:1500]
    assert "Kenbourne" not in others.partition("Can no longer see it")[0], "each is there once"
    assert "They always see what they wrote themselves" in others


def test_choices_are_previewed_before_they_are_saved(server: Server) -> None:
    amelia = Person(server, AMELIA)
    answer = amelia.send("/sharing/with/Practitioner/priya-raman", {"labels": "general", "ends": "never"})
    assert re.search(r"They would see \d+ letter", _text(answer.text)), _text(answer.text)[:3000]
