"""What is hidden and what is absent take the same time (access.md §8, timing).

CI checks the machinery only; the nightly profile asks 2,000 pairs of each kind and wants no difference to be seen.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.consent.timing import mann_whitney, measure, questions
from tests.consent.world import World

_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
_PAIRS = 2_000 if _NIGHTLY else 5
_SIGNIFICANT = 0.001


def test_the_rank_test_tells_a_difference_from_none() -> None:
    drawn = random.Random(1)
    first, second = ([drawn.expovariate(1) for _ in range(500)] for _ in range(2))
    assert mann_whitney(first, second) > 0.01
    assert mann_whitney(first, [value + 0.3 for value in second]) < 0.001
    assert mann_whitney([1.0] * 9, [1.0] * 9) == 1.0
    assert mann_whitney([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(0.009, abs=0.001)


def test_hidden_and_absent_cannot_be_told_apart_by_time(world: World) -> None:
    found = [measure(question, _PAIRS) for question in questions(world)]
    for measured in found:
        print(measured)  # noqa: T201 - the figures of a nightly run, shown by `pytest -s`
    assert all(measured.hidden_us > 0 for measured in found)
    if _NIGHTLY:
        assert [str(measured) for measured in found if measured.wall_p < _SIGNIFICANT] == []
