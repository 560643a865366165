"""`near` of Location: places within a distance on the sphere (https://hl7.org/fhir/R4/location.html#search).

A place is stored as a unit vector from the centre of the Earth. Two places are as near as the straight line between
their vectors is short, so that SQL needs no trigonometry, and poles and date line are places like any other; the band
of `z` that the line spans is a range of the index. Distances are great circles of a sphere of the mean radius, which is
within 0.6 % of the WGS84 ellipsoid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.search.model import Match, Reading
from fhir_server.search.prepare import value as value_field
from fhir_server.search.syntax import invalid, split, unescape
from fhir_server.spec import ucum
from fhir_server.spec.definitions import SearchParameter
from fhir_server.spec.values import decimal_range

TABLE = "index_position"
MODIFIERS = frozenset({""})
VALUES_LIMIT = 30
DEFAULT_DISTANCE_KM = 50

_EARTH_RADIUS_M = 6_371_008.8
_POLE_DEGREES = 90
_HALF_TURN_DEGREES = 180
_LENGTH = "m1"
_PARTS = 4
_NEARBY_RANK = 4
_SYNTAX = (
    "is [latitude]|[longitude]|[distance]|[units]: decimal degrees from -90 to 90 and from -180 to 180, a distance of 0"
    f" or more ({DEFAULT_DISTANCE_KM} km where it is left out), and a UCUM unit of length (km where it is left out)."
)

Vector = tuple[float, float, float]


def write(_kind: str, value: Any, _parameter: SearchParameter, _reading: Reading) -> Iterator[Vector]:
    """Yield the columns of the row of a position, `x`, `y` and `z`; none for one that is not on Earth."""
    latitude, longitude = value.get("latitude"), value.get("longitude")
    if latitude is not None and longitude is not None and _is_on_earth(float(latitude), float(longitude)):
        yield _vector(float(latitude), float(longitude))


def read(parameter: SearchParameter, _modifier: str, texts: Sequence[str], _reading: Reading) -> Match:
    """Understand a list of alternatives.

    Raises:
        FhirError: 400 when one is no place with a distance.
    """
    return Match(TABLE, NearTest(tuple(_circle(parameter, text) for text in texts)), rank=_NEARBY_RANK)


def _is_on_earth(latitude: float, longitude: float) -> bool:
    return abs(latitude) <= _POLE_DEGREES and abs(longitude) <= _HALF_TURN_DEGREES


def _vector(latitude: float, longitude: float) -> Vector:
    up, east = math.radians(latitude), math.radians(longitude)
    return math.cos(up) * math.cos(east), math.cos(up) * math.sin(east), math.sin(up)


@dataclass(frozen=True, slots=True)
class Circle:
    """One search value: the places at most a straight line away from a centre.

    Attributes:
        x, y, z: The centre, on the unit sphere.
        south, north: Least and greatest `z` of a place within.
        chord_square: Square of the length of the straight line, in Earth radii.
    """

    x: float = value_field()
    y: float = value_field()
    z: float = value_field()
    south: float = value_field()
    north: float = value_field()
    chord_square: float = value_field()


def _circle(parameter: SearchParameter, text: str) -> Circle:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) > _PARTS:
        raise invalid(parameter.code, _SYNTAX)
    latitude, longitude, distance, unit = (*parts, "", "", "")[:_PARTS]
    centre = _number(parameter, latitude), _number(parameter, longitude)
    length = ucum.unit(unit or "km")
    if not _is_on_earth(*centre) or length is None or length.dimension != _LENGTH:
        raise invalid(parameter.code, _SYNTAX)
    distance_m = _number(parameter, distance) * float(length.factor) if distance else DEFAULT_DISTANCE_KM * 1_000.0
    if distance_m < 0:
        raise invalid(parameter.code, _SYNTAX)
    x, y, z = _vector(*centre)
    chord = 2 * math.sin(min(distance_m / _EARTH_RADIUS_M, math.pi) / 2)
    return Circle(x, y, z, z - chord, z + chord, chord * chord)


def _number(parameter: SearchParameter, text: str) -> float:
    try:
        decimal_range(text)
    except ValueError as error:
        raise invalid(parameter.code, _SYNTAX) from error
    return float(text)


@dataclass(frozen=True, slots=True)
class NearTest:
    """Within one of these circles."""

    circles: tuple[Circle, ...]

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_position`."""
        return or_(*(_within(index, each) for each in self.circles))


def _within(index: FromClause, circle: Circle) -> ColumnElement[bool]:
    x, y, z = index.c.x - circle.x, index.c.y - circle.y, index.c.z - circle.z
    return and_(index.c.z >= circle.south, index.c.z <= circle.north, x * x + y * y + z * z <= circle.chord_square)


def sort_columns(index: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return what ascending and descending order compare: from south to north."""
    return index.c.z, index.c.z
