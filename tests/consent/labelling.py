"""What tests of privacy labels share: send them, choose them, read them off a resource."""

from __future__ import annotations

from typing import Any

import orjson

from fhir_server.access import labels
from tests.consent.world import LABEL, Json, World

MENTAL, SEXUAL, GENERAL = "mental-health", "sexual-health", "general"
PATCH = {"Content-Type": "application/json-patch+json"}
CHOSEN = {"system": LABEL, "userSelected": True}


def codings(resource: Json) -> set[tuple[str, str]]:
    """Return kind and code of each coding that says how sensitive a resource is."""
    short = {LABEL: "label", labels.CONFIDENTIALITY: "level", labels.ACT_CODE: "act"}
    found = resource.get("meta", {}).get("security", ())
    return {(short.get(each["system"], each["system"]), each["code"]) for each in found}


def labels_of(resource: Json) -> set[str]:
    """Return the privacy labels of a resource."""
    return {code for system, code in codings(resource) if system == "label"}


def meta_of(*codings: tuple[str, str]) -> Json:
    """Return `meta` with these codings of security."""
    return {"security": [{"system": system, "code": code} for system, code in codings]}


def patch(world: World, path: str, token: str, operations: list[Json], status: int = 200) -> Any:
    """Patch a resource; return the parsed body."""
    answer = world.server.call("PATCH", path, token, orjson.dumps(operations), PATCH)
    assert answer.status_code == status, answer.text
    return orjson.loads(answer.data)


def relabel(world: World, path: str, code: str, token: str = "", status: int = 200) -> Any:
    """Choose a label by JSON Patch, as Ann unless told otherwise."""
    operation = {"op": "add", "path": "/meta/security", "value": [{"system": LABEL, "code": code}]}
    return patch(world, path, token or world.ann, [operation], status)


def is_seen(world: World, path: str, token: str) -> bool:
    """Return whether a resource is there for whoever has this token."""
    return world.server.call("GET", path, token).status_code == 200
