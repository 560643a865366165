"""The service desk sends again what waits for an e-mail address, or unlocks it; it is not told what there was."""

from __future__ import annotations

from typing import Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import desk_help
from fhir_server.portal.forms import Problem
from fhir_server.portal.views.account_acts import actor
from fhir_server.spec.outcome import FhirError, Kind

_NOTICE: Final = {
    "resend": "If anything waits for this address, it is on its way again",
    "unlock": "If this address was locked, it is not any more",
}
_REFUSED: Final = frozenset({Kind.INVALID_VALUE, Kind.THROTTLED})


def help_somebody() -> Response:
    """Ask for an address and what to do for it; the answer is the same whoever it is."""
    if request.method == "GET":
        return _page(())
    who, step = actor(), request.form.get("step", "")
    if step not in _NOTICE:
        abort(400)
    try:
        with who.context.store.write() as session:
            email = desk_help.checked(session, who.account, request.form.get("email", ""), who.now)
    except FhirError as error:
        if error.kind not in _REFUSED:
            raise
        return _page((Problem(error.diagnostics, "#email"),), web.page_status(error))
    with who.act("resend-messages" if step == "resend" else "unlock-account", f"address {email}") as session:
        if step == "resend":
            desk_help.send_again(session, email, who.now)
        else:
            desk_help.unlock(session, email, who.now)
    return redirect(f"/service-desk/help?done={step}", 303)


def _page(errors: tuple[Problem, ...], status: int = 200) -> Response:
    page = render_template(
        "portal/desk/help.html",
        answers=request.form,
        errors=errors,
        notice=_NOTICE.get(request.args.get("done", ""), ""),
    )
    return make_response(page, status)
