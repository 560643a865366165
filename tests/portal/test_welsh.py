"""Pages that speak Welsh do so as a whole: what is the same in both languages is what people wrote into the record."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import unquote_plus

from tests.pages import Texts
from tests.portal.conftest import AMELIA, Person
from tests.server import Server

PAGES = (
    "/",
    "/access-log",
    "/access-log?show=emergencies",
    "/access-log?from-day=1&from-year=2026",
    "/access-log/check",
    "/access-log/ask/{event}",
    "/accessibility",
    "/contact",
    "/contact/account",
    "/contact/message",
    "/cookies",
    "/privacy-policy",
    "/terms",
    "/record/appointments",
    "/record/appointments/calendar",
    "/record/appointments/{appointment}/ask",
    "/record/letters",
    "/record/letters?q=blood",
    "/record/letters?q=zzz",
    "/record/letters/amelia-hart-letter-16",
    "/record/download",
    "/record",
    "/record/allergies",
    "/record/conditions",
    "/record/medicines",
    "/record/vaccinations",
    "/record/notes",
    "/record/notes/add",
    "/record/measurements/add/blood-pressure",
    "/record/search",
    "/record/search?q=blood",
    "/record/search?q=zzzz",
    "/apps",
    "/record/results",
    "/record/results/{code}",
    "/record/measurements",
    "/record/measurements/85354-9",
    "/choose-record",
    "/account",
    "/account/authenticator",
    "/account/devices",
    "/account/email",
    "/account/memorable",
    "/account/mobile",
    "/account/passkeys",
    "/account/password",
    "/account/recovery-codes",
    "/account/text-codes",
    "/sharing",
    "/sharing/add",
    "/sharing/add?q=surgery",
    "/sharing/add?q=zzzz",
    "/sharing/carers/invite",
    "/sharing/entry/DocumentReference/amelia-hart-letter-16",
    "/sharing/entry/DocumentReference/amelia-hart-letter-16?q=surgery",
    "/sharing/entry/DocumentReference/amelia-hart-letter-16/change?act=show&with=Organization/{other}",
    "/sharing/entry/DocumentReference/amelia-hart-letter-16/change?act=hide&with=Organization/{gp}",
    "/sharing/entry/DocumentReference/amelia-hart-letter-16/label",
    "/sharing/history",
    "/sharing/switch-off",
    "/sharing/with/Organization/{gp}",
    "/sharing/{consent}/stop",
)
SENT: tuple[tuple[str, dict[str, str]], ...] = (
    ("/sharing/with/Organization/{gp}", {}),
    ("/sharing/with/Organization/{gp}", {"labels": "general", "ends": "on", "until-day": "4", "until-year": "2030"}),
    ("/sharing/with/Organization/{gp}", {"labels": "general", "ends": "on", "until-day": "4", "until-month": "1"}),
    ("/sharing/with/Organization/{gp}", {"labels": "general", "ends": "on", "until-month": "1"}),
    ("/sharing/with/Organization/{gp}", {"labels": "general", "ends": "on"}),
    ("/sharing/with/Organization/{gp}", {"labels": "general", "ends": "never"}),
    ("/sharing/entry/DocumentReference/amelia-hart-letter-16/label", {}),
    ("/sharing/switch-off", {}),
    ("/access-log/ask/{event}", {"text": "x" * 5_000}),
    ("/access-log/check", {}),
    ("/account/memorable", {}),
    ("/account/memorable", {"question": "What was your first job?", "answer": "x"}),
    ("/account/password", {}),
    ("/account/password", {"password": "short"}),
    ("/account/password", {"password": "x" * 500}),
    ("/account/password", {"password": "passwordpassword"}),
    ("/account/password", {"password": "amelia hart hart"}),
    ("/account/email", {"email": "nobody"}),
    ("/account/mobile", {"mobile": "1"}),
    ("/contact/account", {}),
    ("/contact/account", {"reason": "x" * 3_000}),
    ("/contact/message", {}),
    ("/record/appointments/{appointment}/ask", {}),
    ("/record/appointments/{appointment}/ask", {"what": "cancel", "message": "x" * 3_000}),
    ("/record/measurements/add/blood-pressure", {}),
    ("/record/measurements/add/blood-pressure", {"systolic": "120.5", "diastolic": "900", "when": "day"}),
    ("/record/measurements/add/temperature", {"value": "37.123", "when": "day", "taken-day": "1"}),
    ("/record/notes/add", {"label": "none"}),
    ("/record/notes/add", {"title": "x" * 300, "text": "x" * 9_000}),
    ("/choose-record", {}),
    ("/sharing/carers/invite", {}),
    ("/sharing/carers/invite", {
        "name": "Thomas Hart", "email": "t.hart@example.org", "mobile": "07700 900321", "relation": "SPS",
        "right": "act", "labels": "general", "ends": "never",
    }),
)  # fmt: skip
"""Forms, most of them wrong: what a page says about an answer."""
_UNTRANSLATED = re.compile(
    r"[\W\d_]*|[\d.,/]+ \S*[/%°²×]\S*( m²)?|[\d./]+ (mmHg|kg|cm)|"
    r"(Dr|Mr|Ms) \w+ \w+|NHS login|PDF|Care Information Exchange|Cymraeg|English|"
    r"([A-Z2-7]{4} ){7}[A-Z2-7]{4}|.*@example\.org|"
    r"session|device|record, acting-as|login, login-step"
)


def shown(person: Person, path: str, language: str, form: dict[str, str] | None = None) -> set[str]:
    """Return what a page, or the answer to a form, says in a language."""
    person.send("/language", {"language": language})
    answer = person.open(path) if form is None else person.send(path, form)
    assert answer.status_code in ({200} if form is None else {200, 400}), f"{path}: {answer.status}"
    assert f'lang="{language}"' in answer.text, path
    return Texts(answer.text).found


def test_a_page_that_speaks_welsh_says_nothing_in_english_but_what_the_record_says(server: Server) -> None:
    amelia, record = Person(server, AMELIA), said_of_amelia(server)
    left = {}
    for path in (page.format(**known) for known in [things(server, amelia)] for page in PAGES):
        same = shown(amelia, path, "en") & shown(amelia, path, "cy")
        left[path] = untranslated(same, record)
    assert not {path: texts for path, texts in left.items() if texts}


def test_what_a_page_says_of_a_form_is_welsh_too(server: Server) -> None:
    amelia, record = Person(server, AMELIA), said_of_amelia(server)
    left = {}
    for path, form in ((page.format(**known), form) for known in [things(server, amelia)] for page, form in SENT):
        same = shown(amelia, path, "en", form) & shown(amelia, path, "cy", form)
        left[f"{path} {form}"] = untranslated(same, f"{record} {' '.join(form.values())}")
    assert not {path: texts for path, texts in left.items() if texts}


def things(server: Server, amelia: Person) -> dict[str, str]:
    """Return ids of Amelia's record that addresses of pages name."""
    op = server.operator()
    booked = (each["resource"] for each in server.get("/Appointment?patient=amelia-hart&_count=100", op)["entry"])
    consents = server.get("/Consent?patient=amelia-hart&status=active", op)["entry"]
    shared = {
        each["resource"]["provision"]["actor"][0]["reference"]["reference"]: each["resource"]["id"]
        for each in consents
        if each["resource"]["provision"].get("actor")
    }
    gp = next(each for each in shared if each.startswith("Organization/"))
    every = (f"Organization/{each['resource']['id']}" for each in server.get("/Organization?_count=100", op)["entry"])
    own = server.token("Patient/amelia-hart")
    return {
        "event": server.get("/AuditEvent?patient=amelia-hart&_count=1", own)["entry"][0]["resource"]["id"],
        "appointment": next(each["id"] for each in booked if each["start"] > server.clock().isoformat()),
        "code": amelia.get("/record/results").partition('href="/record/results/')[2].partition('"')[0],
        "consent": shared[gp],
        "gp": gp.partition("/")[2],
        "other": next(each.partition("/")[2] for each in every if each not in shared),
    }


