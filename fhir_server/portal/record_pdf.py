"""A record as a PDF to print or to give to somebody: what matters most first, each entry with its source and date.

Letters are listed, not copied: each is a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fpdf import FPDF

from fhir_server.portal import fonts
from fhir_server.portal.models.appointment import Visit
from fhir_server.portal.models.letter import Letter
from fhir_server.portal.models.person import Person
from fhir_server.portal.models.result import Result
from fhir_server.portal.models.summary import Entry, Summary
from fhir_server.portal.models.words import LONDON, moment_of

_TITLE, _HEADING, _TEXT, _SMALL = 18, 13, 10, 8


@dataclass(frozen=True, slots=True)
class Copy:
    """What the file holds.

    Attributes:
        person: Whose record.
        summary: Alerts, allergies, medicines, conditions, vaccinations.
        results: The latest of each test.
        measurements: The latest of each measurement.
        appointments: Newest first.
        letters: Newest first.
        notes: What the patient wrote, newest first.
        is_whole: Whether the reader sees everything; a carer may not.
    """

    person: Person
    summary: Summary
    results: Sequence[Result]
    measurements: Sequence[Result]
    appointments: Sequence[Visit]
    letters: Sequence[Letter]
    notes: Sequence[Letter]
    is_whole: bool


class _Page(FPDF):
    """A page with whose it is, when it was made and its number at the foot."""

    def __init__(self, foot: str) -> None:
        super().__init__(format="A4")
        self._foot = foot
        fonts.embed(self)

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font(fonts.FAMILY, "", _SMALL)
        self.cell(0, 8, f"{self._foot} · page {self.page_no()} of {{nb}}", align="C")


def pdf(copy: Copy, brand: str, now: datetime) -> bytes:
    """Return the file."""
    made = moment_of(now).text
    page = _Page(f"{copy.person.name} · {brand} · {made}")
    page.set_lang("en-GB")
    page.set_title(f"Health record of {copy.person.name}")
    page.set_creation_date(now.astimezone(LONDON))
    page.set_margin(20)
    page.set_auto_page_break(auto=True, margin=20)
    page.add_page()
    _line(page, f"Health record of {copy.person.name}", _TITLE, bold=True)
    who = (copy.person.born and f"Born {copy.person.born}", copy.person.nhs_number)
    _line(page, " · NHS number ".join(filter(None, who)))
    part = "" if copy.is_whole else " It has only what is shared with whoever downloaded it."
    _line(page, f"Downloaded from {brand} on {made}.{part} There may be more in other places.", _SMALL, after_mm=3)
    _clinical(page, copy.summary)
    _tests(page, "Latest test results", copy.results, "No test results are recorded here.")
    _tests(page, "Latest measurements", copy.measurements, "No measurements are recorded here.")
    _others(page, copy)
    return bytes(page.output())


def _clinical(page: FPDF, summary: Summary) -> None:
    parts = (
        ("Alerts", summary.alerts, "", "Since"),
        (
            "Allergies",
            summary.allergies,
            "No allergies are recorded here. That does not mean there are none.",
            "Recorded",
        ),
        ("Medicines", summary.medicines, "No medicines are recorded here.", "Since"),
        ("Health conditions", summary.conditions, "No health conditions are recorded here.", "Since"),
        ("Vaccinations", summary.vaccinations, "No vaccinations are recorded here.", "Given"),
    )
    for title, entries, empty, since in parts:
        if entries or empty:
            _heading(page, title)
            _entries(page, entries, empty, since)


def _entries(page: FPDF, entries: Sequence[Entry], empty: str, since: str) -> None:
    if not entries:
        _line(page, empty)
    for entry in entries:
        _line(page, entry.name + (f" ({entry.tag.lower()})" if entry.tag else ""), bold=True, after_mm=0)
        facts = (entry.detail, f"{since} {entry.since.day}" if entry.since else "", entry.source)
        _line(page, " · ".join(filter(None, facts)), _SMALL)


def _tests(page: FPDF, title: str, tests: Sequence[Result], empty: str) -> None:
    _heading(page, title)
    if not tests:
        _line(page, empty)
    for test in tests:
        _line(page, f"{test.name}: {test.value}" + (f" ({test.words.lower()})" if test.words else ""), after_mm=0)
        expected = f"Expected: {test.range.text}" if test.range else ""
        facts = (expected, test.before, test.taken.day if test.taken else "", test.source)
        _line(page, " · ".join(filter(None, facts)), _SMALL)


def _others(page: FPDF, copy: Copy) -> None:
    _heading(page, "Appointments")
    _lines(
        page,
        (
            f"{one.start.text if one.start else 'No time yet'}: {one.title} ({one.status.lower()})"
            for one in copy.appointments
        ),
        "No appointments are recorded here.",
    )
    _heading(page, "Letters")
    _lines(
        page,
        (f"{one.sent.day if one.sent else 'No date'}: {one.title}, {one.source}" for one in copy.letters),
        "There are no letters here.",
    )
    if copy.notes:
        _heading(page, "Notes")
    for one in copy.notes:
        _line(page, f"{one.title}, entered by {', '.join(one.authors) or 'the patient'}", bold=True, after_mm=0)
        _line(page, one.text)


def _lines(page: FPDF, lines: Iterable[str], empty: str) -> None:
    _line(page, "\n".join(lines) or empty)


def _heading(page: FPDF, text: str) -> None:
    if page.will_page_break(25):
        page.add_page()
    page.ln(2)
    _line(page, text, _HEADING, bold=True)


def _line(page: FPDF, text: str, size: int = _TEXT, *, bold: bool = False, after_mm: float = 1.5) -> None:
    if not text:
        page.ln(after_mm)
        return
    page.set_font(fonts.FAMILY, "B" if bold else "", size)
    page.multi_cell(0, size * 0.5, text, align="L", new_x="LMARGIN", new_y="NEXT")
    page.ln(after_mm)
