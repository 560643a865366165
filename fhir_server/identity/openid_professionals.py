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
from fhir_server.identity.staff_directory import ROLE_ID, USER_ID, has_code, is_current, only
from fhir_server.store import accounts
from fhir_server.store.accounts import Account
from fhir_server.store.database import Store

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
    with store.read() as session:
        practitioner = only(session, "Practitioner", USER_ID, person.user_id)
        if practitioner is None:
            raise _stranger("No Practitioner has this user id")
        reference = f"Practitioner/{practitioner['id']}"
        role = only(session, "PractitionerRole", ROLE_ID, person.role_id)
        if role is None or role.get("practitioner", {}).get("reference") != reference or not is_current(role, now):
            raise _stranger("No current PractitionerRole of the person has the chosen role's id")
        employer = role.get("organization", {}).get("reference", "")
        if not has_code(session, employer, person.organization_code):
            raise _stranger("The chosen role is at another organisation than the PractitionerRole")
        found = [
            account
            for account in accounts.by_reference(session, reference)
            if account.active and account.role == Role.PROFESSIONAL
        ]
        if len(found) != 1:
            raise _stranger("The professional has no account")
        return found[0]


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) and len(value) <= _LONGEST else ""


def _stranger(detail: str) -> OpenIdError:
    return OpenIdError(Problem.DECLINED, detail)
