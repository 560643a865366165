"""Coordinators: upload a file of people to invite, watch it, fetch the report."""

from __future__ import annotations

from typing import Final

from flask import Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server.identity import invitation_files as identity
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.views.account_acts import Actor, actor
from fhir_server.spec.outcome import FhirError, Kind

_EXAMPLE: Final = (
    "given,family,birth_date,nhs_number,email,mobile\r\n"
    "Ann,Example,1985-03-27,9434765919,ann@example.org,07700900982\r\n"
)


def files() -> BaseResponse:
    """List the files; take a new one."""
    who = actor()
    if request.method == "GET":
        return _page(who)
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        return _page(who, "Choose a CSV file")
    content = sent.stream.read(identity.MOST_BYTES + 1)
    try:
        with who.act("upload-invitations") as session:
            batch, is_new = identity.upload(session, who.account, content, who.now)
    except FhirError as error:
        if error.kind is not Kind.INVALID_VALUE:
            raise
        return _page(who, error.diagnostics)
    return redirect(f"/organisation/files/{batch.id}{'' if is_new else '?known=yes'}", 303)


def one_file(batch_id: str) -> str:
    """Show how far a file is."""
    who = actor()
    with who.context.store.read() as session:
        batch = identity.found(session, who.account, batch_id)
        counts = identity.counts(session, batch)
    return render_template(
        "portal/organisation/file.html",
        batch=batch,
        counts=counts,
        uploaded=moment_of(batch.uploaded_at),
        known="known" in request.args,
    )


def file_report(batch_id: str) -> Response:
    """Answer what came of each line, as a CSV file."""
    who = actor()
    with who.act("fetch-invitations-report", f"file {batch_id[:36]}") as session:
        text = identity.report(session, identity.found(session, who.account, batch_id))
    answer = make_response(text.encode("utf-8-sig"))
    answer.headers["Content-Type"] = "text/csv; charset=utf-8"
    answer.headers["Content-Disposition"] = 'attachment; filename="invitations-report.csv"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def example() -> Response:
    """Answer a file to fill in."""
    answer = make_response(_EXAMPLE)
    answer.headers["Content-Type"] = "text/csv; charset=utf-8"
    answer.headers["Content-Disposition"] = 'attachment; filename="invitations-example.csv"'
    return answer


def _page(who: Actor, wrong: str = "") -> Response:
    with who.context.store.read() as session:
        listed = identity.listed(session, who.account)
    page = render_template(
        "portal/organisation/files.html",
        errors=(Problem(wrong, "#file"),) if wrong else (),
        batches=[(batch, moment_of(batch.uploaded_at)) for batch in listed],
        most_rows=identity.MOST_ROWS,
        columns=identity.COLUMNS,
    )
    return make_response(page, 400 if wrong else 200)
