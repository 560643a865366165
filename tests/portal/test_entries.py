"""A professional adds to a record: what may be entered, what it becomes, who is told, and whom consent stops."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.identity import news
from fhir_server.portal.models.entry import KINDS, Entry, pdf_problem
from fhir_server.store import messages
from tests.portal.conftest import AMELIA, CONSULTANT, GP, Person
from tests.portal.test_tasks import EMERGENCY, RECORD
from tests.server import Server

NOW = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
DAY = {"taken-day": "3", "taken-month": "5", "taken-year": "2026"}
VISIT = {"title": "Review", "day-day": "6", "day-month": "may", "day-year": "2026", "time": "14:30", "minutes": "20"}
LETTER = {"title": "After your visit", "how": "text", "text": "All is well.", "label": "general"}
_ENTRY = re.compile(r'name="entry" value="([0-9a-f]{32})"')


def made(kind: str, **form: str) -> Entry:
    found = KINDS[kind].parsed(form, NOW)
    assert isinstance(found, Entry), found
    return found


def test_a_result_says_whether_it_is_in_its_range() -> None:
    for value, low, high, verdict in (
        ("5.40", "", "", None),
        ("5.40", "4", "6", "N"),
        ("3.9", "4", "", "L"),
        ("6.1", "", "6", "H"),
    ):
        resource = made("result", test="2823-3", value=value, low=low, high=high, **DAY).resource
        assert str(resource["valueQuantity"]["value"]) == value, "to the digit"
        found = resource.get("interpretation")
        assert (found and found[0]["coding"][0]["code"]) == verdict, (value, low, high)


def test_what_cannot_be_entered_is_said_beside_its_field() -> None:
    result = {"test": "2823-3", "value": "5", **DAY}
    for kind, form, field in (
        ("letter", {"how": "text", "text": "x"}, "#title"),
        ("letter", {"title": "x", "text": "x"}, "#how"),
        ("letter", {"title": "x", "how": "text"}, "#text"),
        ("letter", {"title": "x" * 101, "how": "file"}, "#title"),
        ("note", {"title": "x", "text": "x" * 20_001}, "#text"),
        ("result", result | {"test": "1-1"}, "#test"),
        ("result", result | {"value": "high"}, "#value"),
        ("result", result | {"value": "1e9"}, "#value"),
        ("result", result | {"value": "-1"}, "#value"),
        ("result", result | {"value": "NaN"}, "#value"),
        ("result", result | {"low": "6", "high": "5"}, "#low"),
        ("result", result | {"taken-day": "5"}, "#taken-day"),
        ("appointment", VISIT | {"time": "25:00"}, "#time"),
        ("appointment", VISIT | {"time": "99999999999:00"}, "#time"),
        ("appointment", VISIT | {"day-month": "12", "day-day": "31", "day-year": "9999", "time": "23:59"}, "#day-day"),
        ("appointment", VISIT | {"minutes": "0"}, "#minutes"),
        ("appointment", VISIT | {"minutes": "²"}, "#minutes"),
        ("appointment", VISIT | {"day-year": "2025"}, "#day-day"),
        ("appointment", VISIT | {"place": "x" * 101}, "#place"),
    ):
        found = KINDS[kind].parsed(form, NOW)
        assert isinstance(found, list), (kind, form)
        assert [each.href for each in found] == [field], (kind, form)
    for content, said in (
        (b"", "Choose the PDF"),
        (b"<svg/>", "whole PDF"),
        (b"%PDF-1.4", "whole PDF"),
        (PDF + b" " * 5_000_000, "smaller"),
    ):
        assert said in pdf_problem(content), content[:9]
    assert pdf_problem(PDF) == ""


def added(person: Person, kind: str, form: dict[str, Any], file: bytes | None = None) -> tuple[str, dict[str, Any]]:
    """Go through the check to the end; return the last page and the form that was sent."""
    check = person.send(f"{RECORD}/add/{kind}", form)
    found = _ENTRY.search(check.text)
    assert found, check.text
    sent: dict[str, Any] = form | {"step": "save", "entry": found[1]}
    if file is not None:
        sent["file"] = (io.BytesIO(file), "letter.pdf")
    return person.follow(person.send(f"{RECORD}/add/{kind}", sent)), sent


def test_what_is_added_is_found_by_the_patient_who_is_told_nothing_of_it(server: Server) -> None:
    helen, amelia = Person(server, GP), Person(server, AMELIA)
    server.clock.advance(minutes=1)
    today = server.clock()
    assert "A letter is in the record now" in added(helen, "letter", LETTER)[0]
    _, sent = added(helen, "letter", LETTER | {"title": "As a file", "how": "file"}, PDF)
    when = {"taken-day": str(today.day), "taken-month": str(today.month), "taken-year": str(today.year)}
    added(helen, "result", {"test": "2823-3", "value": "5.40", "high": "5.3", "label": "general", **when})
    visit = VISIT | {"day-year": str(today.year + 1), "title": "Review of tablets", "label": "general"}
    added(helen, "appointment", visit)
    added(helen, "note", {"title": "Agreed today", "text": "Walk\nevery day.", "label": "general"})
    letters = amelia.get("/record/letters")
    for title, place in (("After your visit", letters), ("As a file", letters), ("Agreed today", "")):
        assert title in (place or amelia.get("/record/notes")), title
    assert "Agreed today" not in letters
    path = re.search(r'href="(/record/letters/[^"]+)"[^>]*>(?:<[^>]+>|\s)*As a file', letters)
    assert path
    assert amelia.open(f"{path[1]}/files/0").data == PDF
    assert "Review of tablets" in amelia.get("/record/appointments")
    news.tell_due(server.store, server.clock(), timedelta())
    assert mails(server) == ["record-news {}"], "that there is something, and not what"
    again = sent | {"file": (io.BytesIO(PDF), "letter.pdf")}
    helen.follow(helen.send(f"{RECORD}/add/letter", again))
    assert amelia.get("/record/letters").count("As a file") == letters.count("As a file"), "a second click adds nothing"
    both = LETTER | {"title": "Clicked twice", "step": "save", "entry": "0" * 32}
    browsers = (helen, Person(server, GP))
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda browser: browser.send(f"{RECORD}/add/letter", both).status_code, browsers))
    assert answers == [303, 303]
    assert amelia.get("/record/letters").count("Clicked twice") == 1, "nor do two clicks at once"


def mails(server: Server) -> list[str]:
    """Return kind and details of the messages to the patient."""
    with server.store.write() as session:
        due = messages.lease(session, server.clock(), timedelta(minutes=2))
    return [f"{each.kind} {each.details}" for each in due if each.recipient == AMELIA and each.kind != "access-log"]


def test_only_what_is_shared_can_be_added_and_nothing_in_an_emergency(server: Server) -> None:
    helen, priya = Person(server, GP), Person(server, CONSULTANT)
    form = LETTER | {"label": "mental-health"}
    check = helen.send(f"{RECORD}/add/letter", form)
    entry = _ENTRY.search(check.text)
    assert entry
    refused = helen.send(f"{RECORD}/add/letter", form | {"step": "save", "entry": entry[1]})
    assert refused.status_code == 403
    assert "You cannot add this" in refused.text
    assert "After your visit" not in Person(server, AMELIA).get("/record/letters")
    wrong = LETTER | {"how": "file"}
    check = helen.send(f"{RECORD}/add/letter", wrong)
    entry = _ENTRY.search(check.text)
    assert entry
    html = {"step": "save", "entry": entry[1], "file": (io.BytesIO(b"<html>"), "letter.pdf")}
    assert "The file must be a whole PDF" in helen.send(f"{RECORD}/add/letter", wrong | html).text
    assert priya.open(f"{RECORD}/add").status_code == 404
    priya.follow(priya.send("/emergency-access", EMERGENCY))
    assert f"{RECORD}/add" not in priya.get(RECORD)
    assert priya.open(f"{RECORD}/add").status_code == 404
    assert priya.send(f"{RECORD}/add/letter", LETTER).status_code == 404
