"""client add, user add, token issue."""

import json
from collections.abc import Mapping

import pytest

from tests.cli.conftest import Run

PASSWORD = "three blue kettles on the roof\n"


def test_an_app_gets_an_id_and_no_secret(run: Run) -> None:
    made = json.loads(
        run("client", "add", "--name", "App", "--public", "--redirect-uri", "https://app.example.org/cb").output
    )
    assert set(made) == {"client_id"}


def test_a_secret_is_shown_once(run: Run) -> None:
    uri = ("--redirect-uri", "https://app.example.org/cb")
    made = json.loads(run("client", "add", "--name", "App", "--secret", *uri).output)
    assert len(made["client_secret"]) >= 32


@pytest.mark.parametrize("kinds", [(), ("--public", "--secret")])
def test_a_client_is_of_exactly_one_kind(run: Run, kinds: tuple[str, ...]) -> None:
    assert "exactly one" in run("client", "add", "--name", "App", *kinds, expected=2).output


def test_a_client_is_suspended_limited_and_let_in_again(run: Run) -> None:
    uri = ("--redirect-uri", "https://app.example.org/cb")
    client_id = json.loads(run("client", "add", "--name", "App", "--public", *uri).output)["client_id"]

    assert json.loads(run("client", "waiting").output) == []
    assert "reason" in run("client", "decide", client_id, "suspend", expected=1).output
    assert json.loads(run("client", "decide", client_id, "suspend", "--reason", "Leaks").output)["decided"] == "suspend"
    assert "409" in run("client", "decide", client_id, "suspend", "--reason", "Leaks", expected=1).output
    run("client", "decide", client_id, "resume")
    run("client", "decide", client_id, "limit", "--requests-per-minute", "60")
    assert "404" in run("client", "decide", "nobody", "resume", expected=1).output


def test_a_client_that_may_not_be_is_refused_with_the_field(run: Run) -> None:
    uri = ("--redirect-uri", "http://elsewhere.example.org/cb")
    assert "redirect_uri" in run("client", "add", "--name", "App", "--public", *uri, expected=1).output


def test_an_account_is_made_with_a_password_from_standard_input(run: Run) -> None:
    account = ("user", "add", "--role", "professional", "--practitioner", "1", "--email", "a@example.org")
    made = json.loads(run(*account, "--password-stdin", input=PASSWORD).output)
    assert made["role"] == "professional"
    assert "already has an account" in run(*account, "--password-stdin", input=PASSWORD, expected=1).output


def test_an_easy_password_is_refused(run: Run) -> None:
    account = ("user", "add", "--role", "admin", "--email", "a@example.org", "--password-stdin")
    assert "400" in run(*account, input="password\n", expected=1).output
    assert "first line" in run(*account, input="", expected=2).output


def _issue(run: Run, *arguments: str) -> Mapping[str, object]:
    issued: dict[str, object] = json.loads(run("token", "issue", *arguments, "--json").output)
    return issued


def test_a_token_is_issued_with_its_lifetime(run: Run) -> None:
    issued = _issue(run, "--as", "Patient/1", "--scope", "patient/*.rs", "--expires", "60")
    assert issued["expires_in"] == 60
    assert len(str(issued["access_token"])) >= 43


@pytest.mark.parametrize(
    "arguments",
    [
        ("--as", "Location/1", "--scope", "system/*.rs"),
        ("--as", "Patient/", "--scope", "patient/*.rs"),
        ("--as", "Organization/1", "--scope", "system/*.rs", "--trusted"),
        ("--as", "Practitioner/1", "--scope", "user/*.rs", "--purpose", "CURIOSITY"),
        ("--as", "system", "--scope", "system/*.rs", "--expires", "0"),
    ],
)
def test_a_token_for_what_may_not_be_is_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    run("token", "issue", *arguments, expected=2)
