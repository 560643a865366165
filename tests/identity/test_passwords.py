import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from fhir_server.identity import passwords


@pytest.mark.parametrize(
    "password", ["Password123!", "iloveyou12345", "aaaaaaaaaaaa", "123456789012", "Liverpool1892", "abcdefghijkl"]
)
def test_common_and_patterned_passwords_are_refused_whatever_their_characters(password: str) -> None:
    assert "too easy" in passwords.problem(password)


def test_every_long_enough_password_of_the_published_breaches_is_refused_in_any_case() -> None:
    leaked = [password for password in FREQUENCY_LISTS["passwords"] if len(password) >= passwords.MIN_CHARACTERS]
    assert len(leaked) > 200
    assert all("stolen before" in passwords.problem(typed) for each in leaked for typed in (each, each.upper()))


def test_password_made_of_what_is_known_about_the_person_is_refused() -> None:
    personal = ("Wilhelmina Featherstone", "wilhelmina@example.org")
    assert "too easy" in passwords.problem("wilhelmina featherstone", personal)
    assert passwords.problem("wilhelmina featherstone") == ""


@pytest.mark.parametrize(
    "password", ["walrus kettle orbit", "walruskettleorbit", "ßäö水火木金土日月星空雨雪", "k7#mQ2v!xR9z"]
)
def test_no_kind_of_character_is_demanded_or_forbidden(password: str) -> None:
    assert passwords.problem(password) == ""


@pytest.mark.parametrize("length,is_refused", [(11, True), (12, False), (256, False), (257, True)])
def test_length_is_from_12_to_256_characters(length: int, is_refused: bool) -> None:  # noqa: FBT001 - a parameter
    password = ("k7#mQ2v!xR9z" * 22)[:length]
    assert bool(passwords.problem(password)) is is_refused


def test_hash_is_argon2id_and_never_the_same_twice() -> None:
    one, two = passwords.hashed("walrus kettle orbit"), passwords.hashed("walrus kettle orbit")
    assert one.startswith("$argon2id$")
    assert one != two
    assert passwords.matches(one, "walrus kettle orbit")
    assert not passwords.matches(one, "walrus kettle orbiT")


def test_two_ways_of_typing_one_letter_are_one_password() -> None:
    assert passwords.matches(passwords.hashed("cafe\u0301 kettle orbit"), "caf\u00e9 kettle orbit")


@pytest.mark.parametrize("known", ["", "not a hash"])
def test_missing_hash_matches_nothing(known: str) -> None:
    assert not passwords.matches(known, "")
    assert not passwords.matches(known, "nobody has this password")


@pytest.mark.parametrize("typed", ["Saint Mary's!", "  saint   MARYS ", "sáint mary s"])
def test_memorable_answer_is_compared_as_people_retype_it(typed: str) -> None:
    assert passwords.plain_answer(typed).replace(" ", "") == "saintmarys"


@given(st.text(max_size=40))
def test_making_an_answer_plain_twice_changes_nothing(answer: str) -> None:
    once = passwords.plain_answer(answer)
    assert passwords.plain_answer(once) == once
