"""The switch of languages at the foot of every page, kept in the browser and in the account of who is signed in."""

from __future__ import annotations

from flask import abort, redirect
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.language import known
from fhir_server.signin.forms import field
from fhir_server.signin.staying import where_from
from fhir_server.store import accounts
from fhir_server.web import language
from fhir_server.web.acting import actor


def choose() -> Response:
    """Show pages in another language from now on, and write messages in it to somebody who is signed in."""
    wish = known(field("language"))
    if not wish:
        abort(400)
    if web.signed_in() is not None:
        me = actor()
        with me.act("choose-language", wish) as session:
            accounts.set_language(session, me.account.id, wish)
    answer = redirect(where_from(), 303)
    language.keep(answer, wish)
    return answer
