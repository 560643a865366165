"""NHS CIS2: which invited professional somebody is, and in which role that their organisation holds for them here.

INVARIANT: nobody gets in whom nobody let in before: no account, Practitioner or PractitionerRole is made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhir_server.identity.accounts import Role
from fhir_server.identity.openid import OpenIdError, Problem
from fhir_server.spec import json
from fhir_server.store import accounts, belonging, directory, resources
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store

USER_ID = "https://fhir.nhs.uk/Id/sds-user-id"
ROLE_ID = "https://fhir.nhs.uk/Id/sds-role-profile-id"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
_ENOUGH = {"2", "3"}
"""Authentication assurance levels that count as two factors."""
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Professional:
    """Who somebody is at CIS2, and the role that they chose there.

    Attributes:
        organization_code: ODS code of the role's organisation.
    """

    user_id: str
    role_id: str
    organization_code: str


def professional_of(claims: Mapping[str, Any], userinfo: Mapping[str, Any]) -> Professional:
    """Read who somebody is from userinfo that agrees with a verified ID token.

    Raises:
        OpenIdError: DECLINED for fewer than two factors; UNTRUSTED where user or role is missing, or the chosen role is
            not among the person's.
    """
    if str(claims.get("authentication_assurance_level", "")) not in _ENOUGH:
        raise OpenIdError(Problem.DECLINED, "CIS2 does not state a sign-in with two factors")
    user_id, role_id = _text(userinfo, "nhsid_useruid"), _text(userinfo, "selected_roleid")
    if not user_id or not role_id:
        raise OpenIdError(Problem.UNTRUSTED, "CIS2 does not state user and chosen role")
    roles = userinfo.get("nhsid_nrbac_roles")
    codes = {
        _text(role, "org_code")
        for role in (roles if isinstance(roles, list) else ())
        if isinstance(role, Mapping) and _text(role, "person_roleid") == role_id
    }
    if len(codes) != 1 or "" in codes:
        raise OpenIdError(Problem.UNTRUSTED, "The chosen role is not among the person's roles")
    return Professional(user_id, role_id, codes.pop())


def enter(store: Store, person: Professional, now: datetime) -> Account:
    """Return the account of an invited professional.

    Raises:
        OpenIdError: DECLINED where there is none, or the role is not one that their organisation holds for them here.
    """
    with store.write() as session:
        practitioner = _only(session, "Practitioner", USER_ID, person.user_id)
        if practitioner is None:
            raise _stranger("No Practitioner has this user id")
        reference = f"Practitioner/{practitioner['id']}"
        role = _only(session, "PractitionerRole", ROLE_ID, person.role_id)
        if role is None or role.get("practitioner", {}).get("reference") != reference or not _is_current(role, now):
            raise _stranger("No current PractitionerRole of the person has the chosen role's id")
        employer = role.get("organization", {}).get("reference", "")
        if not _has_code(session, employer, person.organization_code):
            raise _stranger("The chosen role is at another organisation than the PractitionerRole")
        found = [
            account
            for account in accounts.by_reference(session, reference)
            if account.active and account.role == Role.PROFESSIONAL
        ]
        if len(found) != 1:
            raise _stranger("The professional has no account")
        accounts.signed_in(session, found[0].id, now)
        return found[0]


def _only(session: Session, resource_type: str, system: str, value: str) -> dict[str, Any] | None:
    """Return the one active resource with an identifier, None where there is none or doubt."""
    keys = set(belonging.keys_with_identifier(session, resource_type, system, value))
    if len(keys) != 1:
        return None
    found = _stored(session, directory.reference_of(session, keys.pop(), resource_type))
    if found is None or found.get("active") is False:
        return None
    # The index knows hashes; the word of the resource counts.
    has_it = any(
        identifier.get("system") == system and identifier.get("value") == value
        for identifier in found.get("identifier", ())
    )
    return found if has_it else None


def _stored(session: Session, reference: str) -> dict[str, Any] | None:
    resource_type, _, logical_id = reference.partition("/")
    stored = resources.current(session, resource_type, logical_id) if logical_id else None
    if stored is None or stored.deleted or stored.content is None:
        return None
    found: dict[str, Any] = json.decode(stored.content, len(stored.content) + 1)
    return found


def _has_code(session: Session, reference: str, code: str) -> bool:
    organization = _stored(session, reference) if reference.startswith("Organization/") else None
    return organization is not None and any(
        identifier.get("system") == ODS and identifier.get("value") == code
        for identifier in organization.get("identifier", ())
    )


def _is_current(role: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a role has begun and not ended; its last day counts."""
    period, today = role.get("period", {}), now.date().isoformat()
    start, end = (str(period.get(name, ""))[:10] for name in ("start", "end"))
    return (not start or start <= today[: len(start)]) and (not end or end >= today[: len(end)])


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) and len(value) <= _LONGEST else ""


def _stranger(detail: str) -> OpenIdError:
    return OpenIdError(Problem.DECLINED, detail)
