"""Connected apps in plain words: what an app may see and do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from fhir_server import web
from fhir_server.access.scopes import Clinical, parse
from fhir_server.portal.models.words import Moment, listed, moment_of

_NOUN: Final = {
    "*": "your whole record",
    "AllergyIntolerance": "your allergies",
    "Appointment": "your appointments",
    "Binary": "files attached to your letters",
    "Condition": "your health conditions",
    "DiagnosticReport": "your test reports",
    "DocumentReference": "your letters",
    "Encounter": "your visits and hospital stays",
    "Immunization": "your vaccinations",
    "MedicationRequest": "your prescriptions",
    "MedicationStatement": "the medicines you take",
    "Observation": "your test results and measurements",
    "Patient": "your name, date of birth and contact details",
    "Procedure": "your operations and procedures",
}
_CATEGORY: Final = {
    "laboratory": "your laboratory results",
    "vital-signs": "measurements such as blood pressure and weight",
    "social-history": "your lifestyle, such as smoking",
}


class Permission(Protocol):
    """What is known of one app's permission."""

    @property
    def id(self) -> str:
        """Return the id it is removed by."""

    @property
    def client_name(self) -> str:
        """Return the name of the app."""

    @property
    def patient(self) -> str:
        """Return the literal reference of the record it opens, "" for none."""

    @property
    def scope(self) -> str:
        """Return what was granted."""

    @property
    def granted_at(self) -> datetime:
        """Return when."""

    @property
    def last_used_at(self) -> datetime | None:
        """Return when it was last used."""


@dataclass(frozen=True, slots=True)
class App:
    """A connected app as the page shows it.

    Attributes:
        id: What it is removed by.
        name: Its name.
        sees: What it can see, one line each.
        changes: What it can add or change.
        stays: Whether it keeps its access while it is not open.
        since: When it was connected.
        used: When it was last used, None for never.
        record: Whose record it opens, "" where it can only be one.
    """

    id: str
    name: str
    sees: tuple[str, ...]
    changes: tuple[str, ...]
    stays: bool
    since: Moment
    used: Moment | None
    record: str = ""


def app(permission: Permission, names: Mapping[str, str] | None = None) -> App:
    """Return a permission as the page shows it; `names` are those of records, by reference, where there are several."""
    scopes = parse(permission.scope)
    return App(
        id=permission.id,
        name=permission.client_name,
        sees=_nouns(scope for scope in scopes.clinical if set("rs") & set(scope.rights)),
        changes=_nouns(scope for scope in scopes.clinical if set("cud") & set(scope.rights)),
        stays="offline_access" in scopes.other,
        since=moment_of(permission.granted_at),
        used=moment_of(permission.last_used_at) if permission.last_used_at else None,
        record=(names or {}).get(permission.patient, ""),
    )


def _nouns(scopes: Iterable[Clinical]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_noun(scope) for scope in scopes))


def _noun(scope: Clinical) -> str:
    codes = [code.rpartition("|")[2] for name, value in scope.query for code in value.split(",") if name == "category"]
    if codes:
        return listed([_category(code) for code in codes])
    noun = web.say(_NOUN[scope.type]) if scope.type in _NOUN else web.say("“%(kind)s” entries") % {"kind": scope.type}
    return web.say("%(what)s (only a part)") % {"what": noun} if scope.query else noun


def _category(code: str) -> str:
    return web.say(_CATEGORY[code]) if code in _CATEGORY else web.say("“%(kind)s” entries") % {"kind": code}
