"""Each index shape answers what a brute-force reading of the resources answers, on both databases."""

import calendar
import random
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.syntax import PREFIXES
from tests.databases import Databases
from tests.search.world import World

Json = dict[str, Any]
Span = tuple[float, float]

_RANDOM = random.Random(20_260_101)
_FAMILIES = ["Smith", "SMITHERS", "O'Brien", "Müller", "Mu\u0308ller", "Çelik", "smi", "Ann-Marie", "50% off_", "Ωμέγα"]
_SYSTEMS = ["http://a.test", "http://b.test", None]
_CODES = ["x", "X", "y", "y,z", "z|1", "p$q", "b\\s"]
_YEARS = [
    "2019",
    "2020",
    "2020-02",
    "2020-02-29",
    "2020-02-29T12:00:00Z",
    "2020-02-29T12:00:00.250+01:00",
    "2020-03-01",
]
_NUMBERS = ["0", "1", "1.0", "1.5", "2", "-3", "99.5", "100", "0.004", "1e2", "100.00"]


def _observation(number: int) -> Json:
    resource: Json = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "t"}}
    kind = _RANDOM.randrange(5)
    if kind < 3:
        resource["effectiveDateTime"] = _RANDOM.choice(_YEARS)
    elif kind == 3:
        ends = sorted(_RANDOM.sample(_YEARS, 2), key=_span)
        period = {"start": ends[0], "end": ends[1]}
        period.pop(_RANDOM.choice(["start", "end", "none"]), None)
        resource["effectivePeriod"] = period
    codings = [
        {key: value for key, value in (("system", _RANDOM.choice(_SYSTEMS)), ("code", _RANDOM.choice(_CODES))) if value}
        for _ in range(_RANDOM.randrange(3))
    ]
    if codings:
        resource["category"] = [{"coding": codings}]
    if _RANDOM.random() < 0.8:
        resource["valueQuantity"] = {"value": Decimal(_RANDOM.choice(_NUMBERS)), "unit": "mg"}
    return resource


def _patient(number: int) -> Json:
    names = [{"family": _RANDOM.choice(_FAMILIES)} for _ in range(_RANDOM.randrange(3))]
    return {"resourceType": "Patient", "id": f"p{number}", **({"name": names} if names else {})}


def _span(text: str) -> Span:
    """Read a date as the time it covers, in seconds."""
    if "T" in text:
        moment = datetime.fromisoformat(text).astimezone(UTC)
        return moment.timestamp(), moment.timestamp() + (0.001 if "." in text else 1)
    parts = [int(part) for part in text.split("-")]
    year, month, day = (*parts, 1, 1)[:3]
    start = datetime(year, month, day, tzinfo=UTC)
    days = [366 if calendar.isleap(year) else 365, calendar.monthrange(year, month)[1], 1][len(parts) - 1]
    return start.timestamp(), (start + timedelta(days=days)).timestamp()


OBSERVATIONS = [_observation(number) for number in range(120)]
PATIENTS = [_patient(number) for number in range(60)]


def _build(url: str) -> None:
    world = World(url)
    world.add([*OBSERVATIONS, *PATIENTS])
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-laws", _build))
    yield made
    made.close()


def _expect(world: World, query: tuple[str, str], of: list[Json], holds: Callable[[Json], bool]) -> None:
    found = world.ids(of[0]["resourceType"], query, ("_count", "1000"))
    assert sorted(found) == sorted(each["id"] for each in of if holds(each)), query


def _effective(resource: Json) -> Span | None:
    if "effectiveDateTime" in resource:
        return _span(resource["effectiveDateTime"])
    if period := resource.get("effectivePeriod"):
        start = _span(period["start"])[0] if "start" in period else float("-inf")
        return start, _span(period["end"])[1] if "end" in period else float("inf")
    return None


def _date_holds(prefix: str, value: Span, target: Span) -> bool:
    """https://hl7.org/fhir/R4/search.html#prefix, as the words have it."""
    contains = value[0] <= target[0] and target[1] <= value[1]
    above, below = target[1] > value[1], target[0] < value[0]
    return {
        "eq": contains,
        "ne": not contains,
        "gt": above,
        "lt": below,
        "ge": above or contains,
        "le": below or contains,
        "sa": target[0] >= value[1],
        "eb": target[1] <= value[0],
    }[prefix]


def test_a_date_search_compares_intervals_as_the_prefix_table_says(world: World) -> None:
    @given(prefix=st.sampled_from([p for p in PREFIXES if p != "ap"]), text=st.sampled_from(_YEARS))
    def law(prefix: str, text: str) -> None:
        def holds(resource: Json) -> bool:
            target = _effective(resource)
            return target is not None and _date_holds(prefix, _span(text), target)

        _expect(world, ("date", prefix + text), OBSERVATIONS, holds)

    law()


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFD", text.casefold())
    return "".join(each for each in folded if unicodedata.category(each)[0] not in "MP")


