"""Who may administer, and who may watch. Every use and every refusal of a known caller is audited."""

from __future__ import annotations

from flask import request

from fhir_server.access.principal import Principal
from fhir_server.interactions.perform import record_administration, record_without_change
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import accounts
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.web import context
from fhir_server.web.bearer import caller

_ADMIN = "admin"
_ALL_RIGHTS = frozenset("cruds")


def administrator() -> Principal:
    """Return the caller, who may administer: the record's operator or an administrator, with a token of full scope.

    The scope keeps out what a person or script did not mean for this: an app that an administrator connected for
    reading, the token of a metrics collector.

    Raises:
        FhirError: UNAUTHENTICATED (401) without a valid token, FORBIDDEN (403) for everybody else.
    """
    principal = caller()
    if principal.trusted and _is_full(principal, "system"):
        return principal
    if principal.role == _ADMIN and _is_full(principal, "user"):
        return principal
    raise FhirError(
        Kind.FORBIDDEN,
        "The administration API needs a trusted token with the scope system/*.cruds, or an administrator's with "
        "user/*.cruds",
    )


def person_of(*roles: str) -> tuple[Principal, Account]:
    """Return the caller and their account: somebody of one of these roles, with a token of full scope.

    Raises:
        FhirError: UNAUTHENTICATED (401) without a valid token, FORBIDDEN (403) for everybody else.
    """
    principal = caller()
    if principal.role in roles and _is_full(principal, "user"):
        here = context()
        with here.store.read() as session:
            account = accounts.by_id(session, principal.subject.removeprefix("account:"))
        if account is not None and account.active and account.role == principal.role:
            return principal, account
    raise FhirError(Kind.FORBIDDEN, f"This needs a token of {' or '.join(roles)} with the scope user/*.cruds")


def is_watcher() -> bool:
    """Return whether the caller may see how the server is doing; needs no scope, and gives no right to a record."""
    try:
        principal = caller()
    except FhirError:
        return False
    return principal.trusted or principal.role == _ADMIN


def audit(session: Session, principal: Principal, about: str = "", *, status: int = 200) -> None:
    """Record this use of the API, in the transaction of the change."""
    record_administration(context(), session, principal, action=_action(), description=about, status=status)


def audit_unchanged(principal: Principal, about: str = "", *, status: int = 200) -> None:
    """Record a use of the API that changed nothing.

    Raises:
        FhirError: UNAVAILABLE (503) when that fails; then nothing may be disclosed.
    """
    record_without_change(context(), principal, action=_action(), description=about, status=status)


def _action() -> str:
    return (request.endpoint or "").rpartition(".")[2].replace("_", "-")


def _is_full(principal: Principal, level: str) -> bool:
    return any(
        scope.level == level and scope.type == "*" and set(scope.rights) >= _ALL_RIGHTS and not scope.query
        for scope in principal.scopes.clinical
    )
