"""Notes: what the person, family and professionals wrote into the record, and a form to write one."""

from __future__ import annotations

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.portal.forms import Problem, too_long
from fhir_server.portal.models import note as model
from fhir_server.portal.models.labels import BY_CODE, LABELS
from fhir_server.portal.models.letter import letter
from fhir_server.portal.views.letters import note_opened
from fhir_server.portal.views.whose import Record, open_record


def notes(patient_id: str = "") -> str:
    """List notes with their words, newest first."""
    record = open_record(patient_id)
    found = record.road.search(
        "DocumentReference",
        ("patient", record.reference),
        ("type", model.EVERY_TYPE),
        ("_sort", "-date"),
        ("_count", "20"),
        page=request.args.get("page", ""),
    )
    shown = [letter(entry) for entry in found.matches]
    # Their words are on the page.
    note_opened(record, (note.id for note in shown if note.text))
    return render_template(
        "portal/record/notes.html",
        record=record,
        notes=shown,
        next_page=found.next_page,
        later=bool(request.args.get("page")),
        may_add=record.own,
    )


def add_note() -> str | Response:
    """Ask for a title, the words and the kind of information; save them as a note by whoever is here."""
    # Family adds where their Consent says so: the road refuses them otherwise.
    record = open_record()
    if request.method == "GET":
        return _form(record, ())
    title = " ".join(request.form.get("title", "").split())
    text = "\n".join(line.rstrip() for line in request.form.get("text", "").strip().splitlines())
    label = request.form.get("label", "general")
    problems: list[Problem] = []
    if len(title) > model.LONGEST_TITLE:
        problems.append(Problem(too_long("the title", model.LONGEST_TITLE), "#title"))
    if not text:
        problems.append(Problem("Write your note", "#text"))
    elif len(text) > model.LONGEST:
        problems.append(Problem(too_long("Your note", model.LONGEST), "#text"))
    if label not in BY_CODE:
        problems.append(Problem("Choose what kind of information it is", "#label"))
    if problems:
        return make_response(_form(record, tuple(problems)), 400)
    who = record.road.principal
    author = record.patient_reference if record.own else {"reference": who.subject, "display": who.name}
    record.road.create(
        model.document(title, text, label, patient=record.patient_reference, author=author, now=record.road.now)
    )
    return redirect("/record/notes?added=note", 303)


def _form(record: Record, problems: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/record/add_note.html",
        record=record,
        labels=LABELS,
        longest=model.LONGEST,
        errors=problems,
        answers=request.form,
    )
