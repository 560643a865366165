"""Nobody past the agreement: whoever is signed in and has not accepted what is in force gets that page first.

INVARIANT: it stands before every page that reads the session cookie, not at the ways to sign in: a way that is added
later cannot lead around it.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from flask import redirect, request
from werkzeug.wrappers import Response

from fhir_server.identity import agreements
from fhir_server.web.extension import current
from fhir_server.web.security import FOREIGN_FORMS, is_machine
from fhir_server.web.session import signed_in

PAGE: Final = "/agreement"
_OPEN: Final = frozenset(
    {
        PAGE,
        "/accessibility",
        "/contact",
        "/contact/message",
        "/language",
        "/privacy-policy",
        "/session/left",
        "/session/stay",
        "/sign-out",
        "/signed-out",
        "/stay-signed-in",
        "/terms",
    }
)
"""What can be read and done without: the texts themselves, help, a language to read them in, the way out."""
_FILES: Final = "/assets/"


def ask_agreement() -> Response | None:
    """Return the way to the agreement for somebody who has to accept it first, None for everybody else."""
    path = request.path
    if request.endpoint is None or is_machine(path) or path in FOREIGN_FORMS or path in _OPEN:
        return None
    if path.startswith(_FILES):
        return None
    person = signed_in()
    if person is None or agreements.is_current(person.account, current().terms):
        return None
    back = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return redirect(f"{PAGE}?{urlencode({'next': back})}", 303)
