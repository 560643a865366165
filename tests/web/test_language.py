"""What pages say in other languages: each marked text has one, with the same blanks, and no value passes as safe."""

import io
import re
from pathlib import Path

from babel.messages.pofile import read_po
from flask import Flask
from jinja2 import Environment
from jinja2.ext import babel_extract

from fhir_server import web
from fhir_server.language import CATALOGUES, CODES, DEFAULT, LANGUAGES, catalogue, known, spoken_day
from fhir_server.portal.models.words import moment
from fhir_server.web import language
from tests.server import START

ROOT = CATALOGUES.parent
TEMPLATES = sorted(ROOT.glob("**/templates/**/*.html"))
OPTIONS = {"trimmed": "true", "newstyle_gettext": "true", "trim_blocks": "true", "lstrip_blocks": "true"}
FOR_STAFF = (
    "admin/",
    *(f"portal/{name}" for name in ("administration", "desk", "developer", "organisation", "privacy", "professional")),
    *("portal/messages.html", "portal/service_desk.html", "portal/account/resets.html", "portal/record/emergency.html"),
    *(f"signin/{name}.html" for name in ("ehr-launch-agreement", "join-organisation", "sign-in-conflicts")),
)
"""Pages that speak English on purpose: staff work in the language of their systems."""
NOT_YET = {
    *(f"portal/access_log/{name}.html" for name in ("ask", "check")),
    *(f"portal/pages/{name}.html" for name in ("accessibility", "contact", "cookies", "privacy_policy", "terms")),
    *(f"portal/sharing/{name}.html" for name in ("answer", "check", "check_carer", "choose", "entry", "entry_check")),
    *(f"portal/sharing/{name}.html" for name in ("fields", "find", "history", "invite_carer", "kinds", "label")),
    *(f"portal/sharing/{name}.html" for name in ("overview", "paused", "stop", "switch_off", "switch_on")),
    *(f"smart/{name}.html" for name in ("authorize", "launch", "refused")),
    "portal/record/base.html",  # what only professionals see of it
}
"""Pages for patients and carers with texts that are not marked yet; none is added."""
BLANK = re.compile(r"%\([a-z_]+\)s|%%|\{[a-z_]+\}")
TAG = re.compile(r"</?[a-z]+")


def _marked(template: Path) -> set[str]:
    with template.open("rb") as file:
        found = babel_extract(file, ["_", "gettext", "ngettext"], [], OPTIONS)
        texts = [text for _, _, text, _ in found]
    return {text if isinstance(text, str) else next(each for each in text if each) for text in texts if text}


def test_every_text_that_a_template_marks_is_there_in_every_language() -> None:
    marked = {text: template.name for template in TEMPLATES for text in _marked(template)}
    assert len(marked) > 200
    for code in set(CODES) - {DEFAULT}:
        missing = {text: name for text, name in marked.items() if catalogue(code).gettext(text) == text}
        # A name that is the same in both languages is said to be so: by an entry that repeats it.
        path = CATALOGUES / code / "LC_MESSAGES" / "messages.po"
        entries = read_po(io.BytesIO(path.read_bytes()), locale=code, abort_invalid=True)
        assert not [f"{name}: {text}" for text, name in missing.items() if text not in entries], code
        for entry in entries:
            if entry.id:
                assert sorted(BLANK.findall(str(entry.id))) == sorted(BLANK.findall(str(entry.string))), entry.id
                assert sorted(TAG.findall(str(entry.id))) == sorted(TAG.findall(str(entry.string))), entry.id
                assert not entry.fuzzy, entry.id


def _unmarked(template: Path) -> set[str]:
    """Return the words of a template outside tags that stay English, since they are not marked."""
    said, begins, is_marked = [""], False, False
    for _, kind, value in Environment(autoescape=True).lex(template.read_text()):
        if begins and kind == "name":
            is_marked = value == "trans" or (is_marked and value != "endtrans")
        begins = kind == "block_begin" or (begins and kind == "whitespace")
        if kind == "data" and not is_marked:
            said.append(value)
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", "\n", "\0".join(said), flags=re.DOTALL)
    parts = (" ".join(part.split()) for part in re.split(r"[\n\0]", text))
    # An attribute that a block adds to a tag stands alone.
    return {part for part in parts if re.search(r"[A-Za-z]{2}", part) and not re.match(r'[a-z]+="|/[a-z-]+"$', part)}


def test_every_text_of_a_page_for_patients_and_carers_is_marked() -> None:
    english = (path for path in TEMPLATES if _unmarked(path))
    found = {path.relative_to(ROOT).as_posix().partition("templates/")[2] for path in english}
    open_to_patients = {name for name in found if not name.startswith(FOR_STAFF)}
    assert open_to_patients == NOT_YET


def test_no_template_marks_a_value_as_if_it_were_a_text_of_ours() -> None:
    # gettext's result is not escaped; for values there is the filter `say`, whose result is.
    for template in TEMPLATES:
        assert not re.findall(r"\b_\((?![\"'])|gettext\((?![\"'])", template.read_text()), template


def test_what_is_said_of_a_value_is_escaped_and_days_follow_the_language() -> None:
    app = Flask(__name__)
    web.language.install(app, "cy")
    app.jinja_env.autoescape = True
    page = app.jinja_env.from_string(
        "{{ x | say }}|{{ y | say }}|{{ _('Sign in') }}|{% trans %}by {{ by }}{% endtrans %}"
    )
    with app.test_request_context("/fhir/metadata"):
        assert language.code() == "en", "programs' paths read neither cookie nor wish"
    with app.app_context():
        said = page.render(x="<b>Menu</b>", y="Menu", by="<i>")
        assert said == "&lt;b&gt;Menu&lt;/b&gt;|Dewislen|Mewngofnodi|gan &lt;i&gt;"
        shown = moment("2026-11-22T09:30:00Z")
        assert shown is not None
        assert shown.full == "Dydd Sul 22 Tachwedd 2026 am 9:30yb"
        assert (language.direction(), [each.name for each in language.others()]) == ("ltr", ["English"])
    assert (language.code(), language.direction(), language.say("Menu")) == ("en", "ltr", "Menu")
    assert [known(code) for code in ("cy", "en", "de", "", None)] == ["cy", "en", "", "", ""]
    assert spoken_day(START.date(), "de") == spoken_day(START.date(), "en")
    assert all(each.code and each.name for each in LANGUAGES)
