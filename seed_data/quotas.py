"""How many letters and results each person gets, so that sixty people have exactly 200 letters and 1,500 results.

Comes in: nothing. Goes out: a pair of counts per position; larger populations repeat the sixty. Must not know: FHIR.
"""

from __future__ import annotations

import functools

from seed_data.analytes import size
from seed_data.people import PEOPLE, Row
from seed_data.profiles import PROFILES

LETTERS = 200
RESULTS = 1500
_HEADLINE = (16, 160)
_BABY_MONTHS = 12
_LARGE_PANEL = 4
_LONG_SERIES, _SHORT_SERIES = 9, 4
_FEW = 8


def _shares(weights: list[float], total: int) -> list[int]:
    """Split a total by weight with the largest-remainder method."""
    scale = total / sum(weights)
    exact = [weight * scale for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: counts[place] - exact[place])
    for place in by_remainder[: total - sum(counts)]:
        counts[place] += 1
    return counts


def _result_weight(row: Row) -> float:
    """Return about how many results tell the story of somebody: a series of the telling panel, the others once."""
    if 0 < row.age_months <= _BABY_MONTHS:
        return 0
    total = 0.0
    for key in row.profiles:
        profile = PROFILES[key]
        if profile.core:
            first = size(profile.core[0])
            series = _LONG_SERIES if first < _LARGE_PANEL else _SHORT_SERIES if profile.trends else 1
            total += series * first + 0.5 * sum(map(size, (*profile.core[1:], *profile.extra)))
    return total or _FEW


def _letter_weight(row: Row) -> float:
    return 1.0 + 2.0 * sum(len(PROFILES[key].clinics) for key in row.profiles if key not in {"well", "child"})


@functools.cache
def _table() -> tuple[tuple[int, int], ...]:
    rest = PEOPLE[1:]
    letters = _shares([_letter_weight(row) for row in rest], LETTERS - _HEADLINE[0])
    results = _shares([_result_weight(row) for row in rest], RESULTS - _HEADLINE[1])
    return (_HEADLINE, *zip(letters, results, strict=True))


def quota(position: int) -> tuple[int, int]:
    """Return (letters, results) of the person at a position."""
    table = _table()
    return table[position % len(table)]
