"""Numbers and quantities are compared as a brute-force reading of the resources does, in every unit, on both databases.

https://hl7.org/fhir/R4/search.html#number, #quantity, #prefix.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.syntax import PREFIXES
from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import World

Json = dict[str, Any]

UCUM = "http://unitsofmeasure.org"
_OTHER = "http://units.test"
_RANDOM = random.Random(20_260_404)

# What a unit measures, and how its values become base units: (value + offset) * factor.
_UNITS: Mapping[str, tuple[str, Fraction, Fraction]] = {
    code: (kind, Fraction(factor), Fraction(offset))
    for code, kind, factor, offset in (
        ("g", "mass", "1", "0"),
        ("mg", "mass", "1/1000", "0"),
        ("kg{dry}", "mass", "1000", "0"),
        ("mmol/L", "concentration", "1", "0"),
        ("umol/L", "concentration", "1/1000", "0"),
        ("mg/dL", "mass concentration", "10", "0"),
        ("h", "time", "3600", "0"),
        ("min", "time", "60", "0"),
        ("Cel", "temperature", "1", "273.15"),
        ("[degF]", "temperature", "5/9", "459.67"),
        ("[iU]", "IU", "1", "0"),
        ("k[iU]", "IU", "1000", "0"),
        ("[arb'U]", "arbitrary", "1", "0"),
        ("{score}", "number", "1", "0"),
        ("%", "number", "1/100", "0"),
        ("no unit", "no unit", "1", "0"),
    )
}
_NUMBERS = (
    *("0", "1", "1.0", "2", "0.5", "5", "5.0", "5.4", "500", "5400", "60", "120", "100", "100.00", "1e2", "1E-1"),
    *("37", "37.0", "98.6", "-40", "-40.0", "-1.5", "0.004", "0.0054", "0.1", "1000", "1.5e3", "-0", "5e-3"),
)


@dataclass(frozen=True)
class _Stored:
    """What a resource says: an interval (None without end, `is_open` without its one end), in a unit."""

    low: Decimal | None
    high: Decimal | None
    is_open: bool = False
    system: str | None = None
    code: str | None = None
    unit: str | None = None


def _unit() -> tuple[str | None, str | None, str | None]:
    code = _RANDOM.choice(list(_UNITS))
    match _RANDOM.randrange(6):
        case 0:
            return None, None, code
        case 1:
            return _OTHER, code, None
        case _:
            return UCUM, code, None


def _measure(stored: _Stored, comparator: str | None = None) -> Json:
    amount = stored.low if stored.low is not None else stored.high
    parts = {"value": amount, "comparator": comparator}
    unit = {"unit": stored.unit, "system": stored.system, "code": stored.code}
    return {name: part for name, part in {**parts, **unit}.items() if part is not None}


def _observation(number: int) -> tuple[Json, _Stored]:
    amount = Decimal(_RANDOM.choice(_NUMBERS))
    comparator = _RANDOM.choice([None, None, None, "<", "<=", ">", ">="])
    low = None if comparator in {"<", "<="} else amount
    high = None if comparator in {">", ">="} else amount
    stored = _Stored(low, high, comparator in {"<", ">"}, *_unit())
    resource = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "t"}}
    return {**resource, "valueQuantity": _measure(stored, comparator)}, stored


def _condition(number: int) -> tuple[Json, _Stored]:
    ends: list[Decimal | None] = [*sorted(Decimal(_RANDOM.choice(_NUMBERS)) for _ in range(2))]
    ends[_RANDOM.randrange(2)] = None if _RANDOM.random() < 0.3 else ends[0]
    if ends[0] is not None and ends[1] is not None:
        ends.sort()
    stored = _Stored(ends[0], ends[1], False, *_unit())
    resource: Json = {"resourceType": "Condition", "id": f"c{number}", "subject": {"reference": "Patient/p"}}
    limits = {"low": _Stored(ends[0], None), "high": _Stored(None, ends[1])}
    unit = (stored.system, stored.code, stored.unit)
    resource["onsetRange"] = {
        name: _measure(_Stored(end.low, end.high, False, *unit))
        for name, end in limits.items()
        if (end.low, end.high) != (None, None)
    }
    return resource, stored


def _risk(number: int) -> tuple[Json, _Stored]:
    amount = Decimal(_RANDOM.choice(_NUMBERS))
    resource = {"resourceType": "RiskAssessment", "id": f"r{number}", "status": "final"}
    return {**resource, "prediction": [{"probabilityDecimal": amount}]}, _Stored(amount, amount)


OBSERVATIONS = [_observation(number) for number in range(250)]
CONDITIONS = [_condition(number) for number in range(120)]
RISKS = [_risk(number) for number in range(60)]


def _build(url: str) -> None:
    world = World(url)
    world.add(resource for resource, _ in (*OBSERVATIONS, *CONDITIONS, *RISKS))
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("quantity-laws", _build))
    yield made
    made.close()


def _figures(text: str) -> tuple[Fraction, Fraction]:
    """Return the range that a number stands for: half a unit of its last figure to both sides, of `1e2` five."""
    exponent = int(Decimal(text).as_tuple().exponent)
    half = Fraction(10) ** exponent / (20 if exponent > 0 else 2)
    return Fraction(Decimal(text)) - half, Fraction(Decimal(text)) + half


def _base(value: Decimal | Fraction | None, code: str | None) -> Fraction | None:
    _, factor, offset = _UNITS[code or "no unit"]
    return None if value is None else (Fraction(value) + offset) * factor


def _holds(prefix: str, text: str, stored: _Stored, code: str | None) -> bool:
    """Compare as the table of prefixes has it; with a code, both in base units."""
    its = code and stored.code
    low, high = _base(stored.low, its), _base(stored.high, its)
    exact = _base(Decimal(text), code)
    start, end = (_base(each, code) for each in _figures(text))
    assert exact is not None
    assert start is not None
    assert end is not None
    within = low is not None and high is not None and start <= low and high < end
    # An end that is not of the interval is passed by whatever is there, never reached.
    least_above = low is not None and (low >= exact if stored.is_open else low > exact)
    greatest_below = high is not None and (high <= exact if stored.is_open else high < exact)
    match prefix:
        case "eq" | "ne":
            return within is (prefix == "eq")
        case "gt":
            return high is None or high > exact
        case "ge":
            return high is None or (high > exact if stored.is_open else high >= exact)
        case "lt":
            return low is None or low < exact
        case "le":
            return low is None or (low < exact if stored.is_open else low <= exact)
        case "sa":
            return least_above
        case "eb":
            return greatest_below
        case _:
            margin = abs(Fraction(Decimal(text))) / 10
            from_, to = _figures(text)
            wide = min(from_, Fraction(Decimal(text)) - margin), max(to, Fraction(Decimal(text)) + margin)
            from_base, to_base = (_base(each, code) for each in wide)
            assert from_base is not None
            assert to_base is not None
            reaches = high is None or (high > from_base if stored.is_open else high >= from_base)
            return reaches and (low is None or (low < to_base if stored.is_open else low <= to_base))


def _found(world: World, kind: str, name: str, value: str) -> list[str]:
    return sorted(world.ids(kind, (name, value), ("_count", "1000")))


def _expected(of: list[tuple[Json, _Stored]], prefix: str, text: str, unit: str) -> list[str]:
    """Return the ids that a search for the number in a unit, as written after it, finds."""
    found = []
    for resource, stored in of:
        system, _, code = unit.removeprefix("|").partition("|")
        if not unit:
            holds = _holds(prefix, text, stored, None)
        elif not system:
            holds = code in {stored.code, stored.unit} and _holds(prefix, text, stored, None)
        elif not code:
            holds = stored.system == system and _holds(prefix, text, stored, None)
        elif system == UCUM and code != "no unit":
            same = stored.system == UCUM and _UNITS[stored.code or "no unit"][0] == _UNITS[code][0]
            holds = same and _holds(prefix, text, stored, code)
        else:
            holds = (stored.system, stored.code) == (system, code) and _holds(prefix, text, stored, None)
        if holds:
            found.append(resource["id"])
    return sorted(found)


_PREFIXES = st.sampled_from(PREFIXES)
_TEXTS = st.sampled_from(_NUMBERS)
_SEARCHED = st.sampled_from(
    ["", "||mg", f"|{UCUM}|", f"|{_OTHER}|mg", f"|{UCUM}|no unit", *(f"|{UCUM}|{code}" for code in _UNITS)]
)


def test_a_quantity_search_finds_commensurable_values_and_no_others(world: World) -> None:
    @given(prefix=_PREFIXES, text=_TEXTS, unit=_SEARCHED)
    def law(prefix: str, text: str, unit: str) -> None:
        value = f"{prefix}{text}{unit}"
        assert _found(world, "Observation", "value-quantity", value) == _expected(OBSERVATIONS, prefix, text, unit)

    law()


def test_a_range_is_compared_with_both_ends_in_base_units(world: World) -> None:
    @given(prefix=_PREFIXES, text=_TEXTS, unit=_SEARCHED)
    def law(prefix: str, text: str, unit: str) -> None:
        value = f"{prefix}{text}{unit}"
        assert _found(world, "Condition", "onset-age", value) == _expected(CONDITIONS, prefix, text, unit)

    law()


def test_a_number_search_takes_significant_figures_into_account(world: World) -> None:
    @given(prefix=_PREFIXES, text=_TEXTS)
    def law(prefix: str, text: str) -> None:
        assert _found(world, "RiskAssessment", "probability", prefix + text) == _expected(RISKS, prefix, text, "")

    law()


def test_alternatives_in_different_units_add_up(world: World) -> None:
    one, other = f"gt0.1|{UCUM}|g", "le60||min"
    both = {*_expected(OBSERVATIONS, "gt", "0.1", f"|{UCUM}|g"), *_expected(OBSERVATIONS, "le", "60", "||min")}
    assert _found(world, "Observation", "value-quantity", f"{one},{other}") == sorted(both)


def test_a_composite_converts_its_quantity(databases: Databases) -> None:
    made = World(databases.empty())
    code = {"coding": [{"system": "http://a.test", "code": "c"}]}
    for name, value, unit in (("a", "500", "mg"), ("b", "0.5", "g"), ("c", "0.5", "mmol")):
        amount = {"value": Decimal(value), "system": UCUM, "code": unit}
        resource = {"resourceType": "Observation", "id": name, "status": "final", "code": code}
        made.add([{**resource, "valueQuantity": amount}])
    assert _found(made, "Observation", "code-value-quantity", f"c$0.5|{UCUM}|g") == ["a", "b"]
    made.close()


def test_quantities_are_sorted_in_base_units(databases: Databases) -> None:
    made = World(databases.empty())
    weights = (("a", "2", "kg"), ("b", "900", "mg"), ("c", "30", "g"), ("d", "1", "[lb_av]"))
    for name, value, unit in weights:
        amount = {"value": Decimal(value), "system": UCUM, "code": unit}
        resource = {"resourceType": "Observation", "id": name, "status": "final", "code": {"text": "t"}}
        made.add([{**resource, "valueQuantity": amount}])
    assert made.ids("Observation", ("_sort", "value-quantity")) == ["b", "c", "d", "a"]
    assert made.ids("Observation", ("_sort", "-value-quantity")) == ["a", "d", "c", "b"]
    made.close()


def test_sampled_data_is_the_range_of_its_points(databases: Databases) -> None:
    made = World(databases.empty())
    data = {"inside": "1 2 E 3 -4.5", "above": "1 U", "below": "L 2.5", "none": "E E", "beyond": "U U"}
    for name, points in data.items():
        origin = {"value": 2, "system": UCUM, "code": "mV"}
        sampled = {"origin": origin, "period": 10, "factor": Decimal("1.5"), "dimensions": 1, "data": points}
        resource = {"resourceType": "Observation", "id": name, "status": "final", "code": {"text": "t"}}
        made.add([{**resource, "valueSampledData": {**sampled, "upperLimit": 100}}])
    # The points of `inside` lie from -4.75 to 6.5 mV.
    assert _found(made, "Observation", "value-quantity", f"gt0.007|{UCUM}|V") == ["above", "beyond"]
    assert _found(made, "Observation", "value-quantity", f"sa-4.76|{UCUM}|mV") == ["above", "beyond", "inside"]
    assert _found(made, "Observation", "value-quantity", f"eb6.6|{UCUM}|mV") == ["below", "inside"]
    assert _found(made, "Observation", "value-quantity:missing", "true") == ["none"]
    made.close()


def test_money_is_compared_within_its_currency(databases: Databases) -> None:
    made = World(databases.empty())
    for name, currency in (("a", "GBP"), ("b", "EUR")):
        resource = {"resourceType": "Invoice", "id": name, "status": "issued"}
        made.add([{**resource, "totalNet": {"value": Decimal("12.50"), "currency": currency}}])
    assert _found(made, "Invoice", "totalnet", "12.50|urn:iso:std:iso:4217|GBP") == ["a"]
    assert _found(made, "Invoice", "totalnet", "12.50||EUR") == ["b"]
    made.close()


@pytest.mark.parametrize("code", ["zork", "mg//", "{", "m" * 200, "(" * 120, "10*99.10*99.10*99", "µg"])
def test_a_unit_that_ucum_does_not_know_is_stored_and_compared_as_written(databases: Databases, code: str) -> None:
    made = World(databases.empty())
    resource = {"resourceType": "Observation", "id": "a", "status": "final", "code": {"text": "t"}}
    made.add([{**resource, "valueQuantity": {"value": 5, "system": UCUM, "code": code}}])
    assert _found(made, "Observation", "value-quantity", f"5|{UCUM}|{code}") == ["a"]
    assert _found(made, "Observation", "value-quantity", f"5|{UCUM}|mg") == []
    made.close()


@pytest.mark.parametrize("value", ["1e300", "-1e300", "1e-300", "9" * 64, "0.1234567890123456789012345678901234567890"])
def test_any_number_can_be_stored_and_found_in_its_unit(databases: Databases, value: str) -> None:
    made = World(databases.empty())
    resource = {"resourceType": "Observation", "id": "a", "status": "final", "code": {"text": "t"}}
    made.add([{**resource, "valueQuantity": {"value": Decimal(value), "system": UCUM, "code": "mg"}}])
    assert _found(made, "Observation", "value-quantity", f"ge{value}|{UCUM}|mg") == ["a"]
    assert _found(made, "Observation", "value-quantity", f"gt{value}|{UCUM}|mg") == []
    made.close()


@pytest.mark.parametrize("value", ["x", "5|a|b|c", "gtx|a|b", "+5", ".5", "5.", "0x1", "NaN", "1e999", "\u0661"])
def test_what_is_no_quantity_is_refused_by_name(world: World, value: str) -> None:
    with pytest.raises(FhirError, match="value-quantity"):
        world.ids("Observation", ("value-quantity", value))
