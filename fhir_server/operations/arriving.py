"""A professional comes in from their hospital's system: directory, account, role; and out again when the role is gone.

INVARIANT: a hospital vouches for who works there and for nobody else: an account that is of another organisation only
is never opened on its word, and a role that ended here is not revived by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.identity import ehr_accounts, leaving, staff_directory
from fhir_server.identity.agreements import Acceptance
from fhir_server.identity.ehr_accounts import Arrival, Known, Result
from fhir_server.identity.ehr_launch import Clinician
from fhir_server.identity.openid import OpenIdError, Problem, Provider
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform, record_administration, record_sign_in
from fhir_server.operations import end_break_glass
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import workplaces
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.keys import key_of_reference

_NHS_NUMBER: Final = "https://fhir.nhs.uk/Id/nhs-number"
_MOST_ROLES: Final = "100"
_BOUND = "The account is opened from the hospital's system from now on"
_OPENED = "Account opened from the hospital's system; agreement and policy accepted"
_ENDED = "The hospital's system says that they do not work there any more"
_ENDED_HERE = "Their role at this organisation has ended here"
_ELSEWHERE = "They have an account here, and no role at the organisation of this system"


@dataclass(frozen=True, slots=True)
class _Place:
    """The service itself, at work for a hospital whose system launched the portal."""

    context: Context
    principal: Principal
    organization: str

    def roles(self, practitioner_id: str) -> list[dict[str, Any]]:
        query = (("practitioner", f"Practitioner/{practitioner_id}"), ("_count", _MOST_ROLES))
        bundle = self._perform(Interaction(Code.SEARCH, type="PractitionerRole", query=query))
        return [entry["resource"] for entry in bundle.get("entry", ())]

    def create(self, resource: Mapping[str, Any], criteria: tuple[tuple[str, str], ...] = ()) -> str:
        kind = str(resource["resourceType"])
        asked = Interaction(Code.CREATE, type=kind, resource=resource, if_none_exist=criteria)
        return perform(asked, self.principal, self.context).id

    def update(self, resource: Mapping[str, Any]) -> None:
        kind, version = str(resource["resourceType"]), str(resource["meta"]["versionId"])
        self._perform(
            Interaction(Code.UPDATE, type=kind, id=str(resource["id"]), resource=resource, if_match=(version,))
        )

    def _perform(self, interaction: Interaction) -> dict[str, Any]:
        outcome = perform(interaction, self.principal, self.context)
        found: dict[str, Any] = json.loads(outcome.content) if outcome.content else {}
        return found


@dataclass(frozen=True, slots=True)
class Came:
    """What comes next for somebody, their entry in the directory where the next step needs it, and where they work."""

    arrival: Arrival
    practitioner: str = ""
    organization: str = ""


def arrive(context: Context, provider: Provider, subject: str, clinician: Clinician) -> Came:
    """Find or make the directory entry and role of a professional, and say what comes next.

    Raises:
        OpenIdError: DECLINED for somebody whom the directory does not know as one person; UNAVAILABLE where the
            hospital itself is not in the directory.
        FhirError: As the road.
    """
    place = _place(context, provider)
    with context.store.read() as session:
        found = ehr_accounts.known(session, clinician)
    roles = place.roles(found.practitioner["id"]) if found.practitioner else []
    here = [role for role in roles if role.get("organization", {}).get("reference") == place.organization]
    current = [role for role in here if _is_current(role, context)]
    if not clinician.works:
        _withdraw(place, found.account, current)
        return _refused(found, _ENDED)
    if here and not current:
        return _refused(found, _ENDED_HERE)
    if found.account is not None and not current:
        return _refused(found, _ELSEWHERE)
    if found.account is not None:
        _keep_codes(place, current, clinician)
        # INVARIANT: emergency access is that of the account's own organisation: another one neither gives nor takes it.
        is_own = found.account.organization == place.organization
        with context.store.write() as session:
            arrival = ehr_accounts.admit(
                session,
                found.account,
                provider.issuer,
                subject,
                may_break_glass=_may_break_glass(provider, clinician.codes) if is_own else None,
                now=context.now(),
                bound=partial(_note, context, session, provider, found.account, _BOUND),
            )
            if arrival.result is Result.SIGNED_IN and not is_own:
                workplaces.join(session, found.account.id, place.organization, context.now())
        return Came(arrival, found.account.reference, place.organization)
    with context.store.read() as session:
        if not ehr_accounts.can_open(session, clinician):
            return Came(Arrival(Result.NO_EMAIL, reason="No work e-mail address that is free is known of them"))
    practitioner = _entry(place, found, clinician)
    if not current:
        place.create(_role(place, practitioner, clinician), _role_criteria(place, practitioner))
    return Came(Arrival(Result.TERMS), f"Practitioner/{practitioner}")


def open_account(context: Context, provider: Provider, token: str, accepted: Acceptance) -> Arrival:
    """Make the account of somebody who accepted the agreement, if their role is still there.

    Raises:
        OpenIdError: As `organization_of`.
        FhirError: As the road.
    """
    place = _place(context, provider)
    waiting = ehr_accounts.pending(context.store, token, context.now())
    if waiting is None or waiting.issuer != provider.issuer:
        return Arrival(Result.GONE)
    current = [
        role
        for role in place.roles(waiting.person.partition("/")[2])
        if role.get("organization", {}).get("reference") == place.organization and _is_current(role, context)
    ]
    if not current:
        return Arrival(Result.GONE)
    codings = [coding for role in current for code in role.get("code", ()) for coding in code.get("coding", ())]
    with context.store.write() as session:
        arrival = ehr_accounts.open_account(
            session,
            token,
            place.organization,
            accepted,
            may_break_glass=bool(_may_break_glass(provider, codings)),
            now=context.now(),
        )
        if arrival.account is not None:
            _note(context, session, provider, arrival.account, _OPENED)
    return arrival


def _note(context: Context, session: Session, provider: Provider, account: Account, what: str) -> None:
    record_sign_in(context, session, account, client_id=provider.name, description=what)


def organization_of(context: Context, provider: Provider) -> str:
    """Return `Organization/…` whose staff a provider vouches for.

    Raises:
        OpenIdError: UNAVAILABLE where the directory does not have exactly one with its ODS code.
    """
    code = provider.ehr.organization_code if provider.ehr else ""
    with context.store.read() as session:
        found = staff_directory.only(session, "Organization", staff_directory.ODS, code)
    if found is None:
        raise OpenIdError(Problem.UNAVAILABLE, "The organisation of this system is not in the directory")
    return f"Organization/{found['id']}"


def _place(context: Context, provider: Provider) -> _Place:
    name = f"{provider.name} (launch of the portal)"
    principal = replace(tokens.operator(context.now(), name), client_id=provider.name, purpose="PATADMIN")
    return _Place(context, principal, organization_of(context, provider))


def _entry(place: _Place, found: Known, clinician: Clinician) -> str:
    """Return the id of somebody's Practitioner, made now where there is none."""
    if found.practitioner is not None:
        return str(found.practitioner["id"])
    new = {
        "resourceType": "Practitioner",
        "identifier": [{"system": system, "value": value} for system, value in clinician.identifiers],
        "active": True,
        "name": [clinician.name],
    }
    return place.create(new, (("identifier", "|".join(clinician.identifiers[0])),))


