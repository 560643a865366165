"""Resources that are part of others of their type, such as locations (https://hl7.org/fhir/R4/search.html#recursive).

Comes in: where to start, and up or down. Goes out: the keys of everything on the way. INVARIANT: that one resource is
part of another is known from the part alone, which is a row of `readable`: nothing is told that its bytes do not say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from fhir_server.search import prepare
from fhir_server.search.keys import of_parameters
from fhir_server.search.prepare import value as value_field
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import index_rows
from fhir_server.store.database import Session
from fhir_server.store.keys import type_key
from fhir_server.store.visibility import Visibility, readable

RELATED_LIMIT = 1_000
_LEVELS_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Which way to go.

    Attributes:
        kind: Resource type.
        param: Key of the parameter by which one is part of another.
        above: Up, to what the start is part of; else down, to its parts.
    """

    kind: str
    param: int
    above: bool


@dataclass(frozen=True, slots=True)
class _Level:
    keys: tuple[int, ...] = value_field()


def related(session: Session, visibility: Visibility, hierarchy: Hierarchy, starts: Sequence[int]) -> Sequence[int]:
    """Return the keys to start from and those above or below them; a circle ends where it began.

    Raises:
        FhirError: 400 when there are more than `RELATED_LIMIT`.
    """
    found = dict.fromkeys(starts)
    level = tuple(found)
    for _ in range(_LEVELS_LIMIT):
        question = prepare.Question("parts", hierarchy, _Level(level))
        records = prepare.run(session, visibility, question, lambda asked: _next(visibility, hierarchy, asked)).all()
        level = tuple(sorted({record[0] for record in records} - found.keys()))
        found.update(dict.fromkeys(level))
        if not level:
            return tuple(found)
        if len(found) > RELATED_LIMIT:
            break
    which = "above" if hierarchy.above else "below"
    raise FhirError(
        Kind.INVALID_VALUE,
        f"There are more than {RELATED_LIMIT} resources of type {hierarchy.kind}, or more than {_LEVELS_LIMIT} levels "
        f"of them, {which} what the search names: start from a smaller part",
    )


def _next(visibility: Visibility, hierarchy: Hierarchy, level: _Level) -> Select[Any]:
    part, index = readable(visibility, (hierarchy.kind,)), index_rows.alias("index_reference")
    start, end = (index.c.key, index.c.target) if hierarchy.above else (index.c.target, index.c.key)
    return (
        select(end)
        .select_from(index.join(part, part.c.key == index.c.key))
        .where(
            start.in_(level.keys),
            of_parameters(index, (hierarchy.param,)),
            index.c.target_type == type_key(hierarchy.kind),
        )
        .limit(RELATED_LIMIT + 1)
    )
