"""`_include` and `_revinclude`: what the matches point to, and what points to them.

https://hl7.org/fhir/R4/search.html#include. One statement per hop, whatever the number of parameters. A target that
does not exist for the caller is left out without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select, union

from fhir_server.search import criteria, keys, prepare
from fhir_server.search.model import Include, Row, SearchRequest
from fhir_server.search.prepare import value as value_field
from fhir_server.search.results import MAXIMUM_COUNT
from fhir_server.search.rows import TypeNames, row_columns, row_of
from fhir_server.store import index_rows
from fhir_server.store.database import Session
from fhir_server.store.keys import type_key
from fhir_server.store.prepared import Plan
from fhir_server.store.visibility import Visibility, readable

INCLUDED_LIMIT = 1_000
HOPS_LIMIT = 50
_ROWS_LIMIT = INCLUDED_LIMIT + MAXIMUM_COUNT + 1
"""Rows may be met that are on the page or included already, at most all of these."""


def included(
    session: Session, visibility: Visibility, request: SearchRequest, matches: Sequence[Row], names: TypeNames
) -> tuple[list[Row], bool]:
    """Return the resources to add to a page of matches, and whether a limit cut some off."""
    seen = {row.key for row in matches}
    found: list[Row] = []
    frontier, includes = list(matches), request.includes
    for _ in range(HOPS_LIMIT):
        hops = _Hops(tuple(hop for include in includes if (hop := _hop(include, frontier)) is not None))
        if not hops.each:
            break
        question = prepare.Question("search includes", None, hops)
        records = prepare.run(session, visibility, question, lambda hops: _statement(visibility, hops), Plan.ANY_VALUES)
        frontier = [row for record in records if (row := row_of(record, names)).key not in seen]
        room = INCLUDED_LIMIT - len(found)
        if len(frontier) > room:
            return found + frontier[:room], True
        found += frontier
        seen.update(each.key for each in frontier)
        includes = tuple(include for include in includes if include.iterate)
    else:
        return found, bool(frontier)
    return found, False


@dataclass(frozen=True, slots=True)
class _Hop:
    """One include from some rows: their keys, listed with commas."""

    include: Include
    rows: str = value_field()


@dataclass(frozen=True, slots=True)
class _Hops:
    each: tuple[_Hop, ...]


def _hop(include: Include, frontier: Sequence[Row]) -> _Hop | None:
    types = tuple(filter(None, (include.target_type,))) if include.reverse else include.source_types
    rows = [str(row.key) for row in frontier if not types or row.type in types]
    return _Hop(include, ",".join(rows)) if rows else None


def _statement(visibility: Visibility, hops: _Hops) -> Select[Any]:
    row = readable(visibility)
    queries = [query for hop in hops.each for query in _keys(hop)]
    wanted = queries[0] if len(queries) == 1 else union(*queries)
    # Not the key itself: PostgreSQL would walk all resources in its order until it has met enough of them.
    return select(*row_columns(row)).where(row.c.key.in_(wanted)).order_by(row.c.key + 0).limit(_ROWS_LIMIT)


def _keys(hop: _Hop) -> Iterator[Select[tuple[int]]]:
    """Yield the queries of the surrogate keys that one include adds."""
    yield _pointing_at(hop) if hop.include.reverse else _pointed_at(hop)
    if hop.include.by_url:
        yield _by_url(hop)


def _pointed_at(hop: _Hop) -> Select[tuple[int]]:
    index, include = index_rows.alias("index_reference"), hop.include
    query = select(index.c.target).where(keys.among(index.c.key, hop.rows))
    if include.target_type:
        query = query.where(index.c.target_type == type_key(include.target_type))
    return query.where(keys.of_parameters(index, include.params)) if include.params else query


def _pointing_at(hop: _Hop) -> Select[tuple[int]]:
    index, include = index_rows.alias("index_reference"), hop.include
    query = select(index.c.key).where(keys.among(index.c.target, hop.rows))
    return query.where(keys.of_parameters(index, include.params)) if include.params else query


def _by_url(hop: _Hop) -> Select[tuple[int]]:
    """Return the query through canonical references: a row with a URL meets the rows that name the URL."""
    include = hop.include
    pointing, named = index_rows.alias("index_reference"), index_rows.alias("index_reference")
    here, there = (named, pointing) if include.reverse else (pointing, named)
    query = select(there.c.key).where(
        criteria.names_by_url(pointing, named),
        pointing.c.param != keys.CANONICAL,
        keys.among(here.c.key, hop.rows),
    )
    if include.target_type:
        query = query.where(named.c.target_type == type_key(include.target_type))
    return query.where(keys.of_parameters(pointing, include.params)) if include.params else query
