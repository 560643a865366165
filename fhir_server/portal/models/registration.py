"""A registered app in plain words, for its developer and for the administrator who decides about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from fhir_server.identity.app_registry import AppState, Registration
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.words import Moment, moment_of
from fhir_server.spec.outcome import FhirError

LABELS: Final = {
    "client_name": "The name",
    "description": "What it does",
    "redirect_uris": "Each redirect address",
    "initiate_login_uri": "The launch address",
    "scope": "What it asks for",
    "jwks": "The public keys",
    "jwks_uri": "The address of the public keys",
    "client_uri": "The website",
    "logo_uri": "The address of the logo",
    "tos_uri": "The address of the terms",
    "policy_uri": "The address of the privacy policy",
    "organization": "The organisation",
    "requests_per_minute": "Requests per minute",
    "reason": "A reason",
}
"""Fields of RFC 7591 §2, and of a decision, as forms name them."""
_STATES: Final = {
    AppState.PENDING: ("Waits for approval", "blue"),
    AppState.APPROVED: ("Approved", "green"),
    AppState.REFUSED: ("Not approved", "red"),
    AppState.SUSPENDED: ("Suspended", "red"),
    AppState.REMOVED: ("Removed", "grey"),
}
_METHODS: Final = {
    "public": "Public: PKCE, no secret",
    "secret": "A client secret",
    "jwks": "Signed assertions (private_key_jwt)",
}
_PAGES: Final = (
    ("Website", "client_uri"),
    ("Privacy policy", "policy_uri"),
    ("Terms", "tos_uri"),
    ("Logo", "logo_uri"),
)


@dataclass(frozen=True, slots=True)
class ShownApp:
    """A registration as pages show it.

    Attributes:
        state: In words, with the colour of its tag in `colour`.
        facts: What it is, as (term, text).
        addresses: Where it may be sent back to.
        scopes: What it may be granted at most, one each.
        changed: Fields that were changed since it was last approved, in words.
        is_service: A backend service, which acts for an organisation.
        code: Name of the state.
    """

    id: str
    name: str
    state: str
    colour: str
    code: str
    reason: str
    since: Moment
    decided: Moment | None
    facts: tuple[tuple[str, str], ...]
    addresses: tuple[str, ...]
    scopes: tuple[str, ...]
    changed: tuple[str, ...]
    is_service: bool
    has_secret: bool
    has_keys: bool
    requests_per_minute: int | None


def shown(registration: Registration) -> ShownApp:
    """Return a registration as pages show it."""
    client, app = registration.client, registration.app
    text, colour = _STATES[registration.state]
    return ShownApp(
        id=client.client_id,
        name=client.name,
        state=text,
        colour=colour,
        code=str(registration.state),
        reason=app.reason if app else "",
        since=moment_of(app.registered_at if app else client.created_at),
        decided=moment_of(app.decided_at) if app and app.decided_at else None,
        facts=tuple(_facts(registration)),
        addresses=client.redirect_uris,
        scopes=tuple(client.scope.split()),
        changed=tuple(LABELS.get(name, name) for name in registration.changed),
        is_service=not client.redirect_uris,
        has_secret=client.kind == "secret",
        has_keys=client.kind == "jwks",
        requests_per_minute=client.requests_per_minute,
    )


def answers(registration: Registration) -> dict[str, str]:
    """Return a registration as the answers of the form that changes it."""
    client, about = registration.client, registration.app.about if registration.app else {}
    names = ("description", *(name for _, name in _PAGES))
    return {
        "client_name": client.name,
        "use": "app" if client.redirect_uris else "service",
        "method": str(about.get("token_endpoint_auth_method", "none")),
        "redirect_uris": "\n".join(client.redirect_uris),
        "initiate_login_uri": client.launch_uri,
        "scope": client.scope,
        "jwks": client.jwks,
        "jwks_uri": client.jwks_uri,
        **{name: str(about.get(name, "")) for name in names},
    }


def problems(error: FhirError) -> list[Problem]:
    """Return what is wrong with a form, beside its fields, in the words of the form."""
    found = []
    for issue in error.issues:
        name = issue.expression[0] if issue.expression else ""
        field = name.partition("[")[0]
        text = issue.diagnostics.removeprefix(name).strip() if field in LABELS else issue.diagnostics
        found.append(Problem(f"{LABELS[field]} {text}" if field in LABELS else text, f"#{field}"))
    return found


def _facts(registration: Registration) -> Iterable[tuple[str, str]]:
    client = registration.client
    about: Mapping[str, Any] = registration.app.about if registration.app else {}
    rows = [
        ("What it does", str(about.get("description", ""))),
        ("Kind", "An app for people" if client.redirect_uris else "A backend service"),
        ("How it proves itself", _METHODS[client.kind]),
        ("Address of its keys", client.jwks_uri),
        ("Launch address", client.launch_uri),
        ("Acts for", client.organization),
        *((term, str(about.get(name, ""))) for term, name in _PAGES),
        ("Contacts", ", ".join(about.get("contacts", ()))),
        ("Software", " ".join(str(about.get(name, "")) for name in ("software_id", "software_version")).strip()),
        ("Hosts it names", ", ".join(sorted(_hosts(registration)))),
    ]
    return ((term, text) for term, text in rows if text)


def _hosts(registration: Registration) -> set[str]:
    client = registration.client
    about: Mapping[str, Any] = registration.app.about if registration.app else {}
    urls = (*client.redirect_uris, client.launch_uri, client.jwks_uri, *(about.get(name, "") for _, name in _PAGES))
    return {urlsplit(url).hostname or f"{urlsplit(url).scheme}:" for url in urls if url}
