"""Who can see a record now, in plain words: the answers of `$access-report` and `$preview-consent`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fhir_server import web
from fhir_server.portal.models.labels import Label, in_order
from fhir_server.portal.models.words import Json, Moment, display, first, items, listed, moment, reference


class Words(NamedTuple):
    """What entries of one type are called: all of them, one, several."""

    kind: str
    one: str
    many: str

    def counted(self, count: int) -> str:
        """Return `1 letter`, `2 letters`, in the language of the page."""
        return web.say_many(self.one, self.many, count) % {"count": count}


# In the order in which pages list them; what is not named here is an "other entry".
_WORDS: Final = {
    "DocumentReference": Words("Letters", "%(count)s letter", "%(count)s letters"),
    "Observation": Words(
        "Results and measurements", "%(count)s result or measurement", "%(count)s results and measurements"
    ),
    "DiagnosticReport": Words("Test reports", "%(count)s test report", "%(count)s test reports"),
    "Appointment": Words("Appointments", "%(count)s appointment", "%(count)s appointments"),
    "Encounter": Words("Visits", "%(count)s visit", "%(count)s visits"),
    "Condition": Words("Conditions", "%(count)s condition", "%(count)s conditions"),
    "MedicationRequest": Words("Prescriptions", "%(count)s prescription", "%(count)s prescriptions"),
    "MedicationStatement": Words("Medicines", "%(count)s medicine", "%(count)s medicines"),
    "AllergyIntolerance": Words("Allergies", "%(count)s allergy", "%(count)s allergies"),
    "Immunization": Words("Vaccinations", "%(count)s vaccination", "%(count)s vaccinations"),
    "CarePlan": Words("Care plans", "%(count)s care plan", "%(count)s care plans"),
    "Consent": Words("Sharing choices", "%(count)s sharing choice", "%(count)s sharing choices"),
}
_OTHER: Final = Words("Other entries", "%(count)s other entry", "%(count)s other entries")
_NOT_COUNTED: Final = frozenset({"Patient", "Binary", "Provenance"})
"""Who the record is of, and what only holds or proves something else."""
_WHY: Final = {
    "consent": "You share with them",
    "full-proxy": "They look after your record for you, and see your sharing choices",
    "own-data": "They always see what they wrote themselves",
    "emergency": "They opened it in an emergency",
}
_ANYONE: Final = "Anyone who is signed in"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who can see something of the record now.

    Attributes:
        reference: Literal reference, "" for anyone who is signed in.
        name: What they are called.
        why: Why they can, each a short sentence.
        labels: Kinds of information that are shared with them.
        sees: What they see, with how many: `3 letters and 12 results and measurements`.
        until: When it ends, None where it does not by itself.
        is_emergency: Whether they opened it in an emergency.
    """

    reference: str
    name: str
    why: tuple[str, ...]
    labels: tuple[Label, ...]
    sees: str
    until: Moment | None
    is_emergency: bool


def viewers(report: Json, names: Mapping[str, str], own: str) -> tuple[Viewer, ...]:
    """Return who can see something now, emergencies first; the patient is left out.

    Args:
        report: The Parameters of `$access-report`.
        names: Names of organisations and professionals by literal reference.
        own: Literal reference of the patient.
    """
    entries = [entry for entry in items(report, "parameter") if entry.get("name") == "access"]
    found = [_viewer(entry, names) for entry in entries if reference(_value(entry, "actor")) != own]
    seeing = [viewer for viewer in found if viewer.sees]
    return tuple(sorted(seeing, key=lambda viewer: (not viewer.is_emergency, viewer.name.casefold())))


def references(report: Json) -> tuple[str, ...]:
    """Return the literal references of everybody in the report."""
    entries = [entry for entry in items(report, "parameter") if entry.get("name") == "access"]
    return tuple(filter(None, (reference(_value(entry, "actor")) for entry in entries)))


def _viewer(entry: Json, names: Mapping[str, str]) -> Viewer:
    actor = _value(entry, "actor")
    target = reference(actor)
    reasons = [str(value) for value in _values(entry, "reason")]
    emergency = _value(entry, "emergency")
    period = emergency if isinstance(emergency, Mapping) else _value(entry, "period")
    ends_by_itself = isinstance(period, Mapping) and "own-data" not in reasons
    return Viewer(
        reference=target,
        name=first((names.get(target, ""), display(actor), target, web.say(_ANYONE))),
        why=tuple(_WHY[code] for code in reasons if code in _WHY),
        labels=in_order(str(coding.get("code")) for coding in _values(entry, "label") if isinstance(coding, Mapping)),
        sees=_in_words(_totals(entry, "total")),
        until=moment(period.get("end")) if ends_by_itself and isinstance(period, Mapping) else None,
        is_emergency="emergency" in reasons,
    )


class Preview(NamedTuple):
    """What a Consent would change for somebody.

    Attributes:
        before: What they see now, in words, "" for nothing.
        after: What they would see.
        kinds: (kind of entry in English, how many now, how many then), of each kind that is among them.
    """

    before: str
    after: str
    kinds: tuple[tuple[str, int, int], ...]


def previewed(preview: Json) -> Preview:
    """Return the answer of `$preview-consent` as pages show it."""
    now, then = (_totals(preview, name, "parameter") for name in ("before", "after"))
    before, after = _told(now), _told(then)
    kinds = tuple(
        (words.kind, before[words], after[words])
        for words in (*_WORDS.values(), _OTHER)
        if before[words] or after[words]
    )
    return Preview(
        _in_words(_totals(preview, "before", "parameter")), _in_words(_totals(preview, "after", "parameter")), kinds
    )


def _told(totals: Mapping[str, int]) -> Counter[Words]:
    """Return how many there are of what pages tell apart."""
    found: Counter[Words] = Counter()
    for kind, number in totals.items():
        if kind not in _NOT_COUNTED:
            found[_WORDS.get(kind, _OTHER)] += number
    return found


def _totals(holder: Json, name: str, where: str = "part") -> Counter[str]:
    """Return how many of each type there are, all labels together."""
    found: Counter[str] = Counter()
    for count in items(holder, where):
        if count.get("name") == "count":
            number = _value(count, name)
            found[str(_value(count, "type"))] += number if isinstance(number, int) else 0
    return found


def _in_words(totals: Mapping[str, int]) -> str:
    told = [words.counted(totals[kind]) for kind, words in _WORDS.items() if totals.get(kind)]
    others = sum(number for kind, number in totals.items() if kind not in _WORDS and kind not in _NOT_COUNTED)
    if others:
        told.append(_OTHER.counted(others))
    if not told and totals.get("Patient"):
        return web.say("your name and date of birth")
    return listed(told)


def _value(holder: Json, name: str) -> Any:
    return next(iter(_values(holder, name)), None)


def _values(holder: Json, name: str) -> Iterable[Any]:
    for part in items(holder, "part"):
        if part.get("name") == name:
            yield next((value for key, value in part.items() if key.startswith("value")), None)
