"""Rows of a result: the columns to fetch and the values made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, FromClause
from sqlalchemy import Row as Record

from fhir_server.search.model import Row
from fhir_server.spec.definitions import Definitions
from fhir_server.store.keys import type_key

TypeNames = Mapping[int, str]

_COLUMNS = ("key", "type", "id", "version", "updated_at", "patient", "multi", "content")


def type_names(definitions: Definitions) -> TypeNames:
    """Return the resource types by their key."""
    return _names_of(definitions.resource_types)


@lru_cache(maxsize=4)
def _names_of(types: frozenset[str]) -> TypeNames:
    return {type_key(name): name for name in types}


def row_columns(row: FromClause) -> Sequence[ColumnElement[Any]]:
    """Return the columns of readable rows that `row_of` takes, in its order."""
    return [row.c[name] for name in _COLUMNS]


def row_of(record: Record[Any], names: TypeNames, *, scored: bool = False) -> Row:
    """Return a fetched record, which may have more columns behind (the score first), as a value."""
    key, kind, logical_id, version, updated_at, patient, multi, content = record[: len(_COLUMNS)]
    score = record[len(_COLUMNS)] if scored else None
    return Row(key, names[kind], logical_id, version, updated_at, patient, bool(multi), bytes(content), score)
