"""JSON Web Keys (RFC 7517): what the server publishes of its own keys, and how they are rotated without a word."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fhir_server.cli.signing_keys import key as command
from fhir_server.smart import keys
from fhir_server.smart.keys import KeyFolder
from tests.smart.world import World

MADE = datetime(2026, 1, 1, tzinfo=UTC)
QUARTER = timedelta(days=90)


def kids(folder: KeyFolder, now: datetime) -> list[str]:
    return [key["kid"] for key in folder.current().jwks(now)["keys"]]


def verifies(token: str, folder: KeyFolder, now: datetime) -> bool:
    published = KeySet.import_key_set(folder.current().jwks(now))  # type: ignore[arg-type]
    try:
        return bool(jwt.decode(token, published, algorithms=list(keys.ALGORITHMS)))
    except (JoseError, ValueError):
        return False


def test_the_published_keys_are_public_and_say_what_they_are_for(world: World) -> None:
    published = (world.programs.get("/.well-known/jwks.json").json or {})["keys"]

    assert {(key["kty"], key["use"], key["alg"]) for key in published} == {
        ("RSA", "sig", "RS256"),
        ("EC", "sig", "ES256"),
    }
    for key in published:
        assert key["kid"]
        assert not {"d", "p", "q", "dp", "dq", "qi", "k", "created_at"} & set(key)


def test_a_key_is_made_once_by_whoever_is_first_and_readable_by_its_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: keys.load_or_create(folder, MADE), range(4)))

    assert len({str(each.current().jwks(MADE)) for each in opened}) == 1
    names = {path.name for path in folder.iterdir()}
    assert names == {"id-token-RS256-1.jwk", "id-token-ES256-1.jwk"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    assert "Key(" not in repr(opened[0].current()).replace("SigningKey(", "")


@pytest.mark.parametrize("algorithm", keys.ALGORITHMS)
def test_rotation_publishes_before_it_signs_and_keeps_until_nothing_lives(tmp_path: Path, algorithm: str) -> None:
    worker, other = keys.load_or_create(tmp_path, MADE), keys.load_or_create(tmp_path, MADE)
    (before,) = [key.private.kid for key in worker.current().keys if key.algorithm == algorithm]

    def signer(now: datetime) -> str:
        return str(other.current().signer(algorithm, now).private.kid)

    assert keys.rotate(tmp_path, MADE + QUARTER - timedelta(seconds=1), QUARTER) == 0, "not due yet"
    due = MADE + QUARTER
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: keys.rotate(tmp_path, due, QUARTER), range(4)))
    assert sum(made) == len(keys.ALGORITHMS), "one new key each, whoever makes it"

    assert kids(worker, due) == kids(other, due), "workers agree without being told"
    assert len(kids(other, due)) == 2 * len(keys.ALGORITHMS)
    assert signer(due + keys.LEAD - timedelta(seconds=1)) == before
    late = other.current().sign({"sub": "x"}, algorithm, due + keys.LEAD - timedelta(seconds=1))
    assert signer(due + keys.LEAD) != before
    last = due + keys.LEAD + keys.KEPT - timedelta(seconds=1)
    assert keys.rotate(tmp_path, last, QUARTER) == 0
    assert verifies(late, other, last)
    gone = last + timedelta(seconds=1)
    assert before not in kids(other, gone), "the old key is not published, whether it was removed yet or not"
    assert keys.rotate(tmp_path, gone, QUARTER) == len(keys.ALGORITHMS)
    assert len(list(tmp_path.iterdir())) == len(keys.ALGORITHMS)
    assert not verifies(late, other, gone)


def test_keys_that_others_may_have_seen_are_replaced_at_once(tmp_path: Path) -> None:
    worker = keys.load_or_create(tmp_path, MADE)
    stolen = worker.current().sign({"sub": "x"}, "RS256", MADE)

    keys.replace_all(tmp_path, MADE + timedelta(minutes=1))

    now = MADE + timedelta(minutes=1)
    assert not verifies(stolen, worker, now)
    assert verifies(worker.current().sign({}, "ES256", now), worker, now)


def test_an_operator_lists_and_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_KEY_DIRECTORY", str(tmp_path / "keys"))
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", f"sqlite:///{tmp_path / 'x.db'}")

    def run(*arguments: str) -> list[dict[str, Any]]:
        found = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return [json.loads(line) for line in found.output.splitlines()]

    first = run("list")
    run("rotate")
    second = run("list")
    run("rotate", "--at-once")
    third = run("list")

    assert sorted((key["alg"], key["signs"]) for key in first) == [("ES256", True), ("RS256", True)]
    assert {key["kid"] for key in second if key["signs"]} == {key["kid"] for key in first}, "published, not signing yet"
    assert len(second) == 4
    assert len(third) == 2
    assert not {key["kid"] for key in third} & {key["kid"] for key in second}
    assert all(key["signs"] for key in third)
