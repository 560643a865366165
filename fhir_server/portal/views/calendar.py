"""The private calendar address: make one, say how much it tells, stop it; and the calendar that it answers with."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import account_changes, calendar_links
from fhir_server.identity.calendar_links import Detail
from fhir_server.portal.calendar_file import feed
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.appointment import visit
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.road import Road
from fhir_server.portal.views.whose import Record, open_record
from fhir_server.web.acting import actor

_BACK: Final = timedelta(days=92)
_NOT_BOOKED: Final = frozenset({"proposed", "waitlist", "entered-in-error"})


def calendar_link() -> str | Response:
    """Show whether there is an address; make a new one, which is shown once, or stop it."""
    record, me = open_record(), actor()
    if request.method == "GET":
        return _page(record)
    about = f"calendar of {record.reference}"
    step = request.form.get("step", "")
    if step == "stop":
        with me.act("stop-calendar-link", about) as session:
            calendar_links.revoke(session, me.account.id, record.reference)
        return redirect("/record/appointments/calendar?done=stopped", 303)
    if step != "make":
        abort(400)
    # The address outlives the session: a stolen one must not be enough to make it.
    if (again := web.ask_again()) is not None:
        return again
    detail = next((each for each in Detail if each == request.form.get("detail", "")), None)
    if detail is None:
        return make_response(_page(record, errors=(Problem("Choose what your calendar may show", "#detail"),)), 400)
    with me.act("make-calendar-link", about) as session:
        token = calendar_links.make(session, me.account, record.reference, detail, me.now)
        account_changes.tell(session, me.account, "An address for your calendar was made.", me.now)
    address = f"{web.current().base_url}/calendar/{token}/appointments.ics"
    response = make_response(_page(record, address=address))
    response.headers["Cache-Control"] = "no-store"
    return response


def _page(record: Record, *, address: str = "", errors: tuple[Problem, ...] = ()) -> str:
    me = actor()
    with me.context.store.read() as session:
        link = calendar_links.of_reader(session, me.account.id, record.reference)
    return render_template(
        "portal/record/calendar.html",
        record=record,
        link=link,
        made=moment_of(link.created_at) if link else None,
        used=moment_of(link.used_at) if link and link.used_at else None,
        address=address,
        subscribe=f"webcal://{address.partition('://')[2]}" if address else "",
        stopped=request.args.get("done") == "stopped",
        errors=errors,
    )


def calendar_feed(token: str) -> Response:
    """Answer a calendar: the appointments that its person would see now; a dead address is not found."""
    here = web.context()
    reader = calendar_links.reader(here.store, token, here.now())
    if reader is None:
        abort(404)
    way = Road(reader.principal, here)
    since = (way.now - _BACK).date().isoformat()
    found = way.search_all("Appointment", ("patient", reader.patient), ("date", f"ge{since}"), ("_sort", "date"))
    visits = [visit(entry) for entry in found if entry.get("status") not in _NOT_BOOKED]
    content = feed(visits, reader.detail, reader.link_id, way.now)
    headers = {"Cache-Control": "private, no-store", "X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer"}
    return Response(content, content_type="text/calendar; charset=utf-8", headers=headers)
