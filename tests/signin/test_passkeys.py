"""Passkeys: made, used, named, removed; and every answer refused that did not come from the right key just now."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.server import Server
from tests.signin.soft_key import SoftKey
from tests.signin.visitor import Visitor, account


@pytest.fixture
def visitor(server: Server, tmp_path: Path) -> Visitor:
    account(server)
    made = Visitor(server, tmp_path)
    made.sign_in()
    return made


def _options(visitor: Visitor, path: str = "/sign-in/passkey/options") -> dict[str, str]:
    answer = visitor.post(path)
    assert answer.status_code == 200, answer.text
    return dict(answer.json or {})


def _add(visitor: Visitor, key: SoftKey, **changes: str) -> TestResponse:
    asked = _options(visitor, "/account/passkeys/options")
    form = {"action": "add", "name": "My phone", "token": asked["token"], "credential": key.create(asked["options"])}
    return visitor.post("/account/passkeys", form | changes)


def _use(visitor: Visitor, key: SoftKey, **changes: str) -> TestResponse:
    asked = _options(visitor)
    form = {"token": asked["token"], "credential": key.get(asked["options"])} | changes
    return visitor.post("/sign-in/passkey", form)


def _stranger(visitor: Visitor) -> Visitor:
    return Visitor(visitor.server, visitor.folder.parent)


def test_passkey_signs_in_alone_and_counts_as_both_proofs(visitor: Visitor) -> None:
    key = SoftKey()
    assert _add(visitor, key).location == "/account/recovery-codes?added=passkey"
    assert "My phone" in visitor.get("/account/passkeys")
    other = _stranger(visitor)
    assert _use(other, key, next="/account").location == "/account"
    assert other.is_in()
    assert visitor.mail("security-changed")[-1]["body"].startswith("A passkey was added")
    third = _stranger(visitor)
    assert third.sign_in().location.startswith("/sign-in/proof"), "the password alone is no way around the passkey"


def test_passkey_is_a_fresh_proof_of_who_is_signed_in(visitor: Visitor) -> None:
    key = SoftKey()
    _add(visitor, key)
    visitor.server.clock.advance(minutes=11)
    assert visitor.client.get("/account/password").status_code == 303
    assert _use(visitor, key, again="yes", next="/account/password").location == "/account/password"
    assert visitor.get("/account/password")
    account(visitor.server, "bea@example.org")
    bea = _stranger(visitor)
    bea.sign_in("bea@example.org")
    assert _use(bea, key, again="yes").status_code == 403, "somebody else's key proves nothing about her"


def test_answer_is_good_once(visitor: Visitor) -> None:
    key = SoftKey()
    _add(visitor, key)
    asked = _options(visitor)
    form = {"token": asked["token"], "credential": key.get(asked["options"])}
    one, two = _stranger(visitor), _stranger(visitor)
    assert one.post("/sign-in/passkey", form).status_code == 303
    assert two.post("/sign-in/passkey", form).status_code == 403
    assert not two.is_in()


@pytest.mark.parametrize("change", [
    {"origin": "http://localhost.evil.example"},
    {"origin": "http://localhost:8001"},
    {"rp_id": "evil.example"},
    {"is_verified": False},
    {"count": 0},
    {"count": 1},
    {"id": b"another credential"},
    {"user_handle": "c29tZWJvZHkgZWxzZQ"},
    {"key": SoftKey().key},
], ids="-".join)  # fmt: skip
def test_answer_that_is_not_the_keys_own_for_this_place_is_refused(visitor: Visitor, change: dict[str, Any]) -> None:
    key = SoftKey()
    _add(visitor, key)
    assert _use(_stranger(visitor), key).status_code == 303
    assert _use(_stranger(visitor), key).status_code == 303
    thief = _stranger(visitor)
    refused = _use(thief, replace(key, **change))
    assert refused.status_code == 403
    assert "That passkey did not work" in refused.text
    assert not thief.is_in()


def test_challenge_ends_after_ten_minutes_and_is_for_one_purpose(visitor: Visitor) -> None:
    key = SoftKey()
    _add(visitor, key)
    late = _options(visitor)
    visitor.server.clock.advance(minutes=10)
    thief = _stranger(visitor)
    form = {"token": late["token"], "credential": key.get(late["options"])}
    assert thief.post("/sign-in/passkey", form).status_code == 403
    visitor.again()
    other = _options(visitor)
    stolen = {"action": "add", "token": other["token"], "credential": key.get(other["options"])}
    assert visitor.post("/account/passkeys", stolen).status_code == 403


@pytest.mark.parametrize("credential", [
    "", "{}", "[]", "null", "{", '{"id":1}', "[" * 5000,
    '{"id":"a","rawId":"a","type":"public-key","response":{}}',
    '{"id":"a","rawId":"\u00e9","type":"x","response":{"clientDataJSON":"","authenticatorData":"","signature":""}}',
    '{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA"}}',
], ids=lambda text: text[:24])  # fmt: skip
def test_nonsense_is_refused_as_a_page(visitor: Visitor, credential: str) -> None:
    asked = _options(visitor)
    form = {"token": asked["token"], "credential": credential}
    assert _stranger(visitor).post("/sign-in/passkey", form).status_code == 403
    again = _options(visitor, "/account/passkeys/options")
    form = {"action": "add", "token": again["token"], "credential": credential}
    assert visitor.post("/account/passkeys", form).status_code == 403


@pytest.mark.parametrize(
    "change", [{"origin": "https://evil.example"}, {"rp_id": "evil.example"}, {"is_verified": False}]
)
def test_key_made_for_another_place_is_not_kept(visitor: Visitor, change: dict[str, Any]) -> None:
    assert _add(visitor, replace(SoftKey(), **change)).status_code == 403
    assert "You have no passkey yet" in visitor.get("/account/passkeys")


def test_passkey_is_named_and_removed_by_its_owner_only(visitor: Visitor) -> None:
    key = SoftKey()
    _add(visitor, key)
    page = visitor.get("/account/passkeys")
    name = page.split('name="passkey" value="')[1].split('"')[0]
    account(visitor.server, "bea@example.org")
    bea = _stranger(visitor)
    bea.sign_in("bea@example.org")
    for form in ({"action": "rename", "name": "Mine"}, {"action": "remove"}):
        bea.post("/account/passkeys", form | {"passkey": name})
    assert _use(_stranger(visitor), key).status_code == 303
    visitor.post("/account/passkeys", {"action": "rename", "passkey": name, "name": " <b>Work</b> key "})
    page = visitor.get("/account/passkeys")
    assert 'Remove <span class="nhsuk-u-visually-hidden">&lt;b&gt;Work&lt;/b&gt; key</span>' in page
    assert "Another name for “&lt;b&gt;Work&lt;/b&gt; key”" in page
    visitor.post("/account/passkeys", {"action": "remove", "passkey": name})
    assert _use(_stranger(visitor), key).status_code == 403
