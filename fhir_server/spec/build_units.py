"""Compile the table of UCUM units into a file that ships with the package.

Comes in: one pinned package with the table of the Unified Code for Units of Measure (https://ucum.org/license), fetched
and cached like the FHIR definitions. Goes out: `ucum.msgpack` beside this file; `ucum.py` reads it.

Run by the build hook, before the package is installed: `python -m fhir_server.spec.build_units [--out FILE]`.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fhir_server.spec.build_packages import BuildError, Json, Package, fetch, run, write

UNITS = Package(
    "@lhncbc/ucum-lhc",
    "7.1.10",
    "sha512-70X5VSaO0M6YDbj+rEfaMX5Vm0YJeNFYTVOQ5vXWCffOEdH1YZUdiuTKRKx8eYBHLGTecFrVnsnhPjT8KTiJeQ==",
)
MENDED = {
    "Bd": "/s",
    "Oe": "/[pi].A/m",
    "[S]": "10*-13.s",
    "[diop]": "/m",
    "[mesh_i]": "/[in_i]",
    "[mu_0]": "4.[pi].10*-7.N/A2",
}
"""Definitions of which the package has lost what stands before the first name."""


def compile_units(archive: Path) -> Json:
    """Return `units` by code, (metric, a dimension of its own, factor, unit), `prefixes` with factors, the `licence`.

    Bases, arbitrary units and logarithmic ones are dimensions of their own. So is the mole, as in the SI: to UCUM it is
    a mere number, and a concentration would be compared with a count of cells.
    """
    units: dict[str, tuple[bool, bool, str, str]] = {}
    for each in rows(archive, "units"):
        if each["source_"] == "UCUM":
            code, unit = each["csCode_"], each["csUnitString_"] or ""
            alone = each["isBase_"] or each["isSpecial_"] or (each["isArbitrary_"] and unit == "1") or code == "mol"
            definition = ("1", "") if alone else (each["baseFactorStr_"], MENDED.get(code, unit))
            units[code] = (each["isMetric_"] or each["isBase_"], alone, *definition)
    prefixes = {
        each["code_"]: f"1e{each['exp_']}" if each["exp_"] else str(each["value_"])
        for each in rows(archive, "prefixes")
    }
    # Whoever passes the table on passes on its terms.
    return {"units": units, "prefixes": prefixes, "licence": _member(archive, "package/LICENSE.md").decode()}


def rows(archive: Path, table: str) -> Iterator[Json]:
    """Yield the rows of a table of the package, by column name."""
    content = msgspec.json.decode(_member(archive, "package/data/ucumDefs.min.json"))[table]
    columns = [name if isinstance(name, str) else name[0] for name in content["config"]]
    for row in content["data"]:
        yield dict(zip(columns, row, strict=True))


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive, "r:gz") as tar:
        file = tar.extractfile(name)
        if file is None:
            raise BuildError(f"{name} is no file.")
        return file.read()


def fingerprint() -> str:
    """Return what the artefact depends on: the pinned package and this script."""
    return hashlib.sha256(UNITS.integrity.encode() + b"\0" + Path(__file__).read_bytes()).hexdigest()


def is_current(out: Path) -> bool:
    """Return whether the artefact exists and was made by this script from this package."""
    try:
        content = msgspec.msgpack.decode(out.read_bytes(), type=Json)
    except (FileNotFoundError, msgspec.DecodeError):
        return False
    return bool(content.get("fingerprint") == fingerprint())


def build(out: Path) -> bool:
    """Write the artefact unless it is current; return whether it was written.

    Raises:
        BuildError: The package could not be fetched, or is not the pinned one.
    """
    # The tests read the package from the cache, so it is filled even where the artefact came with the checkout.
    archive = fetch(UNITS)
    if is_current(out):
        return False
    write(out, msgspec.msgpack.encode({"fingerprint": fingerprint(), **compile_units(archive)}))
    return True


if __name__ == "__main__":
    run("Compile the table of UCUM units.", Path(__file__).with_name("ucum.msgpack"), build)
