"""What pages say in other languages: each marked text has one, with the same blanks, and no value passes as safe."""

import ast
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from flask import Flask
from jinja2 import Environment, nodes
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
PROBLEMS_OF_STAFF = {"administration_system", "emergency", "entry", "privacy", "privacy_disputes", "privacy_sharing"}
"""Modules whose forms only staff fill in."""
SCRIPTS = sorted(ROOT.glob("portal/static/js/*.js"))
NO_TEXTS = {
    *(f"chart.js: {text}" for text in ("div", "en", "high", "long", "low", "numeric", "script", "svg", "true")),
    "enabled.js:  js-enabled",
    "enabled.js:  nhsuk-frontend-supported",
    "enabled.js: noModule",
    *(f"letter.js: {text}" for text in ("button", "canvas", "click", "img", "role")),
    *(f"passkeys.js: {text}" for text in ("create", "hidden", "submit")),
    *(f"portal.js: {text}" for text in ("span", "true")),
    *(f"session.js: {text}" for text in ("cancel", "click", "dialog", "no", "pageshow", "visibilitychange")),
}
"""Words in scripts that browsers read, not people."""
_TECHNICAL = re.compile(
    r"#[0-9a-f]{6}|\.{1,2}/[\w./-]+|/[\w./?=-]+|\.[a-z][\w-]+|[a-z ]*\[[\w-]+(=\w+)?\]|\([a-z]+-[a-z]+: [a-z]+\)|"
    r"[A-Z]{3,}|X-[\w-]+|aria-[a-z]+|(app|same|no|en)-[\w-]+"
)
"""Colours, addresses, selectors, headers, attributes."""
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_QUOTED = re.compile(r"\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)'")
_PART = re.compile(r"((?:[^`\\$]|\\.|\$(?!\{))*)(`|\$\{)", re.DOTALL)
BLANK = re.compile(r"%\([a-z_]+\)s|%%|\{[a-z_]+\}")
TAG = re.compile(r"</?[a-z]+")
SAYING = {"say", "say_many", "about"}


def _marked(template: Path) -> set[str]:
    with template.open("rb") as file:
        found = babel_extract(file, ["_", "gettext", "ngettext", "by_number"], [], OPTIONS)
        texts = [text for _, _, text, _ in found]
    return {text if isinstance(text, str) else next(each for each in text if each) for text in texts if text}


def test_every_text_that_a_template_marks_is_there_in_every_language() -> None:
    marked = {text: template.name for template in TEMPLATES for text in _marked(template)}
    assert len(marked) > 600
    for code in set(CODES) - {DEFAULT}:
        missing = {text: name for text, name in marked.items() if catalogue(code).gettext(text) == text}
        # A name that is the same in both languages is said to be so: by an entry that repeats it.
        path = CATALOGUES / code / "LC_MESSAGES" / "messages.po"
        entries = read_po(io.BytesIO(path.read_bytes()), locale=code, abort_invalid=True)
        assert not [f"{name}: {text}" for text, name in missing.items() if text not in entries], code
        for entry in entries:
            if entry.id:
                _assert_faithful(entry, entries.num_plurals)


def _assert_faithful(entry: Message, plural_count: int) -> None:
    """Assert that every form of a translation has the blanks and tags of what it translates."""
    ids, strings = ((each,) if isinstance(each, str) else tuple(each or ()) for each in (entry.id, entry.string))
    assert len(strings) == (plural_count if len(ids) > 1 else 1), entry.id
    for string in strings:
        assert string, entry.id
        assert sorted(BLANK.findall(string)) in [sorted(BLANK.findall(each)) for each in ids], entry.id
        assert sorted(TAG.findall(string)) in [sorted(TAG.findall(each)) for each in ids], entry.id
    assert not entry.fuzzy, entry.id


def _literals(script: str) -> Iterator[str]:
    """Return the literals of a script, of templates the parts between the blanks and what is in the blanks."""
    braces: list[int] = []
    at = 0
    while at < len(script):
        comment, quoted = _COMMENT.match(script, at), _QUOTED.match(script, at)
        if comment:
            at = comment.end()
        elif quoted:
            yield quoted[1] or quoted[2] or ""
            at = quoted.end()
        elif script[at] == "`" or (script[at] == "}" and braces and not braces[-1]):
            # A template begins, or goes on after a blank.
            del braces[len(braces) - (script[at] == "}") :]
            part = _PART.match(script, at + 1)
            assert part, script[at:]
            yield part[1]
            braces += [0] * (part[2] == "${")
            at = part.end()
        else:
            if braces:
                braces[-1] += {"{": 1, "}": -1}.get(script[at], 0)
            at += 1


def test_no_script_has_a_text_of_its_own_which_no_catalogue_can_find() -> None:
    """A script says what data attributes give it. A new literal is no text for people, and is added here, or goes."""
    found = {
        f"{path.name}: {text}"
        for path in SCRIPTS
        for text in _literals(path.read_text())
        if re.search(r"[^\W\d_]{2}", text) and not _TECHNICAL.fullmatch(text)
    }
    assert found == NO_TEXTS


