"""A conditional delete of several: a policy of the server and of who asks, all or nothing, each on the log."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.consent.world import ANN, World, observation
from tests.databases import Databases
from tests.server import Server, build, create_schema

_CODES = "Observation?code="


@pytest.fixture
def served(databases: Databases, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Return a function that makes a server with these settings."""
    made: list[Server] = []

    def serve(**settings: Any) -> World:
        made.append(build(databases.prepared("schema", create_schema), tmp_path, **settings))
        return World(made[-1]).build()

    yield serve
    for server in made:
        server.close()


def _add(world: World, token: str, code: str, count: int, **more: Any) -> list[str]:
    body = observation(ANN, code=code, **more)
    return [str(world.server.post("Observation", token, body)["id"]) for _ in range(count)]


def _left(world: World, code: str) -> int:
    return int(world.server.get(f"{_CODES}{code}&_summary=count", world.operator)["total"])


def _policy(server: Server) -> set[str]:
    rest = orjson.loads(server.call("GET", "metadata").data)["rest"][0]
    return {each["conditionalDelete"] for each in rest["resource"] if "conditionalDelete" in each}


def test_programs_delete_as_many_as_the_setting_says_and_people_one(served: Callable[..., World]) -> None:
    world = served(conditional_deletes=3)
    server = world.server
    assert _policy(server) == {"multiple"}
    for code, count in (("many", 4), ("three", 3), ("two", 2), ("one", 1)):
        _add(world, world.trust, code, count)

    def delete(code: str, token: str, **headers: str) -> tuple[int, int]:
        return server.call("DELETE", f"{_CODES}{code}", token, headers=headers).status_code, _left(world, code)

    assert delete("many", world.trust) == (412, 4), "more than the setting allows"
    _add(world, world.gp, "persons", 2)
    assert delete("persons", world.gp) == (412, 2), "a person deletes one at a time"
    headers = {"If-Match": 'W/"1"'}
    assert delete("two", world.trust, **headers) == (412, 2), "one version is not that of several"
    assert delete("one", world.trust, **headers) == (204, 0)
    assert delete("three", world.trust) == (204, 0)
    assert delete("three", world.trust) == (204, 0)


def test_several_go_together_or_not_at_all_and_are_on_the_log(served: Callable[..., World]) -> None:
    world = served(conditional_deletes=3)
    server = world.server
    mine = _add(world, world.practice, "mixed", 2)
    foreign = _add(world, world.trust, "mixed", 1)
    refused = server.call("DELETE", f"{_CODES}mixed", world.practice)
    assert (refused.status_code, _left(world, "mixed")) == (403, 3)
    assert server.call("DELETE", f"Observation/{foreign[0]}", world.operator).status_code == 204
    assert server.call("DELETE", f"{_CODES}mixed", world.practice).status_code == 204
    logged = server.get("AuditEvent?action=D&_count=100", world.ann)
    named = {
        item["what"].get("reference", "").partition("/_history")[0]
        for entry in logged["entry"]
        for item in entry["resource"].get("entity", ())
        if "what" in item
    }
    assert {f"Observation/{each}" for each in mine} <= named


def test_an_entry_deletes_several_and_none_that_another_entry_changes(served: Callable[..., World]) -> None:
    world = served(conditional_deletes=2)
    first, _ = _add(world, world.trust, "pair", 2)
    entry = {"request": {"method": "DELETE", "url": f"{_CODES}pair"}}
    body = observation(ANN, first, code="pair")
    update = {"resource": body, "request": {"method": "PUT", "url": f"Observation/{first}"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry, update]}
    assert world.server.call("POST", "", world.trust, bundle).status_code == 400
    assert _left(world, "pair") == 2
    answer = world.server.post("", world.trust, {**bundle, "entry": [entry]}, 200)
    assert (answer["entry"][0]["response"]["status"], _left(world, "pair")) == ("204 No Content", 0)
