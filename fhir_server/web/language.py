"""The language of an answer: its person's choice, else this browser's, else what the browser asks for.

English is what the sources say. A text comes out in the language of the answer through `say` (Python, and the filter of
that name for values) and gettext's `_` and `{% trans %}` (templates); one without a translation stays English.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import Flask, has_request_context, request
from flask_babel import Babel, force_locale, get_locale
from werkzeug.wrappers import Response

from fhir_server.identity.agreements import Acceptance
from fhir_server.language import CODES, DEFAULT, LANGUAGES, Language, catalogue, known
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError
from fhir_server.web.admission import LANGUAGE_COOKIE as COOKIE
from fhir_server.web.extension import current
from fhir_server.web.security import is_machine
from fhir_server.web.session import signed_in

_KEPT_S: Final = 365 * 24 * 3_600


def code() -> str:
    """Return the language of this answer, such as `cy`; English outside a request."""
    locale = get_locale()
    return locale.language if locale is not None else DEFAULT


def say(text: str) -> str:
    """Return a text of ours in the language of this answer.

    What is not a text of ours, such as a name, comes back as it is. The result is as safe, or as unsafe, as the text.
    """
    said: str = catalogue(code()).gettext(text) if text else text
    return text if said == text else said


def say_many(one: str, many: str, count: int) -> str:
    """Return the form of a text of ours that goes with a number."""
    return str(catalogue(code()).ngettext(one, many, count))


def by_number(one: str, many: str) -> str:
    """Return, for a script to fill in, how a text of ours goes with each number: as JSON, that of most as `other`.

    Args:
        one: The text with `{count}` for a single thing.
        many: The same for several.
    """
    most = say_many(one, many, 100)
    others = {str(count): form for count in range(61) if (form := say_many(one, many, count)) != most}
    return json.encode({"other": most, **others}).decode()


def acceptance() -> Acceptance:
    """Return what somebody accepts who accepts now: the terms in force, read in the language of this answer."""
    return Acceptance(current().terms, code())


def keep(response: Response, wish: str) -> None:
    """Let this browser ask for a language from now on, also when nobody is signed in."""
    secure = current().is_https
    response.set_cookie(COOKIE, wish, max_age=_KEPT_S, path="/", secure=secure, httponly=True, samesite="Lax")


@contextmanager
def in_english() -> Iterator[None]:
    """Let everything inside speak English, whoever asks: a file goes on to people and programs elsewhere."""
    with force_locale(DEFAULT):
        yield


def others() -> tuple[Language, ...]:
    """Return the languages that a page offers: all but its own."""
    return tuple(language for language in LANGUAGES if language.code != code())


def install(app: Flask, default: str) -> None:
    """Let pages speak the languages; `default` is for whoever asks for none that we speak."""

    def chosen() -> str:
        if not has_request_context():
            return default
        # INVARIANT: programs' paths read no cookie, not even for this.
        if is_machine(request.path):
            return DEFAULT
        return _of_person() or known(request.cookies.get(COOKIE)) or _asked() or default

    Babel(app, default_locale=default, locale_selector=chosen)
    # The catalogues are compiled with the package and read once for each process, not once for each answer.
    app.jinja_env.install_gettext_callables(gettext=say, ngettext=say_many, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.filters["say"] = say
    app.jinja_env.globals["by_number"] = by_number
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.context_processor(lambda: {"page_language": code(), "page_direction": direction(), "other_languages": others()})


def direction() -> str:
    """Return `ltr`, or `rtl` for a language that is written from right to left."""
    locale = get_locale()
    return locale.text_direction if locale is not None else "ltr"


def _of_person() -> str:
    try:
        person = signed_in()
    except FhirError:
        # The page may be about that very failure.
        person = None
    return known(person.account.language) if person else ""


def _asked() -> str:
    return known(request.accept_languages.best_match(CODES))
