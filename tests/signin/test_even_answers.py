"""Nobody learns who has an account: one answer, and times that a rank test cannot tell apart."""

import random
import time
from pathlib import Path

import pytest

from tests.pages import said
from tests.server import Server
from tests.signin.visitor import MOBILE, Visitor, account

_ASKED = 14
_SUSPICIOUS_Z = 4.0
"""One run in sixteen thousand is beyond it by chance; what can be told apart is beyond it in nearly every run."""


def _rank_z(one: list[float], two: list[float]) -> float:
    """Return the z of the Mann-Whitney rank sum, ties counted by halves."""
    wins = sum((a > b) + 0.5 * (a == b) for a in one for b in two)
    mean = len(one) * len(two) / 2
    spread = (len(one) * len(two) * (len(one) + len(two) + 1) / 12) ** 0.5
    return float((wins - mean) / spread)


@pytest.fixture
def visitor(server: Server, tmp_path: Path) -> Visitor:
    account(server, mobile=MOBILE)
    return Visitor(server, tmp_path)


@pytest.mark.parametrize("path,form", [("/sign-in", {"password": "wrong wrong wrong"}), ("/forgotten-password", {})])
def test_known_and_unknown_addresses_get_one_answer_at_one_pace(
    visitor: Visitor, path: str, form: dict[str, str]
) -> None:
    took: dict[str, list[float]] = {"ada@example.org": [], "ann@example.org": []}
    answers: dict[str, set[tuple[int, str]]] = {email: set() for email in took}
    asked = list(took) * _ASKED
    random.Random(7).shuffle(asked)
    token = visitor.form_token(path)
    for email in asked:
        visitor.server.clock.advance(hours=2)
        started = time.perf_counter()
        answer = visitor.client.post(path, data={"email": email, "csrf_token": token, **form})
        took[email].append(time.perf_counter() - started)
        answers[email].add((answer.status_code, said(answer.text, email)))
    known, unknown = answers.values()
    assert known == unknown
    assert len(known) == 1
    assert abs(_rank_z(*took.values())) < _SUSPICIOUS_Z


def test_rank_test_tells_apart_what_differs() -> None:
    even, late = [0.1 + i / 1000 for i in range(_ASKED)], [0.2 + i / 1000 for i in range(_ASKED)]
    assert abs(_rank_z(even, list(even))) < 1
    assert abs(_rank_z(even, late)) > _SUSPICIOUS_Z
