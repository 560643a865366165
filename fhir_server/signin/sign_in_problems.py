"""Pages for a sign-in with another provider that failed, its AuditEvent, and the service desk's list of conflicts."""

from __future__ import annotations

from flask import Response, redirect
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import desk_help
from fhir_server.identity.openid import OpenIdError, Problem
from fhir_server.interactions.audit_strangers import record_stranger
from fhir_server.interactions.perform import record_administration, record_refused_sign_in
from fhir_server.signin.forms import field, message, page
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.database import Session
from fhir_server.web import SignedIn

_TEXTS: dict[Problem, tuple[int, str, str]] = {
    Problem.UNAVAILABLE: (
        503,
        "{provider} is not available",
        "We could not reach {provider}, or it did not answer as it should. Try again later, or sign in another way.",
    ),
    Problem.UNTRUSTED: (
        403,
        "We could not sign you in",
        "Something was wrong with the answer of {provider}. For your safety we did not sign you in. Try again.",
    ),
    Problem.STALE: (
        400,
        "This sign-in is not valid any more",
        "It took too long, was used already, or began in another browser. Start again.",
    ),
    Problem.DECLINED: (
        403,
        "You are not signed in",
        "You did not go on with {provider}, or it could not sign you in. Try again, or sign in another way.",
    ),
    Problem.LEVEL: (
        403,
        "Prove who you are",
        "To open a health record, {provider} has to check a photo of you and an identity document. Do that now.",
    ),
}


def page_of(error: OpenIdError, provider: str, name: str) -> Response:
    """Make the AuditEvent of a failed sign-in durable and say what went wrong, in words of ours only."""
    here = web.context()
    if error.problem is Problem.STALE:
        # Anybody can send an answer that nobody asked for: they do not fill the log with it.
        record_stranger(here, FhirError(Kind.UNAUTHENTICATED, error.detail))
    else:
        record_refused_sign_in(here, None, client_id=name, description=error.detail)
    status, title, text = _TEXTS[error.problem]
    link = ("Continue", f"/{name}?level=P9") if error.problem is Problem.LEVEL else ("Go to sign in", "/sign-in")
    return message(title.format(provider=provider), text.format(provider=provider), status=status, link=link)


def note(session: Session, action: str, person: SignedIn) -> None:
    """Write the AuditEvent of an act on one's own account, in the act's transaction."""
    description = f"account:{person.account.id}"
    record_administration(web.context(), session, person.principal, action=action, description=description)


@web.require("service-desk")
def show_conflicts() -> Response:
    """List who could not be linked, oldest first."""
    here = web.context()
    with here.store.read() as session:
        found = desk_help.problems(session)
    return page("sign-in-conflicts", conflicts=found)


@web.require("service-desk")
def close_conflict() -> BaseResponse:
    """Take a conflict off the list."""
    here, person = web.context(), web.signed_in()
    if person is None:
        return redirect("/sign-in", 303)
    number = field("conflict")
    with here.store.write() as session:
        if desk_help.close_problem(session, number, person.account, here.now()):
            description = f"conflict:{number}"
            record_administration(
                here, session, person.principal, action="close-sign-in-problem", description=description
            )
    return redirect("/service-desk/sign-in-problems", 303)
