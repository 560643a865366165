"""JSON in and out: nothing the sender wrote is lost, nothing ambiguous is let in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec.json import decode, encode
from fhir_server.spec.outcome import FhirError

LIMIT = 100_000
SCALARS = st.none() | st.booleans() | st.integers() | st.text()
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def status(raw: bytes, limit_bytes: int = LIMIT) -> int:
    with pytest.raises(FhirError) as refused:
        decode(raw, limit_bytes)
    return refused.value.status


@pytest.mark.parametrize(
    "number",
    [
        *("1.50", "1.0E3", "1e3", "1E+3", "100000000000000000.000", "0.0", "-0.0", "0.0000001", "1e-7", "-1.5e-10"),
        *("12345678901234567890123", "1", "-7", "3.14159265358979323846264338327950288"),
    ],
)
def test_number_goes_out_as_it_came_in(number: str) -> None:
    raw = b'{"value":%s}' % number.encode()
    assert encode(decode(raw, LIMIT)) == raw


@given(st.dictionaries(st.text(), TREES))
def test_any_object_comes_back_with_its_order(tree: dict[str, Any]) -> None:
    for raw in (json.dumps(tree), json.dumps(tree, indent=1, ensure_ascii=False, separators=(" ,", " :"))):
        decoded = decode(raw.encode(), LIMIT)
        assert decoded == tree
        assert list(decoded) == list(tree)
        assert json.loads(encode(decoded)) == tree


@given(st.dictionaries(st.text(), TREES, min_size=1), st.data())
def test_member_given_twice_is_refused(tree: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(tree)))
    separators = data.draw(st.sampled_from([(",", ":"), (", ", " : ")]))
    inner = json.dumps(tree, separators=separators)
    twice = f'{inner[:-1]},{json.dumps(name)}:":"}}'
    for raw in (twice, f'{{"a":[{twice}]}}'):
        assert status(raw.encode()) == 400


def test_refusal_names_the_repeated_member() -> None:
    with pytest.raises(FhirError, match="'gender' twice"):
        decode(b'{"name":[{"gender":1,"gender":2}]}', LIMIT)


@pytest.mark.parametrize("raw", [b'{"a":":b"}', b'{"a":"\\":"}', b'{"a" :"x","b":" :"}', b'{"\\":":"\\\\"}'])
def test_colons_in_text_are_no_members(raw: bytes) -> None:
    assert decode(raw, LIMIT) == json.loads(raw)


def test_byte_order_mark_is_skipped() -> None:
    assert decode(b'\xef\xbb\xbf{"a":1}', LIMIT) == {"a": 1}


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"[]", b"1", b"null", b"{", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":01}', b'{"a":1}x', b'{"a":"\xff"}'),
        *(b'{"a":"\\ud800"}', b'{"a":1e99999999999999999999}', b"{'a':1}", b'{"a":1,}', b"\xff\xfe{\x00}\x00"),
        b'{"a":%s}' % (b"9" * 5_000),
    ],
)
def test_text_that_is_no_json_object_is_refused(raw: bytes) -> None:
    assert status(raw) == 400


@pytest.mark.parametrize("levels", [65, 5_000, 40_000])
def test_deep_nesting_is_refused(levels: int) -> None:
    assert status(b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}") == 400


def test_nesting_up_to_the_limit_is_read() -> None:
    assert decode(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}", LIMIT)


def test_long_content_is_refused() -> None:
    assert status(b'{"a":1}', limit_bytes=6) == 413
