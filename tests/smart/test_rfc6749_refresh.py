"""Refresh tokens: RFC 6749 §6, rotation and reuse detection of RFC 9700 §4.14.2, and "Connected apps"."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fhir_server.store import accounts, oauth, oauth_clients, oauth_codes
from tests.smart.world import World

OBSERVATIONS = "launch/patient offline_access patient/Observation.rs patient/Condition.rs"


def connected(world: World, owner: str) -> list[oauth.Grant]:
    with world.store.read() as session:
        return list(oauth.grants_of(session, owner, world.clock()))


def body(response: Any) -> dict[str, Any]:
    return response.json or {}


# -------------------------------------------------------------------- rotation


def test_a_refresh_gives_a_new_pair_for_the_same_record(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    first = stored.login(app_id, ada, scope=OBSERVATIONS)
    stored.clock.advance(days=30)

    second = body(stored.refresh(app_id, first["refresh_token"]))

    assert second["scope"] == OBSERVATIONS
    assert second["patient"] == "1"
    assert second["refresh_token"] != first["refresh_token"]
    assert stored.principal(second["access_token"]).subject == "Patient/1"
    assert "id_token" not in second


def test_the_sign_in_stays_as_old_as_it_is(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    signed_in_at = world.clock()
    first = world.login(app_id, ada)
    world.clock.advance(hours=2)

    second = body(world.refresh(app_id, first["refresh_token"]))

    assert world.principal(second["access_token"]).auth_time == signed_in_at


def test_a_second_use_ends_the_whole_family(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    first = stored.login(app_id, ada)
    second = body(stored.refresh(app_id, first["refresh_token"]))

    stolen = stored.refresh(app_id, first["refresh_token"])

    assert body(stolen)["error"] == "invalid_grant"
    assert body(stored.refresh(app_id, second["refresh_token"]))["error"] == "invalid_grant"
    assert not stored.is_alive(first["access_token"])
    assert not stored.is_alive(second["access_token"])


def test_of_concurrent_uses_at_most_one_succeeds_and_nothing_survives(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    refresh_token = stored.login(app_id, ada)["refresh_token"]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: stored.refresh(app_id, refresh_token), range(4)))

    issued = [body(answer) for answer in answers if answer.status_code == 200]
    assert len(issued) == 1
    assert not stored.is_alive(issued[0]["access_token"])
    assert connected(stored, ada.id) == []


def test_another_authorization_of_the_same_app_survives(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    phone, tablet = world.login(app_id, ada), world.login(app_id, ada)
    world.refresh(app_id, phone["refresh_token"])
    world.refresh(app_id, phone["refresh_token"])

    assert world.is_alive(tablet["access_token"])
    assert world.refresh(app_id, tablet["refresh_token"]).status_code == 200


def test_a_refresh_token_ends_ninety_days_after_its_issue(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    refresh_token = world.login(app_id, ada)["refresh_token"]
    world.clock.advance(days=90)

    assert body(world.refresh(app_id, refresh_token))["error"] == "invalid_grant"


# -------------------------------------------------------------------- scope


def test_a_refresh_may_ask_for_less_and_later_for_all_again(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    first = world.login(app_id, ada, scope=OBSERVATIONS)

    less = body(world.refresh(app_id, first["refresh_token"], scope="launch/patient patient/Condition.rs"))
    again = body(world.refresh(app_id, less["refresh_token"]))

    assert less["scope"] == "launch/patient patient/Condition.rs"
    assert not world.principal(less["access_token"]).scopes.allows("s", "Observation")
    assert again["scope"] == OBSERVATIONS


@pytest.mark.parametrize("scope", ["patient/*.rs", "patient/Observation.cruds", "system/*.rs", "patient/Procedure.rs"])
def test_a_refresh_never_gives_more_and_a_wrong_one_does_not_burn_the_token(world: World, scope: str) -> None:
    app_id, ada = world.client()[0], world.person()
    first = world.login(app_id, ada, scope=OBSERVATIONS)

    assert body(world.refresh(app_id, first["refresh_token"], scope=scope))["error"] == "invalid_scope"
    assert world.refresh(app_id, first["refresh_token"]).status_code == 200


# -------------------------------------------------------------------- whose token


def test_a_refresh_token_is_bound_to_its_client(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    stranger = world.client(name="Stranger")[0]
    refresh_token = world.login(app_id, ada)["refresh_token"]

    assert body(world.refresh(stranger, refresh_token))["error"] == "invalid_grant"
    assert world.refresh(app_id, refresh_token).status_code == 200


def test_a_confidential_client_must_authenticate_to_refresh(world: World) -> None:
    app_id, secret = world.client(kind="secret")
    code = world.code(app_id, world.person())
    refresh_token = body(world.redeem(app_id, code, client_secret=secret))["refresh_token"]

    assert body(world.refresh(app_id, refresh_token))["error"] == "invalid_client"
    assert world.refresh(app_id, refresh_token, client_secret=secret).status_code == 200


@pytest.mark.parametrize("value", ["unknown", "é", ""])
def test_an_unknown_refresh_token_is_refused(world: World, value: str) -> None:
    app_id = world.client()[0]

    assert body(world.refresh(app_id, value))["error"] in {"invalid_grant", "invalid_request"}


def test_an_access_token_is_no_refresh_token(world: World) -> None:
    app_id, ada = world.client()[0], world.person()

    answer = world.login(app_id, ada)

    assert body(world.refresh(app_id, answer["access_token"]))["error"] == "invalid_grant"
    assert not world.is_alive(answer["refresh_token"])


def test_a_closed_account_cannot_refresh(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    refresh_token = world.login(app_id, ada)["refresh_token"]
    with world.store.write() as session:
        accounts.set_active(session, ada.id, active=False, now=world.clock())

    assert body(world.refresh(app_id, refresh_token))["error"] == "invalid_grant"


def test_a_suspended_client_cannot_refresh_and_its_tokens_are_dead(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    answer = world.login(app_id, ada)
    with world.store.write() as session:
        oauth_clients.set_client_active(session, app_id, active=False)

    assert body(world.refresh(app_id, answer["refresh_token"]))["error"] == "invalid_client"
    assert not world.is_alive(answer["access_token"])


# -------------------------------------------------------------------- connected apps


def test_connected_apps_are_listed_once_with_what_they_may_do(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    stored.login(app_id, ada, scope="launch/patient offline_access patient/Observation.rs")
    stored.clock.advance(hours=1)
    later = stored.clock()
    stored.login(app_id, ada, scope="launch/patient offline_access patient/Condition.rs")

    (grant,) = connected(stored, ada.id)

    assert (grant.client_id, grant.client_name, grant.patient) == (app_id, "Growth Chart", "Patient/1")
    assert set(grant.scope.split()) == set(OBSERVATIONS.split())
    assert (grant.granted_at, grant.last_used_at) == (later, later)
    assert connected(stored, "Patient/1") == [grant]
    assert connected(stored, "Patient/2") == []


def test_removing_an_app_ends_every_token_of_it_at_once(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    other_id = stored.client(name="Other")[0]
    phone, tablet, other = stored.login(app_id, ada), stored.login(app_id, ada), stored.login(other_id, ada)
    unused = stored.code(app_id, ada)
    grant = next(item for item in connected(stored, ada.id) if item.client_id == app_id)

    with stored.store.write() as session:
        assert oauth.revoke_grant(session, grant.id, stored.clock())

    for tokens in (phone, tablet):
        assert not stored.is_alive(tokens["access_token"])
        assert stored.refresh(app_id, tokens["refresh_token"]).status_code == 400
    assert stored.redeem(app_id, unused).status_code == 400
    assert stored.is_alive(other["access_token"])
    assert [item.client_id for item in connected(stored, ada.id)] == [other_id]


def test_removing_an_unknown_grant_does_nothing(world: World) -> None:
    with world.store.write() as session:
        assert not oauth.revoke_grant(session, "unknown", world.clock())
        assert oauth.authorization(session, "unknown") is None


def test_an_app_that_can_reach_nothing_any_more_is_not_listed(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    world.login(app_id, ada, scope="launch/patient patient/Observation.rs")

    assert len(connected(world, ada.id)) == 1
    world.clock.advance(minutes=15)
    assert connected(world, ada.id) == []


def test_a_code_that_was_never_redeemed_connects_nothing(world: World) -> None:
    app_id, ada = world.client()[0], world.person()

    world.code(app_id, ada)

    assert connected(world, ada.id) == []


def test_purging_forgets_only_what_ended(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    stored.login(app_id, ada, scope="launch/patient patient/Observation.rs")
    kept = stored.login(app_id, ada)
    stored.clock.advance(days=40)

    with stored.store.write() as session:
        oauth_codes.purge(session, stored.clock())

    assert stored.refresh(app_id, kept["refresh_token"]).status_code == 200


def test_a_public_client_may_refresh_with_its_token_alone(stored: World) -> None:
    app_id = stored.client()[0]
    first = stored.login(app_id, stored.person())["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": first}

    assert stored.token(form).status_code == 200
    reused = stored.token(form)

    assert (reused.status_code, (reused.json or {})["error"]) == (400, "invalid_grant")
    assert stored.token({**form, "refresh_token": "unknown"}).status_code == 401


def test_a_refresh_token_alone_is_not_enough_for_a_client_with_a_secret(world: World) -> None:
    app_id, secret = world.client(kind="secret")
    code = world.code(app_id, world.person())
    token = (world.redeem(app_id, code, client_secret=secret).json or {})["refresh_token"]

    assert world.token({"grant_type": "refresh_token", "refresh_token": token}).status_code == 401
