"""The privacy officer's pages: questions of patients about entries of their access log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.portal.forms import Problem
from fhir_server.portal.models.disputes import CODE, LONGEST_TEXT, VERDICTS, Dispute, dispute
from fhir_server.portal.models.words import reference
from fhir_server.portal.road import Parameter, Road, road
from fhir_server.portal.views.access_log import accesses
from fhir_server.portal.views.privacy import told

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_OURS: Final = ("code", CODE)
_PER_PAGE: Final = "25"


def disputes() -> str:
    """List questions: those that wait (the default, oldest first), those under enquiry, or answered ones by pages."""
    way = road()
    show = request.args.get("show", "open")
    show = show if show in {"enquiry", "answered"} else "open"
    waiting = way.search_all("Task", _OURS, ("status:not", "completed"), ("_sort", "authored-on"))
    done: tuple[Parameter, ...] = (_OURS, ("status", "completed"), ("_sort", "-authored-on"), ("_count", _PER_PAGE))
    business = "business-status" if show == "enquiry" else "business-status:not"
    found = way.search("Task", *done, (business, "enquiry"), page=request.args.get("page", ""))
    tasks = list(waiting) if show == "open" else list(found.matches)
    return render_template(
        "portal/privacy/disputes.html",
        disputes=_shown(way, tasks),
        show=show,
        open_count=len(waiting),
        next_page=found.next_page if show != "open" else "",
    )


def one_dispute(dispute_id: str) -> str | Response:
    """Show one question with the access that it is about, and take the answer."""
    way = road()
    task = way.find("Task", dispute_id) if _ID.fullmatch(dispute_id) else None
    if task is None:
        return redirect("/privacy/disputes")
    if request.method == "GET":
        return _page(way, task, (), {})
    problems = _problems(request.form) or told(way, "answer-dispute", dispute_id, _given(request.form))
    if not problems:
        return redirect("/privacy/disputes?done=yes", 303)
    return make_response(_page(way, task, problems, request.form), 400)


def _shown(way: Road, tasks: Sequence[dict[str, Any]]) -> list[Dispute]:
    ids = {reference(task.get("focus")).partition("/")[2] for task in tasks}
    known = accesses(way, tuple(sorted(each for each in ids if _ID.fullmatch(each))))
    return [dispute(task, known, way.now) for task in tasks]


def _page(way: Road, task: dict[str, Any], errors: tuple[Problem, ...], answers: Mapping[str, str]) -> str:
    (shown,) = _shown(way, [task])
    return render_template(
        "portal/privacy/dispute.html",
        dispute=shown,
        verdicts=[(code, text) for code, (text, _) in VERDICTS.items()],
        longest=LONGEST_TEXT,
        errors=errors,
        answers=answers,
    )


def _given(form: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": "outcome", "valueCode": form["outcome"]},
        {"name": "text", "valueString": form["text"].strip()},
    ]


def _problems(form: Mapping[str, str]) -> tuple[Problem, ...]:
    problems = []
    if form.get("outcome") not in VERDICTS:
        problems.append(Problem("Choose what you found", "#outcome"))
    text = form.get("text", "").strip()
    if not text:
        problems.append(Problem("Write an answer for the patient", "#text"))
    elif len(text) > LONGEST_TEXT:
        problems.append(Problem(f"Write {LONGEST_TEXT:,} characters or less", "#text"))
    return tuple(problems)
