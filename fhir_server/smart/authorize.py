"""The authorization endpoint: check the app's request, ask the person in plain words, send the answer back."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError, InvalidRequestError, UnauthorizedClientError
from flask import Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.interactions.perform import record_sign_in
from fhir_server.smart import authority, launch, narrowing, remembering, wording
from fhir_server.smart.launch import Record
from fhir_server.smart.rfc6749_authorization_code import CodeGrant, Yes
from fhir_server.smart.server import Here, IncomingRequest, refuse
from fhir_server.store import oauth_launches
from fhir_server.store.database import Session
from fhir_server.store.oauth_launches import Launch
from fhir_server.web import SignedIn

_MAX_FIELDS = 50
_MAX_AGE_DIGITS = 9
_NO_LAUNCH = "launch is unknown, used up or expired: open the app from the patient's page again"
_NO_RECORD = "This account has no health record that an app could open"


class InteractionRequiredError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """`prompt=none`, yet somebody has to be asked (OpenID Connect Core 1.0 §3.1.2.6)."""


def ask() -> Response | BaseResponse:
    """Answer GET: the page that asks, or sign-in first, or the error."""
    query = request.query_string.decode("ascii", "replace")
    at = authority.here()
    try:
        grant = _checked(query, at)
        person = web.signed_in()
        if "none" in grant.request.payload.data.get("prompt", "").split():
            error = "consent_required" if person else "login_required"
            raise InteractionRequiredError(error=error, redirect_uri=grant.redirect_uri, state=_state(grant))
        if person is None:
            return _to_sign_in(query)
        if _wants_fresh_proof(grant, person, at):
            return redirect("/sign-in/again?" + urlencode({"next": _address(_without_prompt(query))}), 303)
        return _page(grant, person, query, _records(grant, person, _launched(grant, person)))
    except OAuth2Error as error:
        return _refused(error, at)


def ask_by_form() -> BaseResponse:
    """Answer POST of an app's request (SMART App Launch 2.2, `authorize-post`): the same request goes on by GET.

    INVARIANT: no cookie is read here, as any site may send this form; a redirect to our own page is all that happens.
    """
    pairs = [(name, value) for name, values in request.form.lists() for value in values]
    return redirect(_address(urlencode(pairs[: _MAX_FIELDS + 1])), 303)


def decide() -> Response | BaseResponse:
    """Answer what the person decided: it goes back to the app; everything is checked again."""
    query = request.form.get("query", "")
    at = authority.here()
    try:
        grant = _checked(query, at)
        person = web.signed_in()
        if person is None:
            return _to_sign_in(query)
        if _wants_fresh_proof(grant, person, at):
            return redirect(_address(query), 303)
        launched = _launched(grant, person)
        records = _records(grant, person, launched)
        if request.form.get("decision") != "allow":
            return _answer(grant, at, person, None)
        scope = wording.chosen(grant.request.scope, frozenset(request.form.getlist("allow")))
        record = _chosen_record(scope, records)
        if not set(scope.split()) - wording.LAUNCH:
            return _page(grant, person, query, records, error="Tick what the app may do, or choose “Do not allow”")
        if narrowing.needs_patient(scope.split()) and record is None:
            error = "Choose whose record the app may open"
            return _page(grant, person, query, records, error=error, field="record-1")
        return _answer(grant, at, person, _yes(person, record, scope, launched))
    except OAuth2Error as error:
        return _refused(error, at)


def _checked(query: str, at: Here) -> CodeGrant:
    """Return the valid request of this query string.

    Raises:
        OAuth2Error: With a `redirect_uri` where the client may be told.
    """
    try:
        values = parse_qs(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise InvalidRequestError("The request has too many parameters") from error
    incoming = IncomingRequest(request, values)
    incoming.refuse_repeated()
    with web.context().store.read() as session:
        server = authority.server(session, at)
        if why := server.why_not(incoming.payload.client_id or ""):
            raise UnauthorizedClientError(why)
        grant: CodeGrant = server.get_consent_grant(incoming)
    return grant


def _launched(grant: CodeGrant, person: SignedIn) -> Launch | None:
    """Return what the app was launched with, None for an app that started on its own.

    Raises:
        InvalidRequestError: When the launch is used up or expired, another app's or another person's.
    """
    value = _launch_of(grant)
    if not value:
        return None
    here, client_id = web.context(), grant.request.client.get_client_id()
    with here.store.read() as session:
        found = oauth_launches.pending(
            session, value, client_id=client_id, account_id=person.account.id, now=here.now()
        )
    if found is None:
        raise InvalidRequestError(_NO_LAUNCH, redirect_uri=grant.redirect_uri, state=_state(grant))
    return found


def _launch_of(grant: CodeGrant) -> str:
    """Return the launch parameter; without the scope `launch` the app does not want to know what it stands for."""
    return grant.request.payload.data.get("launch", "") if "launch" in grant.request.scope.split() else ""


def _records(grant: CodeGrant, person: SignedIn, launched: Launch | None) -> tuple[Record, ...]:
    """Return the records to choose from, one where the app was launched, none where it asks for no patient."""
    no_record = AccessDeniedError(_NO_RECORD, redirect_uri=grant.redirect_uri, state=_state(grant))
    if not person.account.reference:
        raise no_record
    if not narrowing.needs_patient(grant.request.scope.split()):
        return ()
    if launched is not None:
        found = launch.record(person, web.context(), launched.patient)
        records: tuple[Record, ...] = (found,) if found else ()
    else:
        records = launch.records(person, web.context())
    if not records:
        raise no_record
    return records


def _chosen_record(scope: str, records: tuple[Record, ...]) -> Record | None:
    if not narrowing.needs_patient(scope.split()):
        return None
    wanted = request.form.get("record") or (records[0].reference if len(records) == 1 else "")
    # INVARIANT: only a record that the road showed to this person a moment ago; never one that the form names.
    return next((record for record in records if record.reference == wanted), None)


def _yes(person: SignedIn, record: Record | None, scope: str, launched: Launch | None) -> Yes:
    """Return the decision, of the part of the person that sees the record: the app is nobody more."""
    principal = record.principal if record else person.principal
    return Yes(
        account_id=person.account.id,
        subject=principal.subject,
        patient=record.reference if record else "",
        scope=scope,
        purpose=principal.purpose,
        organization=principal.organization,
        may_break_glass=principal.may_break_glass,
        auth_time=person.auth_time,
        session_id=person.session_id,
        encounter=launched.encounter if launched else "",
        context=launched.context if launched else (),
    )


def _answer(grant: CodeGrant, at: Here, person: SignedIn, yes: Yes | None) -> Response:
    context = web.context()
    with context.store.write() as session:
        server = authority.server(session, at)
        if yes is not None:
            remembering.keep(session, grant.request, yes, at.now)
        # The request was valid a moment ago; the client may have been suspended since.
        again = server.get_consent_grant(grant.request)
        _use_up_launch(session, grant, at, person)
        response: Response = server.create_authorization_response(grant.request, grant_user=yes, grant=again)
        record_sign_in(
            context,
            session,
            person.account,
            client_id=grant.request.client.get_client_id(),
            description="" if yes else "The person did not allow it",
            succeeded=yes is not None,
        )
    return response


def _use_up_launch(session: Session, grant: CodeGrant, at: Here, person: SignedIn) -> None:
    """Let a launch work once, whatever was decided; of two windows one goes on."""
    value, client_id = _launch_of(grant), grant.request.client.get_client_id()
    if value and not oauth_launches.claim(
        session, value, client_id=client_id, account_id=person.account.id, now=at.now
    ):
        raise InvalidRequestError(_NO_LAUNCH, redirect_uri=grant.redirect_uri, state=_state(grant))


def _page(
    grant: CodeGrant,
    person: SignedIn,
    query: str,
    records: tuple[Record, ...],
    *,
    error: str = "",
    field: str = "allow-1",
) -> Response:
    # Browsers hold `form-action` also against the redirect that answers the form.
    web.allow_form_target(grant.redirect_uri)
    again = bool(error)
    items = wording.items(grant.request.scope)
    remembered = remembering.of(grant.request, person.account.id, items)
    page = render_template(
        "smart/authorize.html",
        client=grant.request.client.stored,
        destination=urlsplit(grant.redirect_uri).hostname or urlsplit(grant.redirect_uri).scheme,
        items=items,
        ticked=frozenset(request.form.getlist("allow")) if again else remembered.ticked,
        remembered=remembered,
        records=records,
        own_record=[record.own for record in records] == [True],
        chosen=request.form.get("record", "") if again else _current(person, records),
        query=query,
        errors=[{"text": error, "href": f"#{field}"}] if error else [],
    )
    return make_response(page, 400 if again else 200)


def _current(person: SignedIn, records: tuple[Record, ...]) -> str:
    """Return the record that the person has open in this browser, where that says which of several."""
    as_now = [record.reference for record in records if record.principal.subject == person.principal.subject]
    return as_now[0] if len(as_now) == 1 else ""


def _refused(error: OAuth2Error, at: Here) -> Response:
    """Tell the app where that is safe, else the person; an address that is not registered is never gone to."""
    if error.redirect_uri:
        return refuse(error, at.base_url)
    page = render_template("smart/refused.html", error=error.error, reason=error.description)
    return make_response(page, 400)


def _to_sign_in(query: str) -> BaseResponse:
    return redirect("/sign-in?" + urlencode({"next": _address(query)}), 303)


def _wants_fresh_proof(grant: CodeGrant, person: SignedIn, at: Here) -> bool:
    """Return whether the app wants the person to sign in again (OpenID Connect Core 1.0 §3.1.2.1)."""
    parameters = grant.request.payload.data
    max_age = parameters.get("max_age", "")
    if max_age and not (max_age.isascii() and max_age.isdigit() and len(max_age) <= _MAX_AGE_DIGITS):
        raise InvalidRequestError(
            "max_age must be a number of seconds", redirect_uri=grant.redirect_uri, state=_state(grant)
        )
    too_old = bool(max_age) and at.now - person.auth_time > timedelta(seconds=int(max_age))
    return too_old or "login" in parameters.get("prompt", "").split()


def _without_prompt(query: str) -> str:
    """Return the request as it goes on once its wish for a new sign-in is fulfilled."""
    return urlencode([(name, value) for name, value in parse_qsl(query) if name != "prompt"])


def _address(query: str) -> str:
    return f"/oauth/authorize?{query}"


def _state(grant: CodeGrant) -> str:
    return str(grant.request.payload.state)
