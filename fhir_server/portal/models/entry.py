"""What a professional adds to a record: letter, result, appointment or note, from a form to a FHIR resource."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.models.note import BY_PROFESSIONAL
from fhir_server.portal.models.words import LONDON, spoken_day, spoken_time

LONGEST_TITLE: Final = 100
LONGEST_TEXT: Final = 20_000
LARGEST_FILE_BYTES: Final = 5_000_000
_LOINC: Final = "http://loinc.org"
_UCUM: Final = "http://unitsofmeasure.org"
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_INTERPRETATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_LONGEST_VISIT: Final = 600
_FURTHEST: Final = timedelta(days=3_652)
_MOST_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Test:
    """A test whose result can be entered, with the one unit it is entered in."""

    loinc: str
    name: str
    unit: str
    ucum: str


TESTS: Final = (
    Test("59261-8", "HbA1c", "mmol/mol", "mmol/mol"),
    Test("718-7", "Haemoglobin", "g/L", "g/L"),
    Test("2160-0", "Creatinine", "µmol/L", "umol/L"),
    Test("2823-3", "Potassium", "mmol/L", "mmol/L"),
    Test("2951-2", "Sodium", "mmol/L", "mmol/L"),
    Test("2093-3", "Total cholesterol", "mmol/L", "mmol/L"),
    Test("3016-3", "Thyroid stimulating hormone (TSH)", "mU/L", "m[IU]/L"),
    Test("1988-5", "C-reactive protein (CRP)", "mg/L", "mg/L"),
)
_TEST_BY_CODE: Final = {test.loinc: test for test in TESTS}


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it was answered.

    Attributes:
        lines: What the check page shows, in words: question and answer.
        resource: The FHIR resource, as yet without whose it is, who wrote it and its label.
        wants_file: Whether a PDF has still to come.
    """

    lines: tuple[tuple[str, str], ...]
    resource: dict[str, Any]
    wants_file: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of entry.

    Attributes:
        code: Its name in addresses.
        title: What the page asks for.
        meaning: One line on when to choose it.
        list_path: Where it is found in the record afterwards.
        parsed: Makes the entry of a form's answers, or says what is wrong with them.
    """

    code: str
    title: str
    meaning: str
    list_path: str
    parsed: Callable[[Mapping[str, str], datetime], Entry | list[Problem]]


def letter(form: Mapping[str, str], now: datetime) -> Entry | list[Problem]:
    """Return a letter, as text or with a PDF to come."""
    title, problems = _title(form, "Enter what the letter is about")
    as_file = form.get("how") == "file"
    if form.get("how") not in {"file", "text"}:
        problems.append(Problem("Choose whether the letter is a PDF or text", "#how"))
    text = _text(form)
    if form.get("how") == "text":
        problems += _wrong_text(text, "Write the letter")
    if problems:
        return problems
    lines = (("Title", title), ("The letter", "A PDF" if as_file else text))
    return Entry(lines, _document("11488-4", "Consult note", title, "" if as_file else text, now), wants_file=as_file)


def note(form: Mapping[str, str], now: datetime) -> Entry | list[Problem]:
    """Return a note, always text."""
    title, problems = _title(form, "Enter what the note is about")
    text = _text(form)
    problems += _wrong_text(text, "Write the note")
    if problems:
        return problems
    return Entry((("Title", title), ("The note", text)), _document(BY_PROFESSIONAL, "Note", title, text, now))


def result(form: Mapping[str, str], now: datetime) -> Entry | list[Problem]:
    """Return one result of one test, with the expected range where it was given."""
    problems: list[Problem] = []
    test = _TEST_BY_CODE.get(form.get("test", ""))
    if test is None:
        problems.append(Problem("Choose the test", "#test"))
    value = _number(form, "value", "the result", problems, wanted=True)
    low, high = (_number(form, name, "the end of the range", problems) for name in ("low", "high"))
    if low is not None and high is not None and low > high:
        problems.append(Problem("The lower end of the range must not be above the upper end", "#low"))
    day = day_answer(form, "taken", "the day of the sample")
    if isinstance(day, Problem):
        problems.append(day)
    elif day > now.astimezone(LONDON).date():
        problems.append(Problem("The day of the sample must be today or in the past", "#taken-day"))
    if problems or test is None or value is None or isinstance(day, Problem):
        return problems
    ends = [(name, end) for name, end in (("low", low), ("high", high)) if end is not None]
    spoken = " to ".join(f"{end}" for _, end in ends) if len(ends) == len(("low", "high")) else ""
    lines = (
        ("Test", test.name),
        ("Result", f"{value} {test.unit}"),
        ("Expected range", spoken or ", ".join(f"{name} {end}" for name, end in ends) or "Not given"),
        ("Day of the sample", spoken_day(day)),
    )
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORY, "code": "laboratory", "display": "Laboratory"}]}],
        "code": {"coding": [{"system": _LOINC, "code": test.loinc}], "text": test.name},
        "effectiveDateTime": day.isoformat(),
        "valueQuantity": _quantity(test, value),
    }
    if ends:
        verdict = "L" if low is not None and value < low else "H" if high is not None and value > high else "N"
        resource["referenceRange"] = [{name: _quantity(test, end) for name, end in ends}]
        resource["interpretation"] = [{"coding": [{"system": _INTERPRETATION, "code": verdict}]}]
    return Entry(lines, resource)


def appointment(form: Mapping[str, str], now: datetime) -> Entry | list[Problem]:
    """Return an appointment that is booked: what for, when and for how long, where, what to do."""
    title, problems = _title(form, "Enter what the appointment is for")
    day = day_answer(form, "day", "the day")
    if isinstance(day, Problem):
        problems.append(day)
    clock = _clock(form, problems)
    minutes = _minutes(form, problems)
    place, what_to_do = (" ".join(form.get(name, "").split()) for name in ("place", "instructions"))
    problems += [
        Problem(f"Use {limit} characters or fewer", f"#{name}")
        for name, answer, limit in (("place", place, LONGEST_TITLE), ("instructions", what_to_do, 1_000))
        if len(answer) > limit
    ]
    if problems or isinstance(day, Problem) or clock is None:
        return problems
    start = datetime.combine(day, clock, LONDON)
    if start <= now:
        return [Problem("The appointment must be in the future", "#day-day")]
    if start > now + _FURTHEST:
        return [Problem("The appointment must be within the next 10 years", "#day-day")]
    lines = [("What for", title), ("When", f"{start:%A} {spoken_day(day)}, {spoken_time(clock)}, {minutes} minutes")]
    lines += [(name, answer) for name, answer in (("Where", place), ("What to do", what_to_do)) if answer]
    resource: dict[str, Any] = {
        "resourceType": "Appointment",
        "status": "booked",
        "description": title,
        "start": start.isoformat(timespec="seconds"),
        "end": (start + timedelta(minutes=minutes)).isoformat(timespec="seconds"),
        "participant": [{"actor": {"display": place}, "status": "accepted"}] if place else [],
    }
    return Entry(tuple(lines), resource | ({"patientInstruction": what_to_do} if what_to_do else {}))


KINDS: Final = {
    kind.code: kind
    for kind in (
        Kind("letter", "A letter", "A PDF, or text that you write here", "/letters", letter),
        Kind("result", "A test result", "One value with its expected range", "/results", result),
        Kind("appointment", "An appointment", "With you, at a place and time", "/appointments", appointment),
        Kind("note", "A note", "Text that the person and those they share with can read", "/notes", note),
    )
}


def pdf_problem(content: bytes) -> str:
    """Return why a file cannot be added, "" where it can: by what is in it, whatever its name or type say."""
    if not content:
        return "Choose the PDF"
    if len(content) > LARGEST_FILE_BYTES:
        return f"The PDF must be smaller than {LARGEST_FILE_BYTES // 1_000_000} MB"
    return "" if content.startswith(b"%PDF-") and b"%%EOF" in content[-2048:] else "The file must be a whole PDF"


def _document(loinc: str, display: str, title: str, text: str, now: datetime) -> dict[str, Any]:
    content = text.encode()
    attachment = {"contentType": "text/plain", "data": base64.b64encode(content).decode(), "size": len(content)}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [{"system": _LOINC, "code": loinc, "display": display}]},
        "description": title,
        "date": now.isoformat(timespec="seconds"),
        "content": [{"attachment": attachment}] if text else [],
    }


def _title(form: Mapping[str, str], missing: str) -> tuple[str, list[Problem]]:
    title = " ".join(form.get("title", "").split())
    if not title:
        return "", [Problem(missing, "#title")]
    if len(title) > LONGEST_TITLE:
        return title, [Problem(f"Use {LONGEST_TITLE} characters or fewer", "#title")]
    return title, []


def _text(form: Mapping[str, str]) -> str:
    return "\n".join(line.rstrip() for line in form.get("text", "").strip().splitlines())


def _wrong_text(text: str, missing: str) -> list[Problem]:
    if not text:
        return [Problem(missing, "#text")]
    return [Problem(f"Use {LONGEST_TEXT:,} characters or fewer", "#text")] if len(text) > LONGEST_TEXT else []


def _number(
    form: Mapping[str, str], name: str, what: str, problems: list[Problem], *, wanted: bool = False
) -> Decimal | None:
    text = form.get(name, "").strip()
    if not text and not wanted:
        return None
    try:
        value = Decimal(text) if len(text) <= _MOST_DIGITS else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    if value.is_finite() and value >= 0 and "e" not in text.lower():
        return value
    problems.append(Problem(f"Enter {what} as a number, such as 5.4", f"#{name}"))
    return None


def _clock(form: Mapping[str, str], problems: list[Problem]) -> time | None:
    hours, colon, minutes = form.get("time", "").strip().replace(".", ":").partition(":")
    try:
        return time(int(hours), int(minutes) if colon else 0)
    except (ValueError, OverflowError):
        problems.append(Problem("Enter the time as hours and minutes, such as 14:30", "#time"))
        return None


def _minutes(form: Mapping[str, str], problems: list[Problem]) -> int:
    text = form.get("minutes", "").strip()
    if text.isascii() and text.isdigit() and len(text) <= len(str(_LONGEST_VISIT)) and 1 <= int(text) <= _LONGEST_VISIT:
        return int(text)
    problems.append(Problem(f"Enter how many minutes it takes, 1 to {_LONGEST_VISIT}", "#minutes"))
    return 0


def _quantity(test: Test, value: Decimal) -> dict[str, Any]:
    return {"value": value, "unit": test.unit, "system": _UCUM, "code": test.ucum}
