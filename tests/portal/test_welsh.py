"""Pages that speak Welsh do so as a whole: what is the same in both languages is what people wrote into the record."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote_plus

from tests.portal.conftest import AMELIA, Person
from tests.server import Server

PAGES = (
    "/",
    "/access-log",
    "/access-log?show=emergencies",
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
    "/record/results/85354-9",
    "/choose-record",
    "/account",
)
_UNTRANSLATED = re.compile(
    r"[\W\d_]*|[\d.,/]+ \S*[/%°²×]\S*( m²)?|[\d./]+ (mmHg|kg|cm)|"
    r"(Dr|Mr|Ms) \w+ \w+|NHS login|PDF|Care Information Exchange|Cymraeg|English|.*@example\.org"
)


class Texts(HTMLParser):
    """The texts that a page shows or says, without scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._silent = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in {"script", "style"}
        self.found |= {str(value) for name, value in attrs if name in {"aria-label", "alt", "title", "placeholder"}}

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in {"script", "style"}

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not self._silent:
            self.found.add(text)


def shown(person: Person, path: str, language: str) -> set[str]:
    person.send("/language", {"language": language})
    page = person.get(path)
    assert f'lang="{language}"' in page, path
    return Texts(page).found


def test_a_page_that_speaks_welsh_says_nothing_in_english_but_what_the_record_says(server: Server) -> None:
    amelia, op = Person(server, AMELIA), server.operator()
    whole = server.get("/Patient/amelia-hart/$everything?_count=1000", op)
    own = server.token("Patient/amelia-hart")
    logs = [server.get(f"/AuditEvent?patient=amelia-hart&_count=200{more}", own) for more in ("", "&purpose=BTG")]
    said = json.dumps((whole, logs), ensure_ascii=False)
    # What a letter says is inside it, in base64, and so is what somebody asked the server.
    letters = (
        unquote_plus(base64.b64decode(data).decode("utf-8", "replace"))
        for data in re.findall(r'"(?:data|query)": "([^"]+)"', said)
    )
    record = " ".join(" ".join((said, *letters)).split())
    booked = next(
        each["resource"]["id"]
        for each in whole["entry"]
        if each["resource"]["resourceType"] == "Appointment" and each["resource"]["start"] > server.clock().isoformat()
    )
    code = amelia.get("/record/results").partition('href="/record/results/')[2].partition('"')[0]
    for path in (page.format(appointment=booked, code=code) for page in PAGES):
        same = shown(amelia, path, "en") & shown(amelia, path, "cy")
        ours = {text for text in same if not _UNTRANSLATED.fullmatch(text) and not said_by(record, text)}
        assert not ours, path


def said_by(record: str, text: str) -> bool:
    """Return whether a text is the record's: as it stands there, or put together of what does."""
    parts = (part.strip() for part in re.split(r"[,.·–(“”)]", text))
    plain = (part for part in parts if re.search(r"[A-Za-z]{2}", part) and part != "Care Information Exchange")
    return text in record or all(part in record for part in plain)