def test_a_string_search_ignores_case_accents_and_punctuation(world: World) -> None:
    pieces = st.sampled_from(_FAMILIES).flatmap(lambda name: st.integers(1, len(name)).map(lambda end: name[:end]))

    @given(text=pieces, modifier=st.sampled_from(["", ":exact", ":contains"]), upper=st.booleans())
    def law(text: str, modifier: str, *, upper: bool) -> None:
        wanted = text.upper() if upper else text

        def holds(resource: Json) -> bool:
            families = [name["family"] for name in resource.get("name", ())]
            if modifier == ":exact":
                return wanted in families
            folded = _plain(wanted)
            # The words of a family name are found by themselves, too; none here has more than two.
            families += [family.replace("-", " ").partition(" ")[2] for family in families]
            return any(
                folded in _plain(family) if modifier else _plain(family).startswith(folded) for family in families
            )

        if _plain(wanted).strip():
            _expect(world, (f"family{modifier}", wanted), PATIENTS, holds)

    law()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")


def test_a_token_search_compares_system_and_code(world: World) -> None:
    form = st.sampled_from(["code", "system|code", "|code", "system|"])
    pairs = st.lists(st.tuples(form, st.sampled_from(_SYSTEMS[:2]), st.sampled_from(_CODES)), min_size=1, max_size=3)

    def one(form: str, system: str, code: str, coding: Json) -> bool:
        same: bool = coding["code"].casefold() == code.casefold()
        found: dict[str, bool] = {
            "code": same,
            "system|code": same and coding.get("system") == system,
            "|code": same and "system" not in coding,
            "system|": coding.get("system") == system,
        }
        return found[form]

    @given(alternatives=pairs, negated=st.booleans())
    def law(alternatives: list[tuple[str, str, str]], *, negated: bool) -> None:
        texts = [
            form.replace("code", "\0").replace("system", system).replace("\0", _escaped(code))
            for form, system, code in alternatives
        ]

        def holds(resource: Json) -> bool:
            codings = [each for concept in resource.get("category", ()) for each in concept["coding"]]
            return any(one(*each, coding) for each in alternatives for coding in codings) is not negated

        _expect(world, ("category:not" if negated else "category", ",".join(texts)), OBSERVATIONS, holds)

    law()


def test_a_quantity_search_takes_significant_figures_into_account(world: World) -> None:
    @given(prefix=st.sampled_from([p for p in PREFIXES if p != "ap"]), text=st.sampled_from(_NUMBERS))
    def law(prefix: str, text: str) -> None:
        number = Decimal(text)
        exponent = int(number.as_tuple().exponent)
        half = Decimal(5).scaleb(exponent - (2 if exponent > 0 else 1))

        def holds(resource: Json) -> bool:
            if "valueQuantity" not in resource:
                return False
            value = resource["valueQuantity"]["value"]
            near: bool = number - half <= value < number + half
            found: dict[str, bool] = {
                "eq": near,
                "ne": not near,
                "gt": value > number,
                "sa": value > number,
                "lt": value < number,
                "eb": value < number,
                "ge": value >= number,
                "le": value <= number,
            }
            return found[prefix]

        _expect(world, ("value-quantity", prefix + text), OBSERVATIONS, holds)

    law()


def test_missing_and_present_divide_all_resources(world: World) -> None:
    for code in ("date", "category", "value-quantity", "subject", "combo-value-quantity"):
        there = set(world.ids("Observation", (f"{code}:missing", "false"), ("_count", "1000")))
        absent = set(world.ids("Observation", (f"{code}:missing", "true"), ("_count", "1000")))
        assert not there & absent
        assert len(there | absent) == len(OBSERVATIONS)


def test_pages_of_any_order_hold_every_match_once(world: World) -> None:
    @given(
        order=st.lists(st.sampled_from(["date", "category", "value-quantity", "_id", "_lastUpdated"]), max_size=3),
        descending=st.booleans(),
        size=st.integers(7, 50),
    )
    def law(order: list[str], size: int, *, descending: bool) -> None:
        sort = ",".join(("-" if descending else "") + code for code in dict.fromkeys(order))
        query = [("_sort", sort), ("_count", str(size))]
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page, _ = world.search("Observation", [*query, ("_cursor", cursor)])
            found += [row.id for row in page.matches]
            cursor = page.next_cursor
        assert len(found) == len(OBSERVATIONS)
        assert found == world.ids("Observation", ("_sort", sort), ("_count", "1000"))
        assert len(set(found)) == len(found)

    law()
