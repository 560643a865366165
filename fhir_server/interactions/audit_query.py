"""Parse the search parameters of AuditEvent.

Supported: `patient`, `date`, `agent` (with `:not`: done by none of these), `action`, `type`, `subtype`, `outcome`,
`purpose` (ours), `entity`, `_id`, `_lastUpdated`, `_count`, `_sort`, `_total`, `_summary`. Values of one parameter
separated by commas are alternatives, repeated parameters must all hold
(https://hl7.org/fhir/R4/search.html#combining).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fhir_server.interactions import audit_parts as parts
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import OPEN_END, OPEN_START, date_interval, parse_reference
from fhir_server.store.events import Criteria
from fhir_server.store.instants import to_us
from fhir_server.store.keys import reference_key

CURSOR = "_cursor"
_COUNT_DEFAULT = 50
_COUNT_LIMIT = 1000
_ALTERNATIVES_LIMIT = 100
_NOT = "not"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REST = "http://hl7.org/fhir/restful-interaction"

# Which first subtypes an event type has: an event is stored under its subtype alone.
_TYPES = {
    "rest": ("http://terminology.hl7.org/CodeSystem/audit-event-type", tuple(code.value for code in Code)),
    "110100": (parts.DICOM, (*parts.ADMINISTRATION_ACTIONS, *parts.ACCOUNT_ACTIONS)),
    "110113": (parts.DICOM, ("110127", "110138", "AuthZ-Consent")),
    "110114": (parts.DICOM, ("110122", "110123")),
}
_SUBTYPES = {
    **{code.value: _REST for code in Code},
    **dict.fromkeys(("110122", "110123", "110127", "110138"), parts.DICOM),
    **dict.fromkeys((*parts.ADMINISTRATION_ACTIONS, *parts.ACCOUNT_ACTIONS), parts.ADMINISTRATION),
    "AuthZ-Consent": f"{parts.BALP}/CodeSystem/AuthZsubType",
}
_ACTIONS = dict.fromkeys("CRUDE", "http://hl7.org/fhir/audit-event-action")
_OUTCOMES = dict.fromkeys(("0", "4", "8", "12"), "http://terminology.hl7.org/CodeSystem/audit-event-outcome")
_SORTS = {"-date": False, "date": True, "-_lastUpdated": False, "_lastUpdated": True}
_IGNORED = frozenset({"_format", "_pretty"})


@dataclass(frozen=True, slots=True)
class Query:
    """A search that was understood.

    Attributes:
        criteria: What to search for.
        count: Page size; 0 asks for the total alone.
        oldest_first: Order of the page.
        total: The exact total was asked for.
        cursor: Sealed position of the page, "" for the first.
        kept: Parameters as understood, for the links.
    """

    criteria: Criteria
    count: int
    oldest_first: bool
    total: bool
    cursor: str
    kept: tuple[tuple[str, str], ...]


def parse(interaction: Interaction, context: Context) -> Query:
    """Return the search that an interaction asks for.

    Raises:
        FhirError: NOT_SUPPORTED (400) for an unknown parameter or modifier, unless handling is lenient; INVALID_VALUE
            (400) for a value it cannot understand.
    """
    groups: dict[str, list[tuple[Any, ...]]] = {}
    control: dict[str, str] = {}
    kept = []
    for name, value in interaction.query:
        if name in _IGNORED:
            continue
        if name in _CONTROL:
            control[name] = value
        elif name.partition(":")[0] in _CRITERIA and _supports(name):
            code, _, modifier = name.partition(":")
            field, read = _CRITERIA[code]
            if modifier == _NOT:
                field, modifier = f"not_{field}", ""
            values = [item for item in value.split(",") if item]
            if not values or len(values) > _ALTERNATIVES_LIMIT:
                raise _invalid(name, f"has 1 to {_ALTERNATIVES_LIMIT} values separated by commas")
            group = [each for item in values for each in read(_Value(code, modifier, item, context))]
            groups.setdefault(field, []).append(tuple(group))
        elif interaction.handling == "lenient":
            continue
        else:
            supported = ", ".join((*_CRITERIA, *(name for name in _CONTROL if name != CURSOR)))
            raise FhirError(Kind.NOT_SUPPORTED, f"{name[:64]!r} is not supported; supported on AuditEvent: {supported}")
        if name != CURSOR:
            kept.append((name, value))
    summary = control.get("_summary", "false")
    if summary not in {"count", "false"}:
        raise _invalid("_summary", "is count or false here")
    total = control.get("_total", "none")
    if total not in {"accurate", "estimate", "none"}:
        raise _invalid("_total", "is accurate, estimate or none")
    sort = control.get("_sort", "-date")
    if sort not in _SORTS:
        raise _invalid("_sort", f"is one of {', '.join(_SORTS)}")
    count = 0 if summary == "count" else _count(control.get("_count"))
    criteria = Criteria(**{name: tuple(values) for name, values in groups.items()})
    asked = count == 0 or total != "none"
    return Query(criteria, count, _SORTS[sort], asked, control.get(CURSOR, ""), tuple(kept))


@dataclass(frozen=True, slots=True)
class _Value:
    """One alternative of one parameter."""

    name: str
    modifier: str
    text: str
    context: Context


def _supports(name: str) -> bool:
    code, _, modifier = name.partition(":")
    if modifier == _NOT:
        return code == "agent"
    return not modifier or (code in {"agent", "entity", "patient"} and modifier.isalpha() and modifier[0].isupper())


def _invalid(name: str, rule: str) -> FhirError:
    return FhirError(Kind.INVALID_VALUE, f"{name[:64]} {rule}", (f"http.{name[:64]}",))


def _count(text: str | None) -> int:
    if text is None:
        return _COUNT_DEFAULT
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:  # noqa: PLR2004 - longer than any count
        raise _invalid("_count", "is a whole number")
    return min(int(text), _COUNT_LIMIT)


def _reference(value: _Value) -> Iterable[str]:
    text = f"{value.modifier}/{value.text}" if value.modifier and "/" not in value.text else value.text
    if "/" not in text and value.name == "patient":
        text = f"Patient/{text}"
    reference = parse_reference(text, value.context.fhir_base)
    if reference.type is None or (value.name == "patient" and reference.type != "Patient"):
        example = "Patient/123" if value.name == "patient" else "Practitioner/123"
        raise _invalid(value.name, f"is a reference to a resource of this server, such as {example}")
    if value.modifier and reference.type != value.modifier:
        return ()
    return (f"{reference.type}/{reference.id}",)


def _patient(value: _Value) -> Iterable[int]:
    return [reference_key(*reference.split("/")) for reference in _reference(value)]


def _among(codes: dict[str, str]) -> Callable[[_Value], Iterable[str]]:
    def read(value: _Value) -> Iterable[str]:
        system, separator, code = value.text.rpartition("|")
        if code not in codes:
            raise _invalid(value.name, f"is one of {', '.join(codes)}")
        return (code,) if not separator or system == codes[code] else ()

    return read


def _kinds_of_type(value: _Value) -> Iterable[str]:
    _among({code: system for code, (system, _) in _TYPES.items()})(value)
    system, separator, code = value.text.rpartition("|")
    return _TYPES[code][1] if not separator or system == _TYPES[code][0] else ()


def _purpose(value: _Value) -> Iterable[str]:
    system, separator, code = value.text.rpartition("|")
    if not _ID.fullmatch(code):
        raise _invalid(value.name, "is a code of v3-PurposeOfUse, such as TREAT")
    return (code,) if not separator or system == parts.ACT_REASON else ()


def _id(value: _Value) -> Iterable[str]:
    return (value.text,) if _ID.fullmatch(value.text) else ()


def _recorded(value: _Value) -> Iterable[tuple[int, int]]:
    """Return the intervals a date value allows (https://hl7.org/fhir/R4/search.html#date)."""
    prefix, text = value.text[:2], value.text[2:]
    if not prefix.isalpha():
        prefix, text = "eq", value.text
    try:
        low, high = date_interval(text)
    except ValueError as error:
        raise _invalid(value.name, str(error)) from error
    margin = abs(to_us(value.context.now()) - low) // 10
    allowed = {
        "eq": ((low, high),),
        "ne": ((OPEN_START, low), (high, OPEN_END)),
        "gt": ((high, OPEN_END),),
        "sa": ((high, OPEN_END),),
        "ge": ((low, OPEN_END),),
        "lt": ((OPEN_START, low),),
        "eb": ((OPEN_START, low),),
        "le": ((OPEN_START, high),),
        "ap": ((low - margin, high + margin),),
    }
    if prefix not in allowed:
        raise _invalid(value.name, f"has one of the prefixes {', '.join(allowed)}")
    return allowed[prefix]


_CONTROL = ("_count", "_sort", "_total", "_summary", CURSOR)
_CRITERIA: dict[str, tuple[str, Callable[[_Value], Iterable[Any]]]] = {
    "patient": ("patient", _patient),
    "date": ("recorded", _recorded),
    "_lastUpdated": ("recorded", _recorded),
    "agent": ("agent", _reference),
    "entity": ("entity", _reference),
    "type": ("kind", _kinds_of_type),
    "subtype": ("kind", _among(_SUBTYPES)),
    "action": ("action", _among(_ACTIONS)),
    "outcome": ("outcome", _among(_OUTCOMES)),
    "purpose": ("purpose", _purpose),
    "_id": ("id", _id),
}
SUPPORTED = tuple(_CRITERIA)
"""Search parameters of AuditEvent; the CapabilityStatement claims these."""
