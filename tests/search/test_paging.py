"""Pages: in an order that brute force confirms, forwards and backwards, each match once, also while others write."""

import random
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.bundle import searchset
from fhir_server.search.model import SearchPage
from fhir_server.spec.json import decode
from fhir_server.spec.outcome import FhirError
from fhir_server.store.keys import reference_key
from tests.databases import Databases
from tests.search.world import BASE, World

Json = dict[str, Any]
Query = list[tuple[str, str]]

_RANDOM = random.Random(20_261_123)
_DAYS = ["2019-01-01", "2019-06-01", "2020-02-29", "2020-03-01", "2021-12-31"]
_CODES = ["a", "B", "c"]


def _observation(number: int) -> Json:
    codes = sorted({_RANDOM.choice(_CODES) for _ in range(_RANDOM.randrange(3))})
    found: Json = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "t"}}
    if codes:
        found["category"] = [{"coding": [{"code": code}]} for code in codes]
    if _RANDOM.random() < 0.75:
        found["effectiveDateTime"] = _RANDOM.choice(_DAYS)
    if _RANDOM.random() < 0.75:
        found["valueQuantity"] = {"value": _RANDOM.randrange(-3, 4)}
    return found


OBSERVATIONS = [_observation(number) for number in range(60)]


def _build(url: str) -> None:
    world = World(url)
    world.add(OBSERVATIONS)
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-paging", _build))
    yield made
    made.close()


def _values(resource: Json, code: str) -> list[Any]:
    match code:
        case "_id":
            return [resource["id"]]
        case "category":
            return [each["coding"][0]["code"].casefold() for each in resource.get("category", ())]
        case "date":
            return [resource["effectiveDateTime"]] if "effectiveDateTime" in resource else []
        case _:
            return [resource["valueQuantity"]["value"]] if "valueQuantity" in resource else []


def _ordered(keys: list[tuple[str, bool]]) -> list[str]:
    """Sort by the least value ascending, the greatest descending; missing ones last, equal ones by key, as the last."""
    found = sorted(OBSERVATIONS, key=lambda each: reference_key("Observation", each["id"]))
    if keys and keys[-1][1]:
        found.reverse()
    for code, descending in reversed(keys):
        there = [(max if descending else min)(_values(each, code)) for each in found if _values(each, code)]
        present = [each for each in found if _values(each, code)]
        # Sorting in reverse keeps equal ones in their order.
        ranked = sorted(zip(there, present, strict=True), key=lambda pair: pair[0], reverse=descending)
        found = [*(each for _, each in ranked), *(each for each in found if not _values(each, code))]
    return [each["id"] for each in found]


def _page(world: World, query: Query, cursor: str | None = None) -> SearchPage:
    page, _ = world.search("Observation", [*query, ("_cursor", cursor or "")])
    return page


def _ids(page: SearchPage) -> list[str]:
    return [row.id for row in page.matches]


def _walk(world: World, query: Query, page: SearchPage, way: str) -> list[list[str]]:
    pages = [_ids(page)]
    while (cursor := getattr(page, way)) is not None:
        page = _page(world, query, cursor)
        pages.append(_ids(page))
    return pages


_SORTS = st.lists(
    st.tuples(st.sampled_from(["date", "category", "value-quantity", "_id"]), st.booleans()),
    max_size=3,
    unique_by=lambda key: key[0],
)


def test_pages_of_any_order_are_what_brute_force_sorts(world: World) -> None:
    @given(keys=_SORTS, size=st.integers(5, 40))
    def law(keys: list[tuple[str, bool]], size: int) -> None:
        sort = ",".join(("-" if descending else "") + code for code, descending in keys)
        query = [("_sort", sort), ("_count", str(size))]
        expected = _ordered(keys or [("date", True)])
        first = _page(world, query)
        forwards = _walk(world, query, first, "next_cursor")
        assert list(chain.from_iterable(forwards)) == expected
        last = _page(world, query, first.last_cursor)
        assert _ids(last) == expected[-size:]
        backwards = _walk(world, query, last, "previous_cursor")
        assert list(chain.from_iterable(reversed(backwards))) == expected
        assert [len(page) for page in forwards[:-1]] == [size] * (len(forwards) - 1)

    law()


def test_a_page_back_is_the_page_that_one_came_from(world: World) -> None:
    query = [("_sort", "-date,category"), ("_count", "7")]
    first = _page(world, query)
    second = _page(world, query, first.next_cursor)
    third = _page(world, query, second.next_cursor)
    back = _page(world, query, third.previous_cursor)
    assert _ids(back) == _ids(second)
    assert _ids(_page(world, query, back.next_cursor)) == _ids(third)
    assert _ids(_page(world, query, back.previous_cursor)) == _ids(first)
    assert _page(world, query, back.previous_cursor).previous_cursor is None


def test_no_match_is_lost_or_doubled_while_others_write(databases: Databases) -> None:
    world = World(databases.empty())
    world.add(OBSERVATIONS[:30])
    for attempt, sort in enumerate(("date,-value-quantity", "-date", "", "category")):
        query = [("_sort", sort), ("_count", "4")]
        page = _page(world, query)
        found = _ids(page)
        for number in range(100):
            world.add([{**_RANDOM.choice(OBSERVATIONS), "id": f"w{attempt}-{number}"}])
            if page.next_cursor is None:
                break
            page = _page(world, query, page.next_cursor)
            found += _ids(page)
        assert len(set(found)) == len(found)
        assert {each["id"] for each in OBSERVATIONS[:30]} <= set(found)
        back = [_id for ids in _walk(world, query, page, "previous_cursor") for _id in ids]
        assert len(set(back)) == len(back)
        assert set(found) <= set(back)
    world.close()


def test_links_lead_to_every_other_page(world: World) -> None:
    def links(query: Query) -> dict[str, str]:
        page, request = world.search("Observation", query)
        bundle = decode(searchset(page, request, fhir_base=BASE, path="Observation"), 1_000_000)
        return {link["relation"]: link["url"] for link in bundle["link"]}

    query = [("_count", "25"), ("_sort", "-date")]
    first = links(query)
    assert list(first) == ["self", "first", "next", "last"]
    assert first["first"] == first["self"] == f"{BASE}/Observation?_count=25&_sort=-date"
    middle = links([*query, ("_cursor", first["next"].partition("_cursor=")[2])])
    assert list(middle) == ["self", "first", "previous", "next", "last"]
    assert middle["self"] == first["next"]
    last = links([*query, ("_cursor", middle["last"].partition("_cursor=")[2])])
    assert list(last) == ["self", "first", "previous", "last"]
    assert list(links([("_count", "100")])) == ["self"]


def test_a_cursor_of_any_direction_serves_its_own_query_only(world: World) -> None:
    query = [("_sort", "date"), ("_count", "5")]
    second = _page(world, query, _page(world, query).next_cursor)
    for cursor in (second.next_cursor, second.previous_cursor, second.last_cursor):
        assert _page(world, query, cursor).matches
        for other in ([("_sort", "-date"), ("_count", "5")], [("_sort", "date")], []):
            with pytest.raises(FhirError, match="page link"):
                _page(world, other, cursor)
