from hypothesis import given
from hypothesis import strategies as st

from fhir_server.identity import codes


def test_code_has_eight_characters_none_of_them_ambiguous() -> None:
    for _ in range(200):
        code = codes.new_code()
        assert len(code.replace("-", "")) == 8
        assert not set(code) & set("OILU")


@given(st.sampled_from(["", " ", "-", " - "]), st.booleans())
def test_code_is_read_however_it_is_spaced_and_cased(gap: str, is_lower: bool) -> None:  # noqa: FBT001 - a parameter
    code = codes.new_code()
    typed = gap.join(code.replace("-", ""))
    assert codes.plain_code(typed.lower() if is_lower else typed) == code.replace("-", "")


def test_letters_that_look_like_digits_are_read_as_them() -> None:
    assert codes.plain_code("o0-iI-lL-1") == "0011111"


def test_token_has_256_random_bits_and_is_stored_as_its_digest() -> None:
    tokens = {codes.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 43 for token in tokens)
    assert all(token not in codes.token_hash(token) for token in tokens)
