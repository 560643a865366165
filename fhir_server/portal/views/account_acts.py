"""The form of a page that changes an account, with what was wrong in it."""

from __future__ import annotations

from flask import Response, make_response, render_template

from fhir_server import web
from fhir_server.portal.forms import Problem
from fhir_server.web.acting import Actor, actor

__all__ = ["Actor", "actor", "form"]


def form(template: str, errors: dict[str, str] | None = None, *, status: int = 0, **values: object) -> Response:
    """Answer with a page of `portal/account/`.

    Args:
        template: File name without `.html`.
        errors: Id of a field → what is wrong with it; shown in the summary and at the field.
        status: HTTP status; 0 means 200, or 400 where there are errors.
        values: What the template needs.
    """
    wrong = errors or {}
    problems = [Problem(text, f"#{name}") for name, text in wrong.items()]
    shown = {name: {"text": web.say(text), "visuallyHiddenText": web.say("Error")} for name, text in wrong.items()}
    body = render_template(f"portal/account/{template}.html", errors=problems, wrong=shown, **values)
    return make_response(body, status or (400 if wrong else 200))
