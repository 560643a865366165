"""Whose record a page is about: the patient's own, the one a carer chose, or the one a professional opened."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

from flask import make_response, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.access.principal import Caller
from fhir_server.identity import carers
from fhir_server.operations.emergencies import running
from fhir_server.portal.models.person import Person, person
from fhir_server.portal.models.words import LONDON, items, reference
from fhir_server.portal.road import Road, road
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web.acting import actor

CHOSEN: Final = "record"
_KEPT_S: Final = 12 * 3600
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Record:
    """An open record.

    Attributes:
        road: The road of whoever looks.
        patient_id: Logical id of the patient.
        patient: The Patient resource.
        person: The same as pages show it.
        root: URL path its pages begin with.
        own: Whether it is the record of whoever looks.
        caring: Whether a carer looks.
        emergency_ends_at: End of the emergency access it is open under, None otherwise.
        may_choose: Whether whoever looks can go to another record, too.
    """

    road: Road
    patient_id: str
    patient: dict[str, Any]
    person: Person
    root: str
    own: bool
    caring: bool
    emergency_ends_at: datetime | None
    may_choose: bool = False

    @property
    def reference(self) -> str:
        """Return the literal reference of the patient."""
        return f"Patient/{self.patient_id}"

    @property
    def patient_reference(self) -> dict[str, str]:
        """Return a Reference to the patient."""
        return {"reference": self.reference, "display": self.person.name}

    @property
    def emergency_left_s(self) -> int:
        """Return the whole seconds after which the emergency access is over, 0 where there is none."""
        left = self.emergency_ends_at - self.road.now if self.emergency_ends_at else timedelta()
        return max(0, ceil(left.total_seconds()))

    @property
    def possessive(self) -> str:
        """Return how headings speak of the record: `Your`, or the person's name."""
        return "Your" if self.own else f"{self.person.name}'s"

    def read(self, resource_type: str, logical_id: str) -> dict[str, Any]:
        """Return an entry of this record.

        INVARIANT: a page that names a record shows nothing of another one, also to somebody who may see both.

        Raises:
            FhirError: NOT_FOUND (404) where it does not exist for whoever looks, or is of another record.
        """
        entry = self.road.read(resource_type, logical_id)
        actors = [each.get("actor") for each in items(entry, "participant")]
        if self.reference in map(reference, (entry.get("subject"), entry.get("patient"), *actors)):
            return entry
        # A reference can be written in other ways, such as with the address of this server: the index knows them all.
        query = (("_id", logical_id), ("patient", self.reference), ("_count", "1"))
        if not self.road.search(resource_type, *query).matches:
            raise FhirError(Kind.NOT_FOUND, f"{resource_type}/{logical_id} is not known")
        return entry


class Elsewhere(HTTPException):
    """Leave the view and answer with another page."""

    def __init__(self, response: BaseResponse) -> None:
        """Keep the answer."""
        super().__init__(response=response)


def open_record(patient_id: str = "") -> Record:
    """Return the record that a request is about.

    Args:
        patient_id: From the path, for professionals; empty for patients and carers.

    Raises:
        Elsewhere: The page that tells what to do instead: choose a record (carer), ask for access (professional).
    """
    way = road()
    caller = way.principal.caller
    if caller is Caller.PROFESSIONAL:
        return _professional(way, patient_id)
    if caller is Caller.RELATED:
        return _carer(way)
    kind, _, own_id = way.principal.subject.partition("/")
    if kind != "Patient":
        raise Elsewhere(redirect("/"))
    found = _record(way, own_id, way.read("Patient", own_id), root="/record", own=True)
    with way.context.store.read() as session:
        others = carers.identities(session, account_id())
    return replace(found, may_choose=len(others) > 1)


def _professional(way: Road, patient_id: str) -> Record:
    patient = way.find("Patient", patient_id)
    if patient is None:
        # The same answer whether there is no such person or nothing is shared.
        raise Elsewhere(make_response(render_template("portal/professional/not_shared.html"), 404))
    ends_at = running(way.context, way.principal).get(patient_id)
    return _record(way, patient_id, patient, root=f"/patients/{patient_id}", ends_at=ends_at)


def _carer(way: Road) -> Record:
    chosen = request.cookies.get(CHOSEN, "")
    # INVARIANT: the cookie is a wish, never a right: the road decides on every read.
    patient = way.find("Patient", chosen) if _ID.fullmatch(chosen) else None
    if patient is None:
        found = way.search("Patient", ("_count", "2")).matches
        if len(found) != 1:
            raise Elsewhere(redirect("/choose-record"))
        patient = found[0]
    return replace(_record(way, str(patient["id"]), patient, root="/record", caring=True), may_choose=True)


def account_id() -> str:
    """Return the account that is signed in, whichever of its parts it is now; aborts with 401 where none is."""
    return actor().account.id


def _record(
    way: Road,
    patient_id: str,
    patient: dict[str, Any],
    *,
    root: str,
    own: bool = False,
    caring: bool = False,
    ends_at: datetime | None = None,
) -> Record:
    shown = person(patient, way.now.astimezone(LONDON).date())
    return Record(way, patient_id, patient, shown, root, own, caring, ends_at)


def set_cookie(response: BaseResponse, name: str, value: str, *, max_age_s: int) -> None:
    """Keep a short note in the browser, out of reach of scripts."""
    response.set_cookie(
        name, value, max_age=max_age_s, httponly=True, samesite="Lax", secure=web.current().is_https, path="/"
    )


def act_as(response: BaseResponse, reference: str, patient_id: str) -> BaseResponse:
    """Let this browser's next requests be by one part of its person, about one record; looked up on each of them."""
    kind, _, logical_id = reference.partition("/")
    if kind == "RelatedPerson":
        set_cookie(response, web.ACTING_AS, logical_id, max_age_s=_KEPT_S)
        set_cookie(response, CHOSEN, patient_id, max_age_s=_KEPT_S)
    else:
        response.delete_cookie(web.ACTING_AS, path="/")
        response.delete_cookie(CHOSEN, path="/")
    return response