def said_of_amelia(server: Server) -> str:
    """Return every word of her record, of its log and of the directory: what others wrote."""
    op, own = server.operator(), server.token("Patient/amelia-hart")
    whole = server.get("/Patient/amelia-hart/$everything?_count=1000", op)
    logs = [server.get(f"/AuditEvent?patient=amelia-hart&_count=200{more}", own) for more in ("", "&purpose=BTG")]
    directory = [server.get(f"/{kind}?_count=200", op) for kind in ("Organization", "Practitioner", "PractitionerRole")]
    said = json.dumps((whole, logs, directory), ensure_ascii=False)
    # What a letter says is inside it, in base64, and so is what somebody asked the server.
    letters = (
        unquote_plus(base64.b64decode(data).decode("utf-8", "replace"))
        for data in re.findall(r'"(?:data|query)": "([^"]+)"', said)
    )
    return " ".join(" ".join((said, *letters)).split())


def untranslated(same: set[str], record: str) -> set[str]:
    """Return what is ours of texts that are the same in two languages."""
    return {text for text in same if not _UNTRANSLATED.fullmatch(text) and not said_by(record, text)}


def said_by(record: str, text: str) -> bool:
    """Return whether a text is the record's: as it stands there, or put together of what does."""
    parts = (part.strip() for part in re.split(r"[,.:·–(“”)]", text))
    plain = (part for part in parts if re.search(r"[A-Za-z]{2}", part) and part != "Care Information Exchange")
    return text in record or all(part in record for part in plain)
