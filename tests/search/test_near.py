"""`near` finds the places within a distance on the sphere (https://hl7.org/fhir/R4/location.html#search)."""

import math
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import World

Json = dict[str, Any]
Place = tuple[float, float]

_RANDOM = random.Random(20_260_405)
_EARTH_RADIUS_KM = 6371.0088


def _places() -> list[Place]:
    """Return places all over the world, around the poles and the date line, and close to each other in a town."""
    everywhere = [(math.degrees(math.asin(_RANDOM.uniform(-1, 1))), _RANDOM.uniform(-180, 180)) for _ in range(80)]
    poles = [(sign * _RANDOM.uniform(89, 90), _RANDOM.uniform(-180, 180)) for sign in (1, -1) for _ in range(8)]
    date_line = [(_RANDOM.uniform(-60, 60), sign * _RANDOM.uniform(179, 180)) for sign in (1, -1) for _ in range(15)]
    town = [(_RANDOM.uniform(51.4, 51.6), _RANDOM.uniform(-0.2, 0.1)) for _ in range(40)]
    corners = [(0.0, 0.0), (90.0, 0.0), (-90.0, 0.0), (0.0, 180.0), (0.0, -180.0)]
    return [
        (round(latitude, 6), round(longitude, 6)) for latitude, longitude in everywhere + poles + date_line + town
    ] + corners


PLACES = {f"l{number}": place for number, place in enumerate(_places())}


def _location(logical_id: str, latitude: float, longitude: float) -> Json:
    position = {"latitude": Decimal(str(latitude)), "longitude": Decimal(str(longitude))}
    return {"resourceType": "Location", "id": logical_id, "position": position}


def _build(url: str) -> None:
    world = World(url)
    world.add(_location(logical_id, *place) for logical_id, place in PLACES.items())
    world.add(
        [{"resourceType": "Location", "id": "nowhere"}, _location("impossible", 95, 10), _location("far", 1, 500)]
    )
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-near", _build))
    yield made
    made.close()


def _haversine_km(one: Place, other: Place) -> float:
    (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, place)) for place in (one, other))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * _EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))


def _found(world: World, value: str) -> set[str]:
    return set(world.ids("Location", ("near", value), ("_count", "1000")))


def test_what_is_within_the_great_circle_distance_is_found(world: World) -> None:
    anywhere = st.tuples(st.floats(-90, 90), st.floats(-180, 180)).map(
        lambda place: (round(place[0], 5), round(place[1], 5))
    )
    town = st.tuples(st.floats(51.4, 51.6), st.floats(-0.2, 0.1)).map(
        lambda place: (round(place[0], 5), round(place[1], 5))
    )
    centres = st.one_of(anywhere, town, st.sampled_from(list(PLACES.values())))
    units = st.sampled_from([("", 1), ("|km", 1), ("|m", 1_000), ("|[mi_i]", 1 / 1.609344), ("|[mi_us]", 3937 / 6336)])

    @given(centre=centres, distance_km=st.sampled_from([0.5, 3, 12, 80, 700, 5_000, 15_000, 30_000]), unit=units)
    def law(centre: Place, distance_km: float, unit: tuple[str, float]) -> None:
        distance = f"{distance_km * unit[1]:.9f}"
        value = f"{Decimal(str(centre[0])):f}|{Decimal(str(centre[1])):f}|{distance}{unit[0]}"
        away = {logical_id: _haversine_km(centre, place) for logical_id, place in PLACES.items()}
        # What stands on the circle itself, to the millimetre, may be within or not.
        certain = {each for each, its in away.items() if its < distance_km - 1e-6}
        possible = {each for each, its in away.items() if its < distance_km + 1e-6}
        assert certain <= _found(world, value) <= possible

    law()


def test_the_same_place_is_at_no_distance(world: World) -> None:
    latitude, longitude = PLACES["l5"]
    assert _found(world, f"{latitude}|{longitude}|0") == {"l5"}


def test_no_place_is_farther_than_half_way_around(world: World) -> None:
    for distance_km in (20_016, 30_000, 45_000):
        assert _found(world, f"51.5|-0.1|{distance_km}") == set(PLACES)


def test_fifty_kilometres_are_near_where_no_distance_is_said(world: World) -> None:
    for value in ("51.5|-0.1", "51.5|-0.1||", "51.5|-0.1||km"):
        assert _found(world, value) == _found(world, "51.5|-0.1|50|km") != set()


def test_a_list_finds_what_is_near_either_place(world: World) -> None:
    one, other = "51.5|-0.1|3|km", "90|0|50|km"
    assert _found(world, f"{one},{other}") == _found(world, one) | _found(world, other)


def test_a_place_without_a_position_on_earth_is_missing(world: World) -> None:
    assert set(world.ids("Location", ("near:missing", "true"))) == {"nowhere", "impossible", "far"}


def test_nothing_is_ordered_by_a_parameter_that_is_no_value(world: World) -> None:
    with pytest.raises(FhirError, match="_sort"):
        world.ids("Location", ("_sort", "near"))


def test_near_is_asked_of_the_place_that_something_refers_to(databases: Databases) -> None:
    made = World(databases.empty())
    encounter = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    made.add([_location("here", 51.5, -0.1), _location("there", 48.8, 2.3)])
    made.add(
        [
            {**encounter, "id": name, "location": [{"location": {"reference": f"Location/{name}"}}]}
            for name in ("here", "there")
        ]
    )
    assert made.ids("Encounter", ("location.near", "51.5|-0.1|5|km")) == ["here"]
    made.close()


@pytest.mark.parametrize(
    "value",
    [
        *("51.5", "|", "a|b", "91|0", "-90.1|0", "0|181", "51.5|-0.1|x", "51.5|-0.1|-1", "51.5|-0.1|1|kg"),
        *("51.5|-0.1|1|mile", "51.5|-0.1|1|km|x", "1e300|0", "NaN|0", "51.5|", "51.5|-0.1|1|m2", "51.5|-0.1||zork"),
    ],
)
def test_what_is_no_circle_is_refused_by_name(world: World, value: str) -> None:
    with pytest.raises(FhirError, match="near"):
        world.ids("Location", ("near", value))
