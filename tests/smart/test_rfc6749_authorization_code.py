"""Authorization code grant: RFC 6749 §4.1, RFC 9700 §2.1 and §4, RFC 9207, as SMART App Launch 2.2 narrows them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from fhir_server.spec.outcome import FhirError
from fhir_server.store import accounts, oauth_clients
from fhir_server.store.accounts import Account
from tests.smart.world import BASE, CALLBACK, FHIR, STATE, World, answered, fields


@pytest.fixture
def browser(world: World, ada: Account) -> FlaskClient:
    return world.browser(ada)


# -------------------------------------------------------------------- the way it should go


def test_a_public_app_gets_a_token_for_exactly_what_was_granted(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()

    answer = stored.login(app_id, ada, scope="launch/patient patient/Observation.rs patient/Condition.read")

    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 900
    assert answer["patient"] == "1"
    assert answer["need_patient_banner"] is True
    assert answer["scope"] == "launch/patient patient/Observation.rs patient/Condition.read"
    assert set(answer) == {"access_token", "token_type", "expires_in", "patient", "need_patient_banner", "scope"}
    principal = stored.principal(answer["access_token"])
    assert (principal.subject, principal.patient, principal.client_id) == ("Patient/1", "Patient/1", app_id)
    assert principal.scopes.allows("s", "Observation")
    assert not principal.scopes.allows("s", "Procedure")


def test_the_answer_carries_state_and_issuer_and_is_a_303(world: World, browser: FlaskClient, app_id: str) -> None:
    response = world.decide(browser, world.ask(browser, world.request(app_id)))

    assert response.status_code == 303
    assert set(answered(response)) == {"code", "state", "iss"}
    assert answered(response)["state"] == STATE
    assert answered(response)["iss"] == BASE


def test_the_token_response_is_never_cached(world: World, ada: Account, app_id: str) -> None:
    response = world.redeem(app_id, world.code(app_id, ada))

    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Pragma"] == "no-cache"
    assert response.content_type == "application/json"


def test_what_was_unticked_is_not_granted(world: World, ada: Account, app_id: str) -> None:
    untick = ("patient/Condition.read", "offline_access")
    answer = world.redeem(app_id, world.code(app_id, ada, untick=untick)).json

    assert answer is not None
    assert answer["scope"] == "launch/patient openid fhirUser patient/Observation.rs"
    assert "refresh_token" not in answer


def test_identity_may_be_unticked(world: World, ada: Account, app_id: str) -> None:
    answer = world.redeem(app_id, world.code(app_id, ada, untick=("identity",))).json

    assert answer is not None
    assert "id_token" not in answer
    assert "openid" not in answer["scope"].split()


def test_nothing_can_be_ticked_that_was_not_asked_for(world: World, browser: FlaskClient, app_id: str) -> None:
    page = world.ask(browser, world.request(app_id, scope="launch/patient patient/Observation.rs"))
    form = fields(page.text) | {"decision": "allow", "allow": ["patient/Observation.rs", "patient/*.rs"]}

    code = answered(browser.post("/oauth/decision", data=form))["code"]

    assert (world.redeem(app_id, code).json or {})["scope"] == "launch/patient patient/Observation.rs"


def test_unticking_everything_asks_again(world: World, browser: FlaskClient, app_id: str) -> None:
    page = world.ask(browser, world.request(app_id))

    response = browser.post("/oauth/decision", data=fields(page.text) | {"decision": "allow", "allow": []})

    assert response.status_code == 400
    assert "There is a problem" in response.text
    assert "Do not allow" in response.text


def test_saying_no_tells_the_app(world: World, browser: FlaskClient, app_id: str) -> None:
    response = world.decide(browser, world.ask(browser, world.request(app_id)), decision="deny")

    assert answered(response)["error"] == "access_denied"
    assert answered(response)["state"] == STATE


def test_the_page_says_in_plain_words_what_is_asked(world: World, browser: FlaskClient, app_id: str) -> None:
    scope = "launch/patient openid fhirUser offline_access patient/Observation.rs?category=x|vital-signs patient/*.rs"
    page = world.ask(browser, world.request(app_id, scope=scope)).text

    assert "Allow Growth Chart" in page
    assert "See test results and measurements" in page
    assert "Only vital signs such as blood pressure and weight" in page
    assert "See everything in the record" in page
    assert "Know who you are" in page
    assert "Keep its access when you are not using the app" in page
    assert "You will go back to app.example" in page


def test_the_page_lets_its_form_lead_to_the_app_only(world: World, browser: FlaskClient, app_id: str) -> None:
    policy = world.ask(browser, world.request(app_id)).headers["Content-Security-Policy"]

    assert "form-action 'self' https://app.example;" in policy
    assert "frame-ancestors 'none'" in policy


# -------------------------------------------------------------------- who is asked


def test_somebody_not_signed_in_is_sent_to_sign_in_and_back(world: World, app_id: str) -> None:
    response = world.ask(world.browser(), world.request(app_id))

    assert response.status_code == 303
    assert response.location.startswith("/sign-in?next=%2Foauth%2Fauthorize%3Fresponse_type%3Dcode")


def test_a_decision_without_a_session_is_sent_to_sign_in(world: World, browser: FlaskClient, app_id: str) -> None:
    page = world.ask(browser, world.request(app_id))
    browser.delete_cookie("session")

    response = world.decide(browser, page)

    assert response.status_code == 303
    assert response.location.startswith("/sign-in?next=")


def test_a_forged_decision_is_refused(world: World, browser: FlaskClient, app_id: str) -> None:
    form = fields(world.ask(browser, world.request(app_id)).text) | {"decision": "allow"}
    del form["csrf_token"]

    response = browser.post("/oauth/decision", data=form)

    assert response.status_code == 400
    assert "Location" not in response.headers


@pytest.mark.parametrize("signed_in", [True, False])
def test_prompt_none_never_shows_a_page(world: World, ada: Account, app_id: str, *, signed_in: bool) -> None:
    browser = world.browser(ada if signed_in else None)

    answer = answered(world.ask(browser, world.request(app_id, prompt="none")))

    assert answer["error"] == ("consent_required" if signed_in else "login_required")


def test_an_account_without_a_record_cannot_connect_an_app(world: World, app_id: str) -> None:
    clerk = world.browser(world.person("", role="service-desk"))

    assert answered(world.ask(clerk, world.request(app_id)))["error"] == "access_denied"


# -------------------------------------------------------------------- errors that are shown, never sent anywhere


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "unknown"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": CALLBACK + "?x=1"},
        {"redirect_uri": CALLBACK + "/../other"},
        {"redirect_uri": CALLBACK.replace("https", "http")},
        {"redirect_uri": CALLBACK.replace("app.example", "app.example.evil.test")},
        {"redirect_uri": 'https://evil.test/"><script>é'},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "//app.example/callback"},
        {"redirect_uri": "https://evil.test", "response_type": "token"},
        {"client_id": "unknown", "response_type": 'é"'},
    ],
)
def test_a_wrong_client_or_address_is_told_to_the_person(
    world: World, browser: FlaskClient, app_id: str, changes: dict[str, str | None]
) -> None:
    response = world.ask(browser, world.request(app_id, **changes))

    assert response.status_code == 400
    assert "Location" not in response.headers
    assert "This app cannot be connected" in response.text
    assert "<script>é" not in response.text


def test_a_suspended_client_is_unknown(world: World, browser: FlaskClient, app_id: str) -> None:
    with world.store.write() as session:
        oauth_clients.set_client_active(session, app_id, active=False)

    assert world.ask(browser, world.request(app_id)).status_code == 400


def test_a_parameter_sent_twice_is_refused(world: World, browser: FlaskClient, app_id: str) -> None:
    for name in ("redirect_uri", "scope", "state", "aud", "code_challenge"):
        query = [*world.request(app_id).items(), (name, "x")]

        response = browser.get("/oauth/authorize", query_string=query)

        assert response.status_code == 400, name
        assert "sent more than once" in response.text


def test_a_request_of_very_many_parameters_is_refused(world: World, browser: FlaskClient, app_id: str) -> None:
    response = browser.get("/oauth/authorize", query_string=world.request(app_id) | {f"x{n}": "" for n in range(60)})

    assert response.status_code == 400
    assert "too many parameters" in response.text


def test_a_decision_about_another_request_is_checked_again(world: World, browser: FlaskClient, app_id: str) -> None:
    form = fields(world.ask(browser, world.request(app_id)).text) | {"decision": "allow"}
    form["query"] = form["query"].replace("app.example", "evil.test")

    response = browser.post("/oauth/decision", data=form)

    assert response.status_code == 400
    assert "Location" not in response.headers


# -------------------------------------------------------------------- errors that the app is told


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": 'é"\\'}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"state": "x" * 2049}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"aud": "https://other.example/fhir"}, "invalid_request"),
        ({"aud": BASE}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "system/*.rs"}, "invalid_scope"),
        ({"scope": "patient/Nonsense.rs"}, "invalid_scope"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.test/object"}, "request_not_supported"),
        ({"resource": "https://evil.test/fhir"}, "invalid_target"),
    ],
)
def test_a_wrong_request_is_told_to_the_app(
    world: World, browser: FlaskClient, app_id: str, changes: dict[str, str | None], error: str
) -> None:
    request = world.request(app_id, **changes)

    answer = answered(world.ask(browser, request))

    assert answer["error"] == error
    assert answer["iss"] == BASE
    assert answer.get("state") == request.get("state")
    assert "code" not in answer


def test_the_base_with_a_trailing_slash_is_the_same_audience(world: World, ada: Account, app_id: str) -> None:
    assert "access_token" in world.login(app_id, ada, aud=FHIR + "/")


# -------------------------------------------------------------------- the code


def test_a_code_works_once_and_its_second_use_ends_its_tokens(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    code = stored.code(app_id, ada)
    first = stored.redeem(app_id, code).json or {}

    second = stored.redeem(app_id, code)

    assert (second.status_code, (second.json or {})["error"]) == (400, "invalid_grant")
    with pytest.raises(FhirError):
        stored.principal(first["access_token"])
    assert stored.refresh(app_id, first["refresh_token"]).status_code == 400


def test_of_concurrent_uses_at_most_one_succeeds_and_its_token_is_dead(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    code = stored.code(app_id, ada)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: stored.redeem(app_id, code), range(4)))

    issued = [answer.json or {} for answer in answers if answer.status_code == 200]
    assert len(issued) == 1
    with pytest.raises(FhirError):
        stored.principal(issued[0]["access_token"])


def test_a_code_ends_after_a_minute(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    code = stored.code(app_id, ada)
    stored.clock.advance(seconds=60)

    assert (stored.redeem(app_id, code).json or {})["error"] == "invalid_grant"


@pytest.mark.parametrize("changes", [{"redirect_uri": CALLBACK + "2"}, {"redirect_uri": None}])
def test_a_code_is_bound_to_its_address(
    world: World, ada: Account, app_id: str, changes: dict[str, str | None]
) -> None:
    code = world.code(app_id, ada)

    assert (world.redeem(app_id, code, **changes).json or {})["error"] == "invalid_grant"
    assert world.redeem(app_id, code).status_code == 400


def test_a_code_is_bound_to_its_client_and_not_burnt_by_a_stranger(world: World, ada: Account, app_id: str) -> None:
    code = world.code(app_id, ada)
    stranger = world.client(name="Stranger")[0]

    assert (world.redeem(stranger, code).json or {})["error"] == "invalid_grant"
    assert world.redeem(app_id, code).status_code == 200


def test_a_code_of_an_account_that_was_closed_is_worth_nothing(world: World, ada: Account, app_id: str) -> None:
    code = world.code(app_id, ada)
    with world.store.write() as session:
        accounts.set_active(session, ada.id, active=False, now=world.clock())

    assert (world.redeem(app_id, code).json or {})["error"] == "invalid_grant"


def test_a_token_ends_after_its_lifetime(world: World, ada: Account, app_id: str) -> None:
    token = world.login(app_id, ada)["access_token"]
    world.clock.advance(seconds=900)

    with pytest.raises(FhirError):
        world.principal(token)
