"""The pages around apps speak the person's language: what is asked for, what is wrong with an answer, why it ends."""

import re

from flask.testing import FlaskClient

from fhir_server.smart import wording
from fhir_server.smart.registry import APP_SCOPE
from tests.pages import Texts
from tests.smart.world import World, fields

CATEGORIES = ",".join(wording._CATEGORIES)
SCOPE = " ".join(
    (
        "launch/patient openid fhirUser online_access offline_access patient/*.cruds user/VisionPrescription.rs",
        *(f"patient/{each}.rs" for each in wording._NOUNS if each != "*"),
        f"patient/Observation.rs?category={CATEGORIES}",
        "patient/Observation.rs?status:missing=true patient/Observation.rs?status:missing=false",
        "patient/Observation.rs?code:not=1,2 patient/Observation.rs?code=1,2 patient/Observation.rs?code:text=red",
        *(f"patient/Observation.rs?date={prefix}2024-01-01" for prefix in wording._PREFIXES),
    )
)
SAME = re.compile(r"[\W\d_]*|Cymraeg|English|Ada.*|Growth Chart|app\.example|Care Information Exchange")


def in_both(browser: FlaskClient, path: str) -> set[str]:
    """Return the texts that a page shows in English and in Welsh alike."""
    texts = []
    for language in ("en", "cy"):
        browser.set_cookie("language", language)
        page = browser.get(path).text
        assert f'lang="{language}"' in page
        texts.append(Texts(page).found)
    return {text for text in texts[0] & texts[1] if not SAME.fullmatch(text)}


def test_the_page_that_asks_speaks_welsh_and_so_does_what_is_wrong_with_the_answer(stored: World) -> None:
    world = stored
    client_id = world.client(scope=f"{APP_SCOPE} {SCOPE}")[0]
    browser = world.browser(world.person())
    asked = world.ask(browser, world.request(client_id, scope=SCOPE))
    assert len(fields(asked.text)["allow"]) > 40, "the words of every kind of scope are on the page"
    world.decide(browser, asked)
    assert not in_both(browser, asked.request.full_path)
    browser.set_cookie("language", "cy")
    nothing = world.decide(browser, asked, allow=[])
    assert "Ticiwch beth y caiff yr ap ei wneud" in nothing.text


def test_pages_that_open_or_refuse_an_app_speak_welsh(stored: World) -> None:
    world = stored
    browser = world.browser(world.person())
    assert not in_both(browser, "/oauth/launch?patient=1")
    world.client(launch_uri="https://app.example/launch")
    assert not in_both(browser, "/oauth/launch?patient=1")
    # What its makers are to be told stays as the protocol has it.
    told = {"invalid_request", "response_type is missing"}
    assert in_both(browser, "/oauth/authorize?client_id=nobody") == told
