"""`_include` and `_revinclude`: what the matches point to, and what points to them.

https://hl7.org/fhir/R4/search.html#include. One statement per hop, whatever the number of parameters. A target that
does not exist for the caller is left out without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Select, select, union

from fhir_server.search import keys
from fhir_server.search.model import Include, Row, SearchRequest
from fhir_server.search.rows import TypeNames, row_columns, row_of
from fhir_server.store import index_rows
from fhir_server.store.database import Session
from fhir_server.store.keys import type_key
from fhir_server.store.visibility import Visibility, execute, readable

INCLUDED_LIMIT = 1_000
HOPS_LIMIT = 50


def included(
    session: Session, visibility: Visibility, request: SearchRequest, matches: Sequence[Row], names: TypeNames
) -> tuple[list[Row], bool]:
    """Return the resources to add to a page of matches, and whether a limit cut some off."""
    seen = {row.key for row in matches}
    found: list[Row] = []
    frontier, includes = list(matches), request.includes
    for _ in range(HOPS_LIMIT):
        queries = [query for include in includes for query in _keys(include, frontier)]
        if not queries:
            break
        row = readable(visibility)
        room = INCLUDED_LIMIT - len(found)
        statement = (
            select(*row_columns(row))
            .where(row.c.key.in_(queries[0] if len(queries) == 1 else union(*queries)))
            .order_by(row.c.key)
            .limit(room + len(seen) + 1)
        )
        rows = (row_of(record, names) for record in execute(session, visibility, statement))
        frontier = [each for each in rows if each.key not in seen]
        if len(frontier) > room:
            return found + frontier[:room], True
        found += frontier
        seen.update(each.key for each in frontier)
        includes = tuple(include for include in includes if include.iterate)
    else:
        return found, bool(frontier)
    return found, False


def _keys(include: Include, frontier: Sequence[Row]) -> Iterator[Select[tuple[int]]]:
    """Yield the queries of the surrogate keys that one include adds to these rows."""
    if include.reverse:
        rows = [row.key for row in frontier if include.target_type in {"", row.type}]
    else:
        rows = [row.key for row in frontier if not include.source_types or row.type in include.source_types]
    if rows:
        yield _pointing_at(include, rows) if include.reverse else _pointed_at(include, rows)
        if include.by_url:
            yield _by_url(include, rows)


def _pointed_at(include: Include, rows: Sequence[int]) -> Select[tuple[int]]:
    index = index_rows.alias("index_reference")
    query = select(index.c.target).where(index.c.key.in_(rows))
    if include.target_type:
        query = query.where(index.c.target_type == type_key(include.target_type))
    return query.where(keys.of_parameters(index, include.params)) if include.params else query


def _pointing_at(include: Include, rows: Sequence[int]) -> Select[tuple[int]]:
    index = index_rows.alias("index_reference")
    query = select(index.c.key).where(index.c.target.in_(rows))
    return query.where(keys.of_parameters(index, include.params)) if include.params else query


def _by_url(include: Include, rows: Sequence[int]) -> Select[tuple[int]]:
    """Return the query through canonical references: a row with a URL meets the rows that name the URL."""
    pointing, named = index_rows.alias("index_reference"), index_rows.alias("index_reference")
    here, there = (named, pointing) if include.reverse else (pointing, named)
    query = select(there.c.key).where(
        pointing.c.target == named.c.target,
        keys.of_parameters(named, (keys.CANONICAL,)),
        pointing.c.param != keys.CANONICAL,
        here.c.key.in_(rows),
    )
    if include.target_type:
        query = query.where(named.c.target_type == type_key(include.target_type))
    return query.where(keys.of_parameters(pointing, include.params)) if include.params else query
