"""A line chart drawn on the server: coordinates for one SVG, and nothing that needs a script.

In come results of one test; out go points, axis marks and the band of the expected range in the units of the drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from fhir_server import web
from fhir_server.portal.models.result import Result
from fhir_server.portal.models.words import LONDON, number, short_month, spoken_day, spoken_month

WIDTH: Final = 640
HEIGHT: Final = 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 16, 40
_MARGIN: Final = Decimal("0.12")
_TICKS: Final = 5
_LEAST_POINTS: Final = 2


@dataclass(frozen=True, slots=True)
class Point:
    """One dot: place, and what it says."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """One mark of an axis: place along it, and its text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One series.

    Attributes:
        name: What it is, "" where there is only one.
        points: Oldest first.
        path: The same as an SVG polyline.
        style: Number of its look in the style sheet, from 0.
    """

    name: str
    points: tuple[Point, ...]
    path: str
    style: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of WIDTH × HEIGHT.

    Attributes:
        lines: Series.
        x_ticks: Dates.
        y_ticks: Amounts.
        band_top: Upper edge of the expected range, None without one.
        band_height: Its height, 0 without one.
        summary: The trend in a sentence, for those who do not see it.
        unit: Unit of the amounts.
        names: Names of the series.
        low: Lower end of the expected range, "" where open.
        high: Upper end of the expected range, "" where open.
    """

    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    band_top: float | None
    band_height: float
    summary: str
    unit: str
    names: tuple[str, ...]
    low: str
    high: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


@dataclass(frozen=True, slots=True)
class _Scale:
    low: Decimal
    high: Decimal
    start_s: float
    end_s: float

    def x(self, at: datetime) -> float:
        share = (at.timestamp() - self.start_s) / (self.end_s - self.start_s)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: Decimal) -> float:
        share = float((value - self.low) / (self.high - self.low))
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def chart(results: Sequence[Result]) -> Chart | None:
    """Return the chart of results of one test in one unit; None where there are fewer than two numbers to join."""
    series = _series(results)
    values = [value for entries in series.values() for _, value in entries]
    times = sorted({at.timestamp() for entries in series.values() for at, _ in entries})
    if len(times) < _LEAST_POINTS:
        return None
    expected = next((entry.range for entry in results if entry.range and len(series) == 1), None)
    ends = [end for end in (expected.low, expected.high) if end is not None] if expected else []
    low, high = min(values + ends), max(values + ends)
    margin = (high - low) * _MARGIN or max(abs(high) * _MARGIN, Decimal(1))
    scale = _Scale(max(low - margin, Decimal(0)) if low >= 0 else low - margin, high + margin, times[0], times[-1])
    unit = next((entry.unit for entry in results if entry.unit), "")
    top = scale.y(expected.high) if expected and expected.high is not None else float(_TOP)
    floor = scale.y(expected.low) if expected and expected.low is not None else float(HEIGHT - _BOTTOM)
    return Chart(
        lines=tuple(_line(name, entries, scale, unit, style) for style, (name, entries) in enumerate(series.items())),
        x_ticks=_dates(scale),
        y_ticks=_amounts(scale),
        band_top=top if ends else None,
        band_height=round(floor - top, 1) if ends else 0,
        summary=_summary(series, unit),
        unit=unit,
        names=tuple(name or unit or web.say("Value") for name in series),
        low=number(expected.low) if expected else "",
        high=number(expected.high) if expected else "",
    )


def _series(results: Sequence[Result]) -> dict[str, list[tuple[datetime, Decimal]]]:
    """Return (time, value) oldest first, by component name; only the unit of the newest result, never two mixed."""
    unit = next((entry.unit for entry in results if entry.unit), "")
    found: dict[str, list[tuple[datetime, Decimal]]] = {}
    for entry in sorted(results, key=lambda entry: entry.taken_at):
        if entry.taken is None or entry.unit != unit:
            continue
        for part in entry.parts or (entry,):
            if part.number is not None and part.unit == unit:
                found.setdefault(part.name if entry.parts else "", []).append((entry.taken.at, part.number))
    return found


def _line(name: str, entries: list[tuple[datetime, Decimal]], scale: _Scale, unit: str, style: int) -> Line:
    points = tuple(
        Point(scale.x(at), scale.y(value), f"{number(value)} {unit}, {spoken_day(at.astimezone(LONDON).date())}")
        for at, value in entries
    )
    return Line(name, points, " ".join(f"{point.x},{point.y}" for point in points), style)


def _amounts(scale: _Scale) -> tuple[Tick, ...]:
    step = _round_step((scale.high - scale.low) / _TICKS)
    value = (scale.low / step).to_integral_value(rounding="ROUND_CEILING") * step
    ticks = []
    while value <= scale.high:
        ticks.append(Tick(scale.y(value), number(value.normalize() if step < 1 else value.quantize(Decimal(1)))))
        value += step
    return tuple(ticks)


def _round_step(raw: Decimal) -> Decimal:
    """Return the next of 1, 2, 2.5, 5 times a power of ten."""
    power = Decimal(1).scaleb(raw.adjusted())
    return next(power * factor for factor in (1, 2, Decimal("2.5"), 5, 10) if power * factor >= raw)


def _dates(scale: _Scale) -> tuple[Tick, ...]:
    start, end = (datetime.fromtimestamp(at_s, LONDON) for at_s in (scale.start_s, scale.end_s))
    firsts = [datetime(year, 1, 1, tzinfo=LONDON) for year in range(start.year + 1, end.year + 1)]
    if len(firsts) >= _LEAST_POINTS:
        return tuple(Tick(scale.x(day), f"{day.year}") for day in firsts)
    return (Tick(scale.x(start), short_month(start.date())), Tick(scale.x(end), short_month(end.date())))


def _summary(series: dict[str, list[tuple[datetime, Decimal]]], unit: str) -> str:
    sentences = []
    for name, entries in series.items():
        (start, was), (end, became) = entries[0], entries[-1]
        if became == was:
            said = web.say("%(name)s did not change from %(new)s between %(start)s and %(end)s.")
        elif became > was:
            said = web.say("%(name)s went up from %(old)s to %(new)s between %(start)s and %(end)s.")
        else:
            said = web.say("%(name)s went down from %(old)s to %(new)s between %(start)s and %(end)s.")
        blanks = {
            "name": name or web.say("The value"),
            "old": number(was),
            "new": f"{number(became)} {unit}".rstrip(),
            "start": spoken_month(start.astimezone(LONDON).date()),
            "end": spoken_month(end.astimezone(LONDON).date()),
        }
        sentences.append(said % blanks)
    return " ".join(sentences)
