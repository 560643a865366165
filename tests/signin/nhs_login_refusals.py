"""How NHS login is refused, and what no refusal may say."""

import re
from typing import Any

from tests.pages import said
from tests.signin.nhs_login_world import NhsWorld, heading

UNTRUSTED = (403, "We could not sign you in")
STALE = (400, "This sign-in is not valid any more")
LEVEL = (403, "Prove who you are")
DECLINED = (403, "You are not signed in")
UNAVAILABLE = (503, "NHS login is not available")
JSON = {"Content-Type": "application/json"}


def refused(nhs: NhsWorld, answer: Any, expected: tuple[int, str]) -> None:
    """Check that a page says no, in our words only, and that nothing was begun."""
    assert (answer.status_code, heading(answer)) == expected
    assert "Set-Cookie" not in answer.headers or "session=" not in answer.headers["Set-Cookie"]
    assert not re.search(r"code-1|access-1|person-1|traceback|eyJ", said(answer.text), re.IGNORECASE)


def back_with(nhs: NhsWorld, expected: tuple[int, str]) -> None:
    """Sign in; it must end like that."""
    browser = nhs.browser()
    refused(nhs, browser.nhs_login(), expected)
    assert not browser.is_signed_in()


def seconds(nhs: NhsWorld, delta: int) -> int:
    return int(nhs.server.clock().timestamp()) + delta
