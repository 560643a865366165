"""The frame of every page: who is signed in, and where they can go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from flask import request

from fhir_server import web
from fhir_server.access.principal import Caller
from fhir_server.identity import staff_directory
from fhir_server.spec.outcome import FhirError

_SEVERAL: Final = 2


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the menu; `current` is the value of `aria-current`, "" where the page is elsewhere."""

    text: str
    href: str
    current: str = ""


@dataclass(frozen=True, slots=True)
class Shell:
    """What the layout shows around a page; empty for somebody who is not signed in.

    Attributes:
        person_name, role, csrf_token, navigation: Of whoever is signed in.
        may_choose_work: Whether they are a professional of several organisations.
        works_for: The name of the one of these that they work for now, "" where they have to choose.
    """

    person_name: str = ""
    role: str = ""
    csrf_token: str = ""
    navigation: tuple[Place, ...] = ()
    may_choose_work: bool = False
    works_for: str = ""


_RECORD = (
    ("Home", "/"),
    ("Record", "/record"),
    ("Appointments", "/record/appointments"),
    ("Letters", "/record/letters"),
    ("Test results", "/record/results"),
    ("Measurements", "/record/measurements"),
)
MENUS: Final = {
    "patient": (*_RECORD, ("Sharing", "/sharing"), ("Who looked", "/access-log"), ("Apps", "/apps")),
    "carer": (*_RECORD, ("Choose a record", "/choose-record"), ("Apps", "/apps")),
    "professional": (
        ("My patients", "/patients"),
        ("Find a patient", "/patients/find"),
        ("Emergency access", "/emergency-access"),
    ),
    "coordinator": (
        ("Invitations", "/organisation"),
        ("Appointments", "/organisation/appointment-requests"),
        ("Parents", "/organisation/parents"),
        ("Professionals", "/organisation/team"),
        ("Care teams", "/organisation/teams"),
    ),
    "privacy-officer": (
        ("Emergencies", "/privacy"),
        ("Questions", "/privacy/disputes"),
        ("Sharing", "/privacy/sharing"),
        ("Audit log", "/privacy/audit"),
    ),
    "service-desk": (("Service desk", "/service-desk"),),
    "admin": (
        ("Administration", "/"),
        ("Organisations", "/administration/organisations"),
        ("Apps", "/administration/apps"),
        ("Systems", "/administration/systems"),
        ("Jobs", "/administration/jobs"),
        ("Settings", "/administration/settings"),
    ),
    "developer": (("Your apps", "/developer"),),
}


def shell() -> Shell:
    """Return the frame for this request."""
    try:
        signed_in = web.signed_in()
    except FhirError:
        # The page may be about that very failure.
        signed_in = None
    if signed_in is None:
        return Shell()
    role, principal = signed_in.account.role, signed_in.principal
    framed = Shell(signed_in.account.name, role, signed_in.csrf_token, places(role, request.path))
    if principal.caller is not Caller.PROFESSIONAL or len(principal.organizations) < _SEVERAL:
        return framed
    with web.context().store.read() as session:
        name = staff_directory.name_of(session, principal.organization)
    return replace(framed, may_choose_work=True, works_for=name)


def places(role: str, path: str) -> tuple[Place, ...]:
    """Return the menu of a role; the entry whose address is the longest start of the path is current."""
    menu = MENUS.get(role, ())
    inside = [href for _, href in menu if path == href or (href != "/" and path.startswith(f"{href}/"))]
    deepest = max(inside, key=len, default="")
    return tuple(
        Place(web.say(text), href, "page" if path == href else "true" if href == deepest else "") for text, href in menu
    )
