"""The FHIRPath subset of search parameters: what it reads, and that it refuses the rest."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec.paths import (
    Claim,
    Condition,
    Equals,
    Field,
    HasExtension,
    Index,
    OfType,
    Path,
    ResolvesTo,
    UnsupportedExpressionError,
    parse,
)


@pytest.mark.parametrize(
    "expression,expected",
    [
        ("Patient.name.given", [Path("Patient", (Field("name"), Field("given")))]),
        ("A.b | B.c", [Path("A", (Field("b"),)), Path("B", (Field("c"),))]),
        (
            "(A.b as Quantity) | A.c.as(Range)",
            [Path("A", (Field("b"), OfType("Quantity"))), Path("A", (Field("c"), OfType("Range")))],
        ),
        ("(A.b | A.c).d", [Path("A", (Field("b"), Field("d"))), Path("A", (Field("c"), Field("d")))]),
        ("A.b.where(resolve() is Patient)", [Path("A", (Field("b"), ResolvesTo("Patient")))]),
        ("A.b.where(system='pho\\'ne')", [Path("A", (Field("b"), Equals("system", "pho'ne")))]),
        ("A.extension('http://x')", [Path("A", (Field("extension"), Equals("url", "http://x")))]),
        ("A.b.where(hasExtension('u')).c", [Path("A", (Field("b"), HasExtension("u"), Field("c")))]),
        ("A.b[0].c", [Path("A", (Field("b"), Index(0), Field("c")))]),
        ("%resource.b", [Path("%resource", (Field("b"),))]),
        ("name | alias", [Path("", (Field("name"),)), Path("", (Field("alias"),))]),
        (
            "A.b.exists() and A.b != false",
            [
                Condition(
                    (Claim(Path("A", (Field("b"),))), Claim(Path("A", (Field("b"),)), literal=False, negated=True))
                )
            ],
        ),
    ],
)
def test_expression_is_read(expression: str, expected: list[object]) -> None:
    assert list(parse(expression)) == expected


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "",
            "A.",
            "A.b.select(c)",
            "A.b or A.c",
            "A.b + 1",
            "(A.b",
            "A.b)",
            "A.b.where(c > 1)",
            "A.b[x]",
            "A.b and A.c",
        ),
        *("A.b.where(c.d = 'e')", "A.b = 'x' | ", "'text'", "A.b.exists().c", "A..b", "A.b.where(resolve() is 'x')"),
    ],
)
def test_expression_beyond_the_subset_is_refused(expression: str) -> None:
    with pytest.raises(UnsupportedExpressionError):
        parse(expression)


@given(st.text(alphabet="AbC.()[]'|=! 0%asiwherxtn"))
def test_any_text_is_read_or_refused(expression: str) -> None:
    with suppress(UnsupportedExpressionError):
        assert parse(expression)
