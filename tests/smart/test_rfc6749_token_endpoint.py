"""The token endpoint: authentication of clients (RFC 6749 §2.3, §3.2.1) and errors of its own (§5.2)."""

import pytest

from fhir_server.store.accounts import Account
from tests.smart.world import CALLBACK, World

# -------------------------------------------------------------------- client authentication


def test_a_confidential_client_authenticates_with_basic_or_post(world: World, ada: Account) -> None:
    app_id, secret = world.client(kind="secret")

    basic = world.programs.post(
        "/oauth/token",
        auth=(app_id, secret),
        data={
            "grant_type": "authorization_code",
            "code": world.code(app_id, ada),
            "redirect_uri": CALLBACK,
            "code_verifier": "a-verifier-of-more-than-forty-three-characters-0123456789",
        },
    )
    post = world.redeem(app_id, world.code(app_id, ada), client_secret=secret)

    assert (basic.status_code, post.status_code) == (200, 200)


def test_a_confidential_client_must_authenticate(world: World, ada: Account) -> None:
    app_id, secret = world.client(kind="secret")
    code = world.code(app_id, ada)

    for changes in ({}, {"client_secret": "wrong"}, {"client_secret": ""}, {"client_secret": secret[:-1]}):
        response = world.redeem(app_id, code, **changes)
        assert (response.status_code, (response.json or {})["error"]) == (401, "invalid_client"), changes
        assert response.headers["WWW-Authenticate"].startswith("Basic")
    assert world.redeem(app_id, code, client_secret=secret).status_code == 200


def test_a_public_client_cannot_present_a_secret(world: World, ada: Account, app_id: str) -> None:
    code = world.code(app_id, ada)

    assert (world.redeem(app_id, code, client_secret="x").json or {})["error"] == "invalid_client"


def test_a_confidential_app_with_keys_authenticates_with_an_assertion(world: World, ada: Account) -> None:
    from tests.smart.world import ASSERTION_TYPE, ec_key, public_jwks  # noqa: PLC0415 - only here

    app_id = world.client(kind="jwks", jwks=public_jwks(ec_key()))[0]
    code = world.code(app_id, ada)
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": world.assertion(app_id)}

    assert world.redeem(app_id, code).status_code == 401
    assert world.redeem(app_id, code, **proof).status_code == 200


def test_two_ways_of_authentication_at_once_are_refused(world: World, ada: Account) -> None:
    app_id, secret = world.client(kind="secret")
    form = {"grant_type": "authorization_code", "code": world.code(app_id, ada), "client_secret": secret}

    response = world.programs.post("/oauth/token", auth=(app_id, secret), data=form)

    assert (response.json or {})["error"] == "invalid_request"


@pytest.mark.parametrize("header", ["Basic", "Basic ", "Basic !!!", "Basic gIA6eA==", "Bearer x", "Basic é"])
def test_a_broken_authorization_header_is_a_401(world: World, header: str) -> None:
    response = world.token({"grant_type": "authorization_code", "code": "x"}, Authorization=header)

    assert (response.status_code, (response.json or {})["error"]) == (401, "invalid_client")


def test_client_id_must_be_the_client_that_authenticated(world: World, ada: Account, app_id: str) -> None:
    confidential, secret = world.client(kind="secret")
    form = {"grant_type": "authorization_code", "code": world.code(app_id, ada), "client_id": app_id}

    response = world.programs.post("/oauth/token", auth=(confidential, secret), data=form)

    assert (response.json or {})["error"] == "invalid_client"


# -------------------------------------------------------------------- the token endpoint's own errors


@pytest.mark.parametrize(
    "form, error",
    [
        ({}, "invalid_request"),
        ({"x": "y"}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": 'é"\\'}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_client"),
        ({"grant_type": ["authorization_code", "authorization_code"]}, "invalid_request"),
    ],
)
def test_a_wrong_token_request_is_told_as_json(world: World, form: dict[str, object], error: str) -> None:
    response = world.token(form)

    assert (response.json or {})["error"] == error
    assert response.headers["Cache-Control"] == "no-store"


def test_a_code_must_be_there_and_known(world: World, app_id: str) -> None:
    assert (world.redeem(app_id, "unknown").json or {})["error"] == "invalid_grant"
    assert (world.redeem(app_id, "x", code=None).json or {})["error"] == "invalid_request"


def test_a_body_that_is_not_a_form_is_refused(world: World) -> None:
    response = world.programs.post("/oauth/token", json={"grant_type": "authorization_code"})

    assert (response.status_code, (response.json or {})["error"]) == (400, "invalid_request")


def test_credentials_in_the_address_are_refused(world: World) -> None:
    response = world.programs.post("/oauth/token?client_secret=x", data={"grant_type": "authorization_code"})

    assert (response.json or {})["error"] == "invalid_request"


def test_get_is_not_a_token_request(world: World) -> None:
    assert world.programs.get("/oauth/token").status_code == 405