def test_the_literals_of_scripts_are_found_wherever_they_are() -> None:
    script = """// not "this"
        a = "One" + 'two'; /* nor `this` */ b = `three ${c ? "four" : `five ${d.map((e) => { return "six"; })}`} seven`;
        label.textContent = `${n} left`;"""
    words = {text.strip() for text in _literals(script)}
    assert {"One", "two", "three", "four", "five", "seven", "left"} <= words
    assert not {"this", "not", "nor"} & words


def test_a_script_is_given_every_form_of_a_text_with_a_number() -> None:
    app = Flask(__name__)
    web.language.install(app, "cy")
    with app.app_context():
        assert json.loads(language.by_number("{count} minute", "{count} minutes")) == {
            "other": "{count} munud",
            "2": "{count} funud",
        }
    assert json.loads(language.by_number("{count} minute", "{count} minutes")) == {
        "other": "{count} minutes",
        "1": "{count} minute",
    }


def _parsed(template: Path) -> nodes.Template:
    return Environment(autoescape=True, extensions=["jinja2.ext.i18n"]).parse(template.read_text())


def _given(template: Path) -> set[str]:
    """Return the texts that a template gives to macros and filters, which say them."""
    parsed = _parsed(template)
    found = {each.value for each in parsed.find_all(nodes.Const) if isinstance(each.value, str)}
    return {text for text in found if re.match(r"[A-Z][a-z]", text)}


def _said(module: Path) -> set[str]:
    """Return the texts that a module of Python says."""
    calls = (each for each in ast.walk(ast.parse(module.read_text())) if isinstance(each, ast.Call) and each.args)
    named = ((getattr(each.func, "attr", getattr(each.func, "id", "")), each.args[0]) for each in calls)
    texts = {text.value for name, text in named if name in SAYING and isinstance(text, ast.Constant)}
    return {text for text in texts if isinstance(text, str)}


def test_every_text_that_a_macro_or_python_says_is_there_in_every_language() -> None:
    given = {text: path.name for path in TEMPLATES if not _of_staff(path) for text in _given(path)}
    said = {text: path.name for path in ROOT.glob("**/*.py") for text in _said(path)}
    assert len(given) > 300
    assert len(said) > 50
    for code in set(CODES) - {DEFAULT}:
        entries = read_po(io.BytesIO((CATALOGUES / code / "LC_MESSAGES" / "messages.po").read_bytes()), locale=code)
        known = {text for entry in entries for text in ((entry.id,) if isinstance(entry.id, str) else entry.id)}
        assert not {text: name for text, name in (given | said).items() if text not in known}, code


def _of_staff(template: Path) -> bool:
    return _name(template).startswith(FOR_STAFF)


def _name(template: Path) -> str:
    return template.relative_to(ROOT).as_posix().partition("templates/")[2]


def _unmarked(template: Path) -> set[str]:
    """Return the words of a template outside tags that stay English, since they are not marked."""
    said, begins, is_marked = [""], False, False
    for _, kind, value in Environment(autoescape=True).lex(template.read_text()):
        if begins and kind == "name":
            is_marked = value == "trans" or (is_marked and value != "endtrans")
        begins = kind == "block_begin" or (begins and kind == "whitespace")
        if kind == "data" and not is_marked:
            said.append(value)
    text = re.sub(r"<(script|style|code)\b.*?</\1>|<[^>]*>", "\n", "\0".join(said), flags=re.DOTALL)
    parts = (" ".join(part.split()) for part in re.split(r"[\n\0]", text))
    # An attribute that a block adds to a tag stands alone.
    return {part for part in parts if re.search(r"[A-Za-z]{2}", part) and not re.match(r'[a-z]+="|/[a-z-]+"$', part)}


def _shown(template: Path) -> set[str]:
    """Return the texts of its own that a template shows as they are: `{{ "Save" if new else "Change" }}`."""
    outputs = (node for output in _parsed(template).find_all(nodes.Output) for node in output.nodes)
    return {text for node in outputs for text in _constants(node) if re.search(r"[A-Za-z]{2} |[A-Z][a-z]", text)}


def _constants(node: nodes.Node) -> Iterator[str]:
    match node:
        case nodes.Const():
            yield str(node.value)
        case nodes.CondExpr() | nodes.Concat() | nodes.Or() | nodes.Add():
            # What decides is not shown.
            shown = [each for name, each in node.iter_fields() if name != "test"]
            for each in shown:
                for part in each if isinstance(each, list) else [each]:
                    yield from _constants(part) if isinstance(part, nodes.Node) else ()


def test_every_text_of_a_page_for_patients_and_carers_is_marked() -> None:
    assert not {_name(path): found for path in TEMPLATES if not _of_staff(path) and (found := _shown(path))}
    assert not {_name(path): found for path in TEMPLATES if not _of_staff(path) and (found := _unmarked(path))}


def test_what_is_wrong_with_an_answer_of_a_patient_is_no_f_string_which_no_catalogue_can_find() -> None:
    found = {
        module.stem
        for module in (ROOT / "portal").glob("**/*.py")
        for call in ast.walk(ast.parse(module.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Problem"
        if isinstance(call.args[0], ast.JoinedStr)
    }
    assert found == PROBLEMS_OF_STAFF


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
