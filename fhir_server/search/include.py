"""`_include` and `_revinclude`: what the matches point to, and what points to them.

https://hl7.org/fhir/R4/search.html#include. One statement per hop, whatever the number of parameters. A target that
does not exist for the caller is left out without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row as Record
from sqlalchemy import Select, select, union

from fhir_server.search import criteria, keys, looks, prepare
from fhir_server.search.model import Include, Row, SearchRequest
from fhir_server.search.prepare import value as value_field
from fhir_server.search.results import MAXIMUM_COUNT
from fhir_server.search.rows import TypeNames, row_columns, row_of
from fhir_server.store import index_rows
from fhir_server.store.database import Session
from fhir_server.store.keys import type_key
from fhir_server.store.prepared import Plan
from fhir_server.store.visibility import Look, Visibility, readable

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
        records = _records(session, visibility, hops, _one_patient(frontier))
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


def _one_patient(frontier: Sequence[Row]) -> int | None:
    """Return whose record most of what is added is of, where that is to be expected."""
    patients = {row.patient for row in frontier}
    return (patients.pop() or None) if len(patients) == 1 else None


def _records(session: Session, visibility: Visibility, hops: _Hops, patient: int | None) -> Sequence[Record[Any]]:
    def rows_of(look: Look, more: Mapping[str, Any]) -> Sequence[Record[Any]]:
        def build(hops: _Hops) -> Select[Any]:
            return _statement(visibility, hops, look, of_one=bool(more))

        question = prepare.Question("search includes", (look, len(more)), hops)
        return prepare.run(session, visibility, question, build, Plan.ANY_VALUES, more).all()

    return looks.first_that_tells(looks.at_few_rows(session, visibility, patient=patient), rows_of)


def _statement(visibility: Visibility, hops: _Hops, look: Look, *, of_one: bool) -> Select[Any]:
    row = readable(visibility, look=look, of_one=of_one)
    settled = [row.c.settled] if look is Look.LIKELY else []
    queries = [query for hop in hops.each for query in _keys(hop)]
    wanted = queries[0] if len(queries) == 1 else union(*queries)
    # Not the key itself: PostgreSQL would walk all resources in its order until it has met enough of them.
    return select(*row_columns(row), *settled).where(row.c.key.in_(wanted)).order_by(row.c.key + 0).limit(_ROWS_LIMIT)


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
