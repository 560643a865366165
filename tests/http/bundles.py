"""The shared Synthea bundles: where they are, and how what was sent is compared with what comes back."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parents[3] / "shared"
FOLDER = SHARED / "data" / "synthea-smart"


class Digits(str):
    """A decimal as it was written."""

    __slots__ = ()


def parsed(raw: bytes) -> Any:
    return json.loads(raw, parse_float=Digits)


def with_zeros(raw: bytes) -> bytes:
    """Return the text with a zero after every decimal value, which a reader of floats would lose."""
    changed, count = re.subn(rb'("value"\s*:\s*-?\d+\.\d+)', rb"\g<1>0", raw)
    assert count or b"Observation" not in raw
    return changed


def note(bundle: Mapping[str, Any], answer: Mapping[str, Any], sent: dict[str, dict[str, Any]]) -> None:
    """Note each resource by the name it was given, its references rewritten as the specification says."""
    names = [
        "/".join(entry["response"]["location"].split("/")[-4:-2]) for entry in answer["entry"]
    ]  # …/Type/id/_history/1
    given = {entry["fullUrl"]: name for entry, name in zip(bundle["entry"], names, strict=True)}
    for entry, name in zip(bundle["entry"], names, strict=True):
        sent[name] = rewritten(entry["resource"], given)


def rewritten(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: rewritten(item, given) for name, item in value.items()}
    if isinstance(value, list):
        return [rewritten(item, given) for item in value]
    return given.get(value, value) if type(value) is str else value


def comparable(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in {"id", "meta"}}


def difference(one: Any, other: Any, where: str) -> str:
    """Return where two values differ first, "" where they are the same down to type, order and digit."""
    if type(one) is not type(other):
        return f"{where}: {one!r} is not {other!r}"
    if isinstance(one, dict):
        if list(one) != list(other):
            return f"{where}: members {list(one)} are not {list(other)}"
        return next(filter(None, (difference(one[name], other[name], f"{where}.{name}") for name in one)), "")
    if isinstance(one, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next(filter(None, (difference(a, b, f"{where}[{index}]") for index, (a, b) in pairs)), "")
    return "" if one == other else f"{where}: {one!r} is not {other!r}"
