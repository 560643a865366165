"""Nobody learns who has an account: one answer, for the same work, at the next tick.

What is counted is what a difference could come from, in each request: passwords judged or hashed, and the wait for the
tick, which takes in what is left (the link and the message that only a known address gets). No clock is read here.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import argon2
import pytest
from werkzeug.test import TestResponse

from fhir_server.store import accounts
from fhir_server.web import even
from tests.pages import said
from tests.server import Server
from tests.signin.visitor import MOBILE, PASSWORD, Visitor, account

WORK = {argon2.PasswordHasher.verify: "judged", argon2.PasswordHasher.hash: "hashed", even.wait: "waited"}
WRONG = "wrong wrong wrong"
KINDS = {
    "known": ("ada@example.org", WRONG),
    "known, written in another way": (" ADA@Example.org ", WRONG),
    "unknown": ("ann@example.org", WRONG),
    "closed": ("closed@example.org", PASSWORD),
    "opened by a hospital's system, without a password": ("hospital@example.org", WRONG),
    "not confirmed yet": ("new@example.org", WRONG),
    "no address": ("ada", WRONG),
    "known, with a password as long as a book": ("ada@example.org", "x" * 100_000),
    "unknown, with a password as long as a book": ("ann@example.org", "x" * 100_000),
}


@contextmanager
def work() -> Iterator[Counter[str]]:
    """Count what is done of `WORK` in this thread."""
    names: dict[CodeType, str] = {function.__code__: name for function, name in WORK.items()}
    counted: Counter[str] = Counter()

    def seen(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code in names:
            counted[names[frame.f_code]] += 1

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        yield counted
    finally:
        sys.setprofile(before)


@pytest.fixture
def visitor(server: Server, tmp_path: Path) -> Visitor:
    """Return a stranger at a server where people of every kind have an account."""
    account(server, mobile=MOBILE)
    closed, hospital, new = (account(server, f"{name}@example.org") for name in ("closed", "hospital", "new"))
    with server.store.write() as session:
        accounts.set_active(session, closed.id, active=False, now=server.clock())
        accounts.set_password(session, hospital.id, "")
        accounts.set_active(session, new.id, active=False, now=server.clock())
        session.connection.exec_driver_sql(
            f"UPDATE account SET email_confirmed_at = NULL WHERE id = '{new.id}'"  # noqa: S608 - an id of ours
        )
    stranger = Visitor(server, tmp_path)
    ask(stranger, "/sign-in", "warm@example.org", WRONG)  # what a process makes once, at its first stranger
    return stranger


def ask(visitor: Visitor, path: str, email: str, password: str) -> TestResponse:
    token = visitor.form_token(path)
    return visitor.client.post(path, data={"email": email, "password": password, "csrf_token": token})


def told(visitor: Visitor, path: str) -> dict[str, tuple[object, ...]]:
    """Return what each kind of address is answered, and by what work."""
    found: dict[str, tuple[object, ...]] = {}
    for kind, (email, password) in KINDS.items():
        with work() as counted:
            answer = ask(visitor, path, email, password)
        found[kind] = (answer.status_code, said(answer.text, email, email.strip(), password), dict(counted))
    return found


@pytest.mark.parametrize(
    "path,done", [("/sign-in", {"judged": 1, "waited": 1}), ("/forgotten-password", {"waited": 1})]
)
def test_whoever_has_the_address_gets_one_answer_for_the_same_work(
    visitor: Visitor, path: str, done: dict[str, int]
) -> None:
    found = told(visitor, path)
    assert {kind: work for kind, (_, _, work) in found.items()} == dict.fromkeys(KINDS, done)
    assert {kind: status for kind, (status, _, _) in found.items()} == dict.fromkeys(KINDS, found["unknown"][0])
    assert [kind for kind, (_, page, _) in found.items() if page != found["unknown"][1]] == []


def test_whoever_has_a_new_address_already_the_owner_of_an_account_is_not_told(visitor: Visitor) -> None:
    visitor.sign_in()
    answers = []
    for email in ("hospital@example.org", "nobody@example.org"):
        token = visitor.form_token("/account/email")
        with work() as counted:
            answer = visitor.client.post("/account/email", data={"new-email": email, "csrf_token": token})
        answers.append((answer.status_code, answer.location, dict(counted)))
    assert answers == [(303, "/account?done=email-asked", {"waited": 1})] * 2
    assert [each["to"] for each in visitor.mail("confirm-new-email")] == ["nobody@example.org"]


def test_too_many_tries_are_told_alike_and_cost_nothing(visitor: Visitor) -> None:
    for email in ("ada@example.org", "ann@example.org"):
        with work() as counted:
            statuses = [ask(visitor, "/sign-in", email, WRONG).status_code for _ in range(12)]
        assert statuses == [403] * 10 + [429] * 2
        assert dict(counted) == {"judged": 10, "waited": 12}
