"""UCUM codes are read as the specification and the package of the table read them."""

import math
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec.build_packages import fetch
from fhir_server.spec.build_units import MENDED, UNITS, build, rows
from fhir_server.spec.ucum import ARTEFACT, unit

_BASES = ("m", "s", "g", "rad", "K", "C", "cd")
_AVOGADRO = 6.0221367e23
# The package counts a low power field as one high power field, its own table as a hundred.
_SLIPS = re.compile("|".join(map(re.escape, (*MENDED, "[LPF]"))))
_OWN_DIMENSION = re.compile(r"\[.+\]|B.*|Np|bit_s")


def _measured(dimension: str) -> Counter[str]:
    parts = filter(None, dimension.split(".")) if "[10." not in dimension else ()
    found: Counter[str] = Counter()
    for part in parts:
        base, power = re.fullmatch(r"(.+?)(-?[0-9]+)", part).groups()  # type: ignore[union-attr]
        found[base] += int(power)
    return found


def test_every_unit_of_the_package_has_its_magnitude_and_dimensions() -> None:
    checked = 0
    for row in rows(fetch(UNITS), "units"):
        code = row["csCode_"].strip()
        if row["isSpecial_"] or _SLIPS.search(code):
            continue
        found = unit(code)
        assert found is not None, code
        dimensions = _measured(found.dimension)
        moles = dimensions.pop("mol", 0)
        assert float(found.factor) * _AVOGADRO**moles == pytest.approx(row["magnitude_"], rel=1e-9), code
        own = {base for base in dimensions if _OWN_DIMENSION.fullmatch(base)}
        expected = {base: power for base, power in zip(_BASES, row["dim_"] or [0] * 7, strict=True) if power}
        assert {base: power for base, power in dimensions.items() if base not in own} == expected, code
        checked += 1
    assert checked > 700


@pytest.mark.parametrize(
    "codes, ratio",
    [
        (("g", "mg"), 1000),
        (("mmol/L", "umol/l"), 1000),
        (("h", "min"), 60),
        (("a", "mo"), 12),
        (("m", "cm"), 100),
        (("[in_i]", "mm"), Fraction("25.4")),
        (("mg/dL", "g/L"), Fraction(1, 100)),
        (("10*9/L", "/uL"), 1000),
        (("10^3/uL", "10*9/L"), 1),
        (("{beats}/min", "/min"), 1),
        (("mg{total}", "mg"), 1),
        (("{score}", "%"), 100),
        (("%{HbA1c}", "%"), 1),
        (("Cel{oral}", "K"), 1),
        (("mL/min/{1.73_m2}", "mL/min"), 1),
        (("k[iU]/L", "[iU]/mL"), 1),
        (("[IU]", "[iU]"), 1),
        (("kg.m/s2", "N"), 1),
        (("g/m.s-2", "g/(m.s2)"), 1),
        (("mg/kg/h", "mg/(kg.h)"), 1),
        (("dB", "B"), Fraction(1, 10)),
        (("dag", "g"), 10),
        (("Kibit", "bit"), 1024),
    ],
)
def test_commensurable_units_have_an_exact_ratio(codes: tuple[str, str], ratio: Fraction) -> None:
    first, second = (unit(code) for code in codes)
    assert first is not None
    assert second is not None
    assert first.dimension == second.dimension
    assert first.factor / second.factor == ratio


@pytest.mark.parametrize(
    "codes",
    [
        ("mmol/L", "mg/dL"),
        ("mol/L", "10*9/L"),
        ("[iU]/L", "10*9/L"),
        ("[iU]", "[arb'U]"),
        ("[pH]", "mol/L"),
        ("B[SPL]", "Pa"),
        ("pH", "[pH]"),
        ("Cel", "m"),
        ("m", "m2"),
        ("m.s", "m/s"),
    ],
)
def test_what_differs_in_kind_is_not_commensurable(codes: tuple[str, str]) -> None:
    first, second = (unit(code) for code in codes)
    assert first is not None
    assert second is not None
    assert first.dimension != second.dimension


def test_temperatures_have_their_zero() -> None:
    boiling: dict[str, Fraction | int] = {
        "Cel": 100,
        "[degF]": 212,
        "[degRe]": 80,
        "K": Fraction("373.15"),
        "[degR]": Fraction("671.67"),
    }
    for code, value in {**boiling, "mCel": 100_000}.items():
        scale = unit(code)
        assert scale is not None
        assert (value + scale.offset) * scale.factor == Fraction("373.15"), code


@pytest.mark.parametrize(
    "code",
    [
        *(
            "",
            " ",
            "mg ",
            "Mg ",
            "m g",
            "mgg",
            "kmin",
            "k[in_i]",
            "x",
            "µg",
            "(",
            ")",
            "()",
            "(m",
            "m)",
            "m//s",
            "m.",
            ".m",
        ),
        *("m/", "//m", "-1", "m^2", "mg/{", "{", "}", "m{a{b}}", "Cel2", "Cel/min", "2.Cel", "0", "01", "1.05", "Ym99"),
        *("m" * 200, "(" * 100, "1" * 100, "[G]99.[G]99", "10*99.10*99.10*99", "(" * 64 + "m" + ")" * 64),
    ],
)
def test_what_is_no_unit_is_none(code: str) -> None:
    assert unit(code) is None


def test_any_text_is_read_or_none() -> None:
    pieces = st.sampled_from(
        ["mg", "10*", "[iU]", "/", ".", "(", ")", "{a}", "99", "-9", "k", "Cel", "%", "'", "G", "[", "]"]
    )

    @given(code=st.one_of(st.text(max_size=40), st.lists(pieces, max_size=30).map("".join)))
    def law(code: str) -> None:
        found = unit(code)
        assert found is None or (found.factor > 0 and math.isfinite(float(found.factor)))

    law()


def test_the_module_builds_the_installed_artefact_again(tmp_path: Path) -> None:
    out = tmp_path / "ucum.msgpack"
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "fhir_server.spec.build_units", "--out", str(out)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ucum.msgpack: written")
    assert out.read_bytes() == ARTEFACT.read_bytes()
    assert "https://ucum.org/license" in msgspec.msgpack.decode(out.read_bytes())["licence"]
    assert not build(out)
    out.write_bytes(msgspec.msgpack.encode({"fingerprint": "of another script"}))
    assert build(out)
    assert out.read_bytes() == ARTEFACT.read_bytes()
