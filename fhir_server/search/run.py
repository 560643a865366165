"""Answer a search: match, order and page in one statement, then what is included in one per hop.

Comes in: a `SearchRequest` and a visibility. Goes out: a `SearchPage`. INVARIANT: every resource that is matched,
passed through, counted or included is a row of `readable` under that visibility, so a page is what it would be
without the hidden rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, func, select

from fhir_server.search import cursor, looks, prepare, syntax, text, walk
from fhir_server.search.criteria import Indexed
from fhir_server.search.include import HOPS_LIMIT, INCLUDED_LIMIT, included
from fhir_server.search.leading import all_of, count_of, is_narrow
from fhir_server.search.model import Criterion, Found, Scope, SearchPage, SearchRequest
from fhir_server.search.order import after, order_keys
from fhir_server.search.parse import parse
from fhir_server.search.prepare import value as value_field
from fhir_server.search.rows import row_columns, row_of, type_names
from fhir_server.search.string import StartsWith
from fhir_server.search.terminology import Terminology
from fhir_server.search.within import patient_of
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.store.database import Session
from fhir_server.store.prepared import Plan
from fhir_server.store.visibility import Look, Visibility, readable

_JOINED_LIMIT = 8


def run(
    session: Session,
    visibility: Visibility,
    request: SearchRequest,
    *,
    page_key: bytes,
    binding: str,
    definitions: Definitions,
) -> SearchPage:
    """Return one page of a search.

    Args:
        session: A transaction; page and total come from its one snapshot.
        visibility: Which rows exist.
        request: What `parse` understood.
        page_key: Secret that seals page cursors.
        binding: Identifies the caller; a cursor serves this caller and this query only.
        definitions: R4 definitions.

    Raises:
        FhirError: 400 when the cursor is not one of this caller and query.
    """
    if request.count == 0:
        return SearchPage((), (), request.outcomes, count(session, visibility, request), None)
    names = type_names(definitions)
    sealing: dict[str, Any] = {"page_key": page_key, "binding": binding, "understood": _bound(request)}
    place = cursor.unseal(request.cursor, **sealing) if request.cursor else cursor.Place()
    if place.position and len(place.position) != len(request.sort) + 1:
        raise FhirError(Kind.INVALID_VALUE, "The page link does not fit the order of this search")
    records = _records(session, visibility, request, place)
    page, more = list(records[: request.count]), len(records) > request.count
    if place.backwards:
        page.reverse()
    scored = text.is_scored(request.criteria)
    matches = tuple([row_of(record, names, scored=scored) for record in page])
    total = None
    if not request.cursor and not more:
        total = None if request.total_unwanted else len(matches)
    elif request.total_wanted:
        total = count(session, visibility, request)
    further, cut = included(session, visibility, request, matches, names) if request.includes else ([], False)
    outcomes = (*request.outcomes, *(_CUT if cut else ()))
    ends = [tuple(row[-len(request.sort) - 1 :]) for row in (page[:1] + page[-1:])]
    return SearchPage(matches, tuple(further), outcomes, total, *_further_pages(place, ends, sealing, more=more))


def _records(
    session: Session, visibility: Visibility, request: SearchRequest, place: cursor.Place
) -> Sequence[Row[Any]]:
    """Return the rows of a page, and one more where there is another page."""
    asked = _Asked(request.criteria, place.position, place.backwards)
    way = walk.of(request, asked.criteria, asked.place)
    window = walk.WINDOWS[0] if way else None
    while way is not None and window is not None:
        found, is_page = _walked(session, visibility, request, asked, window)
        if is_page:
            return found
        window = walk.next_window(way, window, len(found))

    def rows_of(look: Look, more: Mapping[str, Any]) -> Sequence[Row[Any]]:
        def build(asked: _Asked) -> Select[Any]:
            return _statement(visibility, request, asked, look, of_one=bool(more))

        question = prepare.Question("search page", (*_fixed(request), look, len(more)), asked)
        return prepare.run(session, visibility, question, build, _plan(request), more).all()

    return looks.first_that_tells(_looks(session, visibility, request), rows_of)


def _looks(session: Session, visibility: Visibility, request: SearchRequest) -> looks.Looks:
    if is_narrow(request.criteria):
        return looks.at_few_rows(session, visibility, request.types, patient_of(request.criteria))
    # Of Patients there is one row for each to look at, so reckoning with the grants of all of them gains nothing.
    wide = session.is_postgresql and request.types != ("Patient",)
    return ((Look.WIDE if wide else Look.EXACT, {}),)


def _walked(
    session: Session, visibility: Visibility, request: SearchRequest, asked: _Asked, window: int
) -> tuple[Sequence[Row[Any]], bool]:
    """Return what a window of an index gives, and whether that is the page."""

    def way(asked: _Asked) -> walk.Walk:
        found = walk.of(request, asked.criteria, asked.place)
        assert found is not None  # noqa: S101 - so it was with the values
        return found

    def rows_of(look: Look, _: Mapping[str, Any]) -> Sequence[Row[Any]]:
        def build(asked: _Asked) -> Select[Any]:
            return way(asked).page(visibility, window, look)

        question = prepare.Question("search walk", (*fixed, look), asked)
        return prepare.run(session, visibility, question, build, plan).all()

    fixed, plan = (_fixed(request), window), Plan.ANY_VALUES
    page = looks.first_that_tells(looks.at_page(session, visibility, request.types, request.count), rows_of)
    if len(page) > request.count or way(asked).is_partial:
        return page, len(page) > request.count
    question = prepare.Question("search walked", fixed, asked)
    count = prepare.run(session, visibility, question, lambda asked: way(asked).looked_at(window), plan).scalar_one()
    return page, int(count) < window


def _further_pages(
    place: cursor.Place, ends: Sequence[cursor.Position], sealing: Mapping[str, Any], *, more: bool
) -> tuple[str | None, str | None, str | None]:
    """Return the cursors of the next page, the page before and the last, each None where there is none.

    Args:
        place: Where this page is.
        ends: Position of its first row and of its last; none of an empty page.
        sealing: How cursors are sealed.
        more: Whether there are further rows in the direction in which it was read.
    """
    if not ends:
        return None, None, None
    earlier = more if place.backwards else place.position
    later = place.way is cursor.Way.BEFORE if place.backwards else more
    following = cursor.seal(cursor.Place(cursor.Way.AFTER, ends[1]), **sealing) if later else None
    previous = cursor.seal(cursor.Place(cursor.Way.BEFORE, ends[0]), **sealing) if earlier else None
    last = cursor.seal(cursor.Place(cursor.Way.END), **sealing) if earlier or later else None
    return following, previous, last


_CUT = (
    Issue(
        "warning",
        "incomplete",
        f"More than {INCLUDED_LIMIT} resources would be included, or some {HOPS_LIMIT} hops away; "
        "the rest was left out. "
        "Ask for smaller pages with _count.",
    ),
)


def statement_of(
    session: Session, visibility: Visibility, request: SearchRequest
) -> tuple[Select[Any], Mapping[str, Any]]:
    """Return the statement that the first page of a search is looked for with first, and the values that it needs."""
    way = walk.of(request, request.criteria, cursor.Place())
    if way is not None:
        return way.page(visibility, walk.WINDOWS[0]), visibility.parameters()
    look, more = _looks(session, visibility, request)[0]
    statement = _statement(visibility, request, _Asked(request.criteria), look, of_one=bool(more))
    return statement, {**visibility.parameters(), **more}


def count(session: Session, visibility: Visibility, request: SearchRequest) -> int:
    """Return how many rows match, of those that exist for the visibility."""
    look = Look.WIDE if session.is_postgresql and not is_narrow(request.criteria) else Look.EXACT

    def build(asked: _Asked) -> Select[Any]:
        row = readable(visibility, request.types, look=look)
        scope = _scope(visibility, request)
        return select(func.count()).select_from(row).where(*all_of(row, scope, asked.criteria))

    question = prepare.Question("search count", request.types, _Asked(request.criteria))
    return int(prepare.run(session, visibility, question, build, _plan(request)).scalar_one())


def find(
    session: Session,
    visibility: Visibility,
    resource_type: str,
    criteria: Sequence[tuple[str, str]],
    *,
    definitions: Definitions,
    fhir_base: str,
    limit: int = 2,
) -> list[Found]:
    """Return the resources that meet the criteria of a conditional interaction, at most `limit`.

    Raises:
        FhirError: 400 when a criterion is not understood, or there is none, which would meet every resource.
    """
    terms = Terminology(definitions, fhir_base, session, visibility)
    request = parse(definitions, resource_type, criteria, fhir_base=fhir_base, terms=terms)
    if not request.criteria:
        raise FhirError(Kind.INVALID_VALUE, "A conditional request needs at least one search parameter with a value")
    named = dict(request.understood)
    inside = named.get("_contained", "false") != "false"
    # The order that a search has without `_sort` is the server's own, not something that was asked for.
    if request.includes or "_sort" in named or request.cursor or request.projection or inside:
        what = syntax.shown(", ".join(name for name, _ in criteria if name.startswith("_")))
        raise FhirError(Kind.INVALID_VALUE, f"A conditional request takes criteria only, not {what}")

    def build(asked: _Asked) -> Select[Any]:
        row = readable(visibility, request.types)
        found = select(row.c.key, row.c.id, row.c.version).where(*all_of(row, Scope(visibility), asked.criteria))
        return found.order_by(row.c.key + 0).limit(limit)

    question = prepare.Question("search find", (request.types, limit), _Asked(request.criteria))
    records = prepare.run(session, visibility, question, build)
    return [Found(record.key, record.id, record.version) for record in records]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What varies between pages of one shape."""

    criteria: tuple[Criterion, ...]
    position: cursor.Position = value_field(default=())  # noqa: RUF009 - makes a field
    backwards: bool = False

    @property
    def place(self) -> cursor.Place:
        """Return the place of the page, its values as they stand in the statement."""
        return cursor.Place(cursor.Way.BEFORE if self.backwards else cursor.Way.AFTER, self.position)


