"""Index shapes against a brute-force reading, over values that are drawn anew: dates, periods, URLs, references.

Each drawn query is asked of every drawn resource; in the nightly profile that is far beyond 10,000 pairs a shape on
either database.
"""

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.databases import Databases
from tests.search.test_laws import _date_holds, _span
from tests.search.world import BASE, World

Json = dict[str, Any]
Span = tuple[float, float]

_QUERIES = 1_500 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 60
_RANDOM = random.Random(20_261_123)
_FOREVER = (float("-inf"), float("inf"))
_ZONES = ["Z", "+00:00", "+01:00", "-05:00", "+05:30", "-11:00", "+14:00"]
_PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]
_PATHS = ["a", "b", "a/b", "a/b/c", "ab", "a/", "a/b/", "%", "a_b", "A", "a|1", "a|1.0", "a/b|2"]


def _date(drawn: random.Random) -> str:
    """Return a date around the turn of a year and of a leap February, at any precision, in any zone."""
    year = drawn.choice([2019, 2020])
    month, day = drawn.choice([(1, 1), (2, 28), (2, 1), (3, 1), (12, 31), (12, 30), (1, 31)])
    if (year, month) == (2020, 2) and drawn.random() < 0.5:
        day = 29
    text = f"{year}-{month:02}-{day:02}"
    match drawn.randrange(6):
        case 0:
            return text[:4]
        case 1:
            return text[:7]
        case 2:
            return text
    hour, minute, second = drawn.choice([(0, 0, 0), (23, 59, 59), (12, 30, 0), (5, 30, 15)])
    fraction = drawn.choice(["", "", ".000", ".999", ".5", ".123"])
    return f"{text}T{hour:02}:{minute:02}:{second:02}{fraction}{drawn.choice(_ZONES)}"


def _exact(text: str) -> Span:
    """Return the time that a text covers; a fraction covers its last digit."""
    low, high = _span(text)
    digits = len(text.partition(".")[2].rstrip("Z").partition("+")[0].partition("-")[0])
    return (low, low + 10.0**-digits) if digits else (low, high)


def _period(drawn: random.Random) -> tuple[Json, Span]:
    first, last = sorted((_date(drawn), _date(drawn)), key=lambda text: _exact(text)[0])
    (low, _), (_, high) = _exact(first), _exact(last)
    match drawn.randrange(4):
        case 0:
            return {"start": first}, (low, _FOREVER[1])
        case 1:
            return {"end": last}, (_FOREVER[0], high)
    return {"start": first, "end": last}, (low, max(high, _exact(first)[1]) if first == last else high)


def _dated(number: int) -> tuple[Json, Span]:
    resource: Json = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "t"}}
    match _RANDOM.randrange(5):
        case 0:
            period, span = _period(_RANDOM)
            return resource | {"effectivePeriod": period}, span
        case 1:
            events = [_date(_RANDOM) for _ in range(_RANDOM.randint(1, 3))]
            spans = [_exact(each) for each in events]
            return resource | {"effectiveTiming": {"event": events}}, (min(spans)[0], max(high for _, high in spans))
        case 2:
            period, span = _period(_RANDOM)
            return resource | {"effectiveTiming": {"repeat": {"boundsPeriod": period}}}, span
    text = _date(_RANDOM)
    low, high = _exact(text)
    # A fraction of a second makes it a point in time.
    return resource | {"effectiveDateTime": text}, (low, low + 1e-6) if "." in text else (low, high)


def _located(number: int) -> Json:
    url = f"http://x.test/{_RANDOM.choice(_PATHS)}" if _RANDOM.random() < 0.9 else "urn:x:a/b"
    return {"resourceType": "ValueSet", "id": f"v{number}", "url": url, "status": "active"}


def _referring(number: int) -> Json:
    made: Json = {"resourceType": "Task", "id": f"t{number}", "status": "draft", "intent": "order"}
    if _RANDOM.random() < 0.9:
        kind, logical_id = _RANDOM.choice(["Patient", "Group", "Device"]), _RANDOM.choice("abc")
        base = _RANDOM.choice(["", "", f"{BASE}/", "http://other.test/fhir/"])
        version = _RANDOM.choice(["", "", "/_history/1", "/_history/2"])
        made["focus"] = {"reference": f"{base}{kind}/{logical_id}{version}"}
    return made


