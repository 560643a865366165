"""How long a session lasts, and making it last longer: with JavaScript in a dialog, without it on a page."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from flask import Response, jsonify
from flask import request as incoming

from fhir_server import web
from fhir_server.signin.forms import message
from fhir_server.web.session import SignedIn
from fhir_server.web.session_note import clock_time


def left() -> Response:
    """Answer with the seconds that are left (JSON); to ask is not to be active, so it extends nothing."""
    return _told(web.glance())


def stay() -> Response:
    """Count this request as activity, and answer with the seconds that are left now (JSON)."""
    return _told(web.signed_in())


@web.require()
def show_stay() -> Response:
    """Say how long the session lasts now that its person was active again."""
    person = web.signed_in()
    target = where_from()
    if person is None or person.is_final:
        return message(
            "Sign in again to stay",
            "For your safety we ask who you are after 12 hours at the latest. Prove it now and you can go on.",
            link=("Prove that it is you", f"/sign-in/again?{urlencode({'next': target})}"),
        )
    return message(
        "You are still signed in",
        web.say("You stay signed in until %(time)s, and longer whenever you open a page before that.")
        % {"time": clock_time(person.ends_at)},
        "Go back to where you were. If you had begun to fill in a form, use your browser's back button.",
        link=("Go back", target),
    )


def where_from() -> str:
    """Return the page of ours that this request came from, `/` where none is named."""
    # Pages do not name themselves in their link here: hidden and absent are to be the same page to the last byte.
    came_from = urlsplit(incoming.referrer or "")
    is_ours = came_from.netloc == urlsplit(web.current().base_url).netloc
    path = f"{came_from.path}?{came_from.query}" if came_from.query else came_from.path
    return web.safe_next(path if is_ours else "")


def _told(person: SignedIn | None) -> Response:
    second = timedelta(seconds=1)
    left_s = max(0, (person.ends_at - web.context().now()) // second) if person else 0
    return jsonify(left_s=left_s, final=bool(person and person.is_final))
