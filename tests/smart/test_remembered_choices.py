"""The consent page remembers: what was chosen is shown when an app asks again, and nothing more is ever ticked."""

import re
from html import unescape

from flask.testing import FlaskClient

from fhir_server.smart.registry import APP_SCOPE
from fhir_server.store import oauth
from tests.smart.world import World, answered, fields

FIRST = "launch/patient openid fhirUser offline_access patient/Observation.rs patient/Condition.rs"
MORE = f"{FIRST} patient/MedicationRequest.rs"


def boxes(world: World, browser: FlaskClient, client_id: str, **changes: str) -> tuple[set[str], set[str], str]:
    """Return which boxes of the page are ticked, which are called new, and the page."""
    page = world.ask(browser, world.request(client_id, **changes)).text
    new = set()
    for tag, label in re.findall(r'<input class="nhsuk-checkboxes__input"([^>]*)>\s*<label[^>]*>(.*?)</label>', page):
        if "nhsuk-tag" in label:
            new.add(unescape(re.findall(r'value="([^"]*)"', tag)[0]))
    return set(fields(page).get("allow", ())), new, page


def test_choices_are_shown_again_and_never_widened(stored: World) -> None:
    world, client_id, ada = stored, stored.client(scope=f"{APP_SCOPE} patient/*.cruds")[0], stored.person()
    browser = world.browser(ada)
    everything = {"identity", "offline_access", "patient/Observation.rs", "patient/Condition.rs"}
    assert boxes(world, browser, client_id, scope=FIRST)[:2] == (everything, set()), "a first time, all is ticked"

    page = world.ask(browser, world.request(client_id, scope=FIRST))
    answered(world.decide(browser, page, decision="deny"))
    assert "You allowed" not in boxes(world, browser, client_id, scope=FIRST)[2], "a no is no choice to repeat"
    world.decide(browser, page, untick=("offline_access", "patient/Condition.rs"))

    ticked, new, text = boxes(world, browser, client_id, scope=MORE)
    assert ticked == {"identity", "patient/Observation.rs"}
    assert new == {"patient/MedicationRequest.rs"}, "what was asked for and not allowed is not new"
    assert "You allowed Growth Chart on 22 November 2026" in text
    for wider in ("patient/*.rs", "patient/Observation.cruds", "user/Observation.rs"):
        ticked, new, _ = boxes(world, browser, client_id, scope=f"openid fhirUser {wider}")
        assert (ticked, new) == ({"identity"}, {wider}), wider
    narrower = "patient/Observation.rs?category=http://x|vital-signs"
    assert boxes(world, browser, client_id, scope=narrower)[:2] == ({narrower}, set())
    assert boxes(world, browser, client_id, scope="openid profile patient/Observation.rs")[0] == {
        "patient/Observation.rs"
    }
    asked = boxes(world, browser, client_id, scope=MORE, prompt="consent")
    assert asked[0] == everything | {"patient/MedicationRequest.rs"}, "prompt=consent asks as if for the first time"
    silent = world.ask(browser, world.request(client_id, scope="patient/Observation.rs", prompt="none"))
    assert answered(silent)["error"] == "consent_required", "nobody is spared the question"

    other = world.browser(world.person("Patient/2"))
    assert "You allowed" not in boxes(world, other, client_id, scope=FIRST)[2]
    assert "You allowed" not in boxes(world, browser, world.client()[0], scope=FIRST)[2]


def test_an_app_that_was_removed_is_forgotten(world: World) -> None:
    client_id, ada = world.client()[0], world.person()
    world.login(client_id, ada, scope=FIRST, untick=("patient/Condition.rs",))
    browser = world.browser(ada)
    assert "You allowed" in boxes(world, browser, client_id, scope=FIRST)[2]

    with world.store.write() as session:
        (grant,) = oauth.grants_of(session, ada.id, world.clock())
        oauth.revoke_grant(session, grant.id, world.clock())

    ticked, _, text = boxes(world, browser, client_id, scope=FIRST)
    assert "You allowed" not in text
    assert "patient/Condition.rs" in ticked