def _fixed(request: SearchRequest) -> tuple[Hashable, ...]:
    """Return what the text of a page's statement depends on, beside criteria and position."""
    order = tuple((key.code, tuple(each.key for each in key.parameters), key.descending) for key in request.sort)
    return request.types, order, request.count


def _statement(
    visibility: Visibility, request: SearchRequest, asked: _Asked, look: Look, *, of_one: bool = False
) -> Select[Any]:
    """Return the statement of one page and one row more, which tells whether there is another page."""
    row = readable(visibility, request.types, look=look, of_one=of_one)
    keys = order_keys(row, request, asked.criteria)
    if asked.backwards:
        keys = tuple(key.reversed() for key in keys)
    scores = [text.score(row, asked.criteria)] if text.is_scored(asked.criteria) else []
    later = [after(keys, asked.position)] if asked.position else []
    settled = [row.c.settled] if look is Look.LIKELY else []
    orders = [key.expression.label(f"order_{number}") for number, key in enumerate(keys)]
    return (
        select(*row_columns(row), *scores, *settled, *orders)
        .where(*all_of(row, _scope(visibility, request), asked.criteria), *later)
        .order_by(*(key.clause() for key in keys))
        .limit(request.count + 1)
    )


def _scope(visibility: Visibility, request: SearchRequest) -> Scope:
    """Return where criteria reach to, and whether all but the leading one are looked up row by row.

    So they are, too, where there are many: databases take long to think about the order of as many joins.
    """
    return Scope(visibility, is_narrow(request.criteria) or count_of(request.criteria) > _JOINED_LIMIT)


def _plan(request: SearchRequest) -> Plan:
    """Return how PostgreSQL is to plan: once where what leads is selective whatever its value, else for the values."""
    tests = [each.test for each in request.criteria if isinstance(each, Indexed)]
    is_selective = any(isinstance(test, StartsWith) and test.is_selective for test in tests)
    return Plan.ANY_VALUES if is_selective or is_narrow(request.criteria) else Plan.THESE_VALUES


def _bound(request: SearchRequest) -> tuple[tuple[str, str], ...]:
    return (("", request.resource_type), *request.understood)
