"""PKCE (RFC 7636): S256 only, required of every client, at both endpoints."""

import pytest

from tests.smart.world import VERIFIER, World, answered, challenge


@pytest.mark.parametrize("kind", ["public", "secret"])
@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": ""},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge_method": "plain", "code_challenge": VERIFIER},
        {"code_challenge": challenge()[:-1]},
        {"code_challenge": challenge() + "="},
        {"code_challenge": challenge()[:-1] + "~"},
        {"code_challenge": "é" * 43},
    ],
)
def test_no_code_without_an_s256_challenge(world: World, kind: str, changes: dict[str, str | None]) -> None:
    app_id, browser = world.client(kind=kind)[0], world.browser(world.person())

    answer = answered(world.ask(browser, world.request(app_id, **changes)))

    assert answer["error"] == "invalid_request"
    assert "code_challenge" in answer["error_description"]


@pytest.mark.parametrize(
    "verifier", [None, "", "short", VERIFIER[:-1] + "x", challenge(), VERIFIER + "!", "é" * 50, "v" * 129]
)
@pytest.mark.parametrize("kind", ["public", "secret"])
def test_no_token_without_the_verifier_and_no_second_try(world: World, kind: str, verifier: str | None) -> None:
    app_id, secret = world.client(kind=kind)
    proof = {"client_secret": secret} if secret else {}
    code = world.code(app_id, world.person())

    refused = world.redeem(app_id, code, code_verifier=verifier, **proof)
    again = world.redeem(app_id, code, **proof)

    assert refused.status_code == 400
    assert (refused.json or {})["error"] in {"invalid_grant", "invalid_request"}
    assert (again.json or {})["error"] == "invalid_grant"


def test_a_code_of_one_challenge_does_not_work_with_the_verifier_of_another(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    mine = world.code(app_id, ada, code_challenge=challenge("m" * 43))
    other = world.code(app_id, ada, code_challenge=challenge("o" * 43))

    assert world.redeem(app_id, other, code_verifier="m" * 43).status_code == 400
    assert world.redeem(app_id, mine, code_verifier="m" * 43).status_code == 200