def _role(place: _Place, practitioner: str, clinician: Clinician) -> dict[str, Any]:
    codes = {"code": [{"coding": list(clinician.codes)}]} if clinician.codes else {}
    return {
        "resourceType": "PractitionerRole",
        "active": True,
        "practitioner": {"reference": f"Practitioner/{practitioner}", "display": clinician.shown},
        "organization": {"reference": place.organization},
        **codes,
    }


def _role_criteria(place: _Place, practitioner: str) -> tuple[tuple[str, str], ...]:
    return (("practitioner", f"Practitioner/{practitioner}"), ("organization", place.organization))


def _keep_codes(place: _Place, current: list[dict[str, Any]], clinician: Clinician) -> None:
    """Let the role say what the hospital says of it, where that is one role on both sides."""
    wanted = [{"coding": list(clinician.codes)}]
    if clinician.codes and len(current) == 1 and current[0].get("code") != wanted:
        place.update({**current[0], "code": wanted})


def _withdraw(place: _Place, account: Account | None, current: list[dict[str, Any]]) -> None:
    """End somebody's role at the hospital, with every session, app, request and emergency access of theirs, at once."""
    if not current:
        return
    context = place.context
    end = context.now().isoformat(timespec="seconds")
    for role in current:
        place.update({**role, "active": False, "period": {**role.get("period", {}), "end": end}})
    if account is None:
        return
    with context.store.write() as session:
        ended = leaving.end_access(session, account, place.organization, context.now())
        about = f"account {account.id}"
        record_administration(context, session, place.principal, action="professional-leaves", description=about)
    for session_id in ended:
        end_break_glass.end_of_session(context, key_of_reference(account.reference), session_id)


def _is_current(role: Mapping[str, Any], context: Context) -> bool:
    return role.get("active") is not False and staff_directory.is_current(role, context.now())


def _may_break_glass(provider: Provider, codings: Iterable[Mapping[str, Any]]) -> bool | None:
    """Return what somebody's role says of emergency access; None where nothing is agreed about roles."""
    allowed = provider.ehr.emergency_roles if provider.ehr else frozenset()
    return any(coding.get("code") in allowed for coding in codings) if allowed else None


def _refused(found: Known, reason: str) -> Came:
    return Came(Arrival(Result.REFUSED, found.account, reason))


def find_patient(context: Context, principal: Principal, nhs_number: str, birth_date: str) -> str:
    """Return the id of the patient of a launch, "" where none is shared with this professional, or none is here.

    Raises:
        FhirError: As the road, save FORBIDDEN.
    """
    query = (
        ("identifier", f"{_NHS_NUMBER}|{nhs_number}"),
        ("birthdate", birth_date),
        ("_count", "2"),
    )
    try:
        outcome = perform(Interaction(Code.SEARCH, type="Patient", query=query), principal, context)
    except FhirError as error:
        if error.kind is Kind.FORBIDDEN:
            return ""
        raise
    found = [entry["resource"] for entry in json.loads(outcome.content).get("entry", ())]
    return str(found[0]["id"]) if len(found) == 1 else ""
