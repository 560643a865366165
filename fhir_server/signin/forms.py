"""What people type into these pages, read once, and how a page with mistakes is answered."""

from __future__ import annotations

from datetime import date

from flask import Response, make_response, render_template, request

from fhir_server import web

_LONGEST_FIELD = 1_000
_FIRST_YEAR = 1_000


def field(name: str, longest: int = _LONGEST_FIELD) -> str:
    """Return a form field without surrounding space, "" where it is absent; a monstrous one counts as absent."""
    value = request.form.get(name, "")
    return value.strip() if len(value) <= longest else ""


def secret(name: str) -> str:
    """Return a password exactly as typed: its spaces count."""
    return request.form.get(name, "")


def typed_date() -> str:
    """Return the fields day, month and year as `YYYY-MM-DD`, "" where they are no date, or the year has no century."""
    try:
        typed = date(int(field("year")), int(field("month")), int(field("day")))
    except (ValueError, OverflowError):
        return ""
    return typed.isoformat() if typed.year >= _FIRST_YEAR else ""


def page(template: str, *, errors: dict[str, str] | None = None, status: int = 0, **values: object) -> Response:
    """Answer with a page of `signin/`.

    Args:
        template: File name without `.html`.
        errors: Field id → what is wrong with it, in plain words; shown in the summary and at the field.
        status: HTTP status; 0 means 200, or 400 where there are errors.
        values: What the template needs.
    """
    wrong = errors or {}
    body = render_template(
        f"signin/{template}.html",
        errors=[{"text": web.say(text), "href": f"#{name}"} for name, text in wrong.items()],
        wrong={name: {"text": web.say(text), "visuallyHiddenText": web.say("Error")} for name, text in wrong.items()},
        typed=request.form,
        terms=web.current().terms,
        **values,
    )
    return make_response(body, status or (400 if wrong else 200))


def message(title: str, *paragraphs: str, status: int = 200, link: tuple[str, str] | None = None) -> Response:
    """Answer with a page that only says something, and where to go on: `link` is (text, path)."""
    return page("message", status=status, title=title, paragraphs=paragraphs, link=link)