DATED = [_dated(number) for number in range(300)]
LOCATED = [_located(number) for number in range(60)]
REFERRING = [_referring(number) for number in range(120)]


def _build(url: str) -> None:
    world = World(url)
    world.add([*(resource for resource, _ in DATED), *LOCATED, *REFERRING])
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-shape-laws", _build))
    yield made
    made.close()


def _found(world: World, kind: str, *query: tuple[str, str]) -> set[str]:
    return set(world.ids(kind, *query, ("_count", "1000")))


def test_dates_of_every_precision_zone_and_kind_are_compared_as_intervals(world: World) -> None:
    drawn = random.Random(1)
    for _ in range(_QUERIES):
        prefix, text = drawn.choice(_PREFIXES), _date(drawn)
        expected = {each["id"] for each, span in DATED if _date_holds(prefix or "eq", _exact(text), span)}
        assert _found(world, "Observation", ("date", prefix + text)) == expected, prefix + text


def test_dates_are_listed_and_repeated(world: World) -> None:
    drawn = random.Random(2)
    for _ in range(_QUERIES // 3):
        asked = [[(drawn.choice(_PREFIXES), _date(drawn)) for _ in range(drawn.randint(1, 3))] for _ in range(2)]
        query = [("date", ",".join(prefix + text for prefix, text in values)) for values in asked]
        expected = {
            each["id"]
            for each, span in DATED
            if all(any(_date_holds(p or "eq", _exact(text), span) for p, text in values) for values in asked)
        }
        assert _found(world, "Observation", *query) == expected, query


def _below(url: str, wanted: str) -> bool:
    if wanted.startswith("urn:"):
        return False
    further = wanted if wanted.endswith("/") else f"{wanted}/"
    versions = f"{wanted}." if "|" in wanted else f"{wanted}|"
    begins = url.startswith(versions) and (("|" in wanted) or not wanted.endswith("/"))
    return url == wanted or begins or ("|" not in wanted and url.startswith(further))


def test_urls_are_compared_to_the_letter_and_along_their_path(world: World) -> None:
    drawn = random.Random(3)
    for _ in range(max(_QUERIES // 3, 40)):
        wanted = drawn.choice([f"http://x.test/{drawn.choice(_PATHS)}", "urn:x:a/b", "http://x.test", "http://x.tes"])
        equal = {each["id"] for each in LOCATED if each["url"] == wanted}
        below = {each["id"] for each in LOCATED if _below(each["url"], wanted)}
        assert _found(world, "ValueSet", ("url", wanted)) == equal, wanted
        assert _found(world, "ValueSet", ("url:below", wanted)) == below, wanted


def _refers(resource: Json, asked: str, modifier: str) -> bool:
    text = resource.get("focus", {}).get("reference", "")
    local = text.removeprefix(f"{BASE}/")
    wanted = asked.removeprefix(f"{BASE}/")
    if not text:
        return False
    if "/" not in wanted:
        kind, _, rest = local.partition("/")
        return ":" not in local and rest.partition("/")[0] == wanted and modifier in {"", kind}
    return local == wanted or ("_history" not in wanted and local.startswith(f"{wanted}/_history/"))


def test_references_are_compared_by_type_id_version_and_server(world: World) -> None:
    drawn = random.Random(4)
    for _ in range(_QUERIES // 2):
        kind, logical_id = drawn.choice(["Patient", "Group", "Device"]), drawn.choice("abcd")
        modifier = drawn.choice(["", kind])
        base = drawn.choice(["", f"{BASE}/", "http://other.test/fhir/"])
        full = f"{base}{kind}/{logical_id}{drawn.choice(['', '/_history/1', '/_history/3'])}"
        asked = drawn.choice([logical_id, full]) if modifier else full
        if modifier and base.startswith("http://other"):
            continue
        expected = {each["id"] for each in REFERRING if _refers(each, asked, modifier)}
        name = f"focus:{modifier}" if modifier else "focus"
        assert _found(world, "Task", (name, asked)) == expected, (name, asked)
