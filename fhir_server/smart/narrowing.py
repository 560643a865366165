"""What of the scopes that were asked for may be granted: the intersection with what the client is registered for.

Nothing here widens: unknown syntax, unknown types, parameters that the gate cannot hold a caller to and scopes of
another level fall away, and the answer tells what is left (RFC 6749 §3.3). Whether a row may be seen is decided on each
request, by consent.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from urllib.parse import quote

from fhir_server.access.scopes import Clinical, parse
from fhir_server.smart.discovery import SPECIAL_SCOPES

USER_LEVELS = frozenset({"patient", "user"})
SYSTEM_LEVELS = frozenset({"system"})
_RIGHTS = "cruds"
Enforceable = Callable[[str, tuple[tuple[str, str], ...]], bool]
"""Whether the gate can hold a caller to a scope on this type with these search parameters."""


def clinical(item: str) -> Clinical | None:
    """Return one scope as a value, None where it is not a clinical one."""
    found = parse(item).clinical
    return found[0] if found else None


def narrow(requested: str, registered: str, *, levels: Container[str], enforceable: Enforceable) -> str:
    """Return the scopes that were asked for and may be granted, in the order asked, "" where none is left.

    Args:
        requested: Space separated scopes of the request.
        registered: What the client is registered for.
        levels: `USER_LEVELS` or `SYSTEM_LEVELS`; the special scopes (`openid` and so on) go with the former only.
        enforceable: What of types and search parameters the server knows.
    """
    allowed = registered.split()
    limits = [scope for scope in map(clinical, allowed) if scope is not None]
    granted: list[str] = []
    for item in requested.split():
        scope = clinical(item)
        if scope is None:
            if "patient" in levels and item in SPECIAL_SCOPES and item in allowed:
                granted.append(item)
        elif scope.level in levels:
            granted += _within(item, scope, limits, enforceable)
    return " ".join(dict.fromkeys(granted))


def needs_patient(scopes: Iterable[str]) -> bool:
    """Return whether these scopes mean one patient's record, so that it must be known whose."""
    return any(item in {"launch", "launch/patient"} or item.startswith("patient/") for item in scopes)


def _within(item: str, asked: Clinical, limits: list[Clinical], enforceable: Enforceable) -> list[str]:
    """Return the parts of one scope that the limits allow; as the client wrote it where nothing was taken away."""
    met = [part for limit in limits if (part := _meet(asked, limit)) is not None]
    parts = [part for part in met if enforceable(part.type, part.query)]
    if asked in parts:
        return [item]
    return [_text(part) for part in parts]


def _meet(asked: Clinical, limit: Clinical) -> Clinical | None:
    if asked.level != limit.level or (asked.type != limit.type and "*" not in {asked.type, limit.type}):
        return None
    rights = "".join(right for right in _RIGHTS if right in asked.rights and right in limit.rights)
    if not rights:
        return None
    type_ = limit.type if asked.type == "*" else asked.type
    query = asked.query + tuple(pair for pair in limit.query if pair not in asked.query)
    return Clinical(asked.level, type_, rights, query)


def _text(scope: Clinical) -> str:
    query = "&".join(f"{quote(name, safe=':')}={quote(value, safe=':/|,$')}" for name, value in scope.query)
    return f"{scope.level}/{scope.type}.{scope.rights}" + (f"?{query}" if query else "")
