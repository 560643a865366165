"""The build of the definitions: pinned, repeatable, alone in its environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from fhir_server.spec import build_definitions
from fhir_server.spec.build_definitions import build, compile_all
from fhir_server.spec.build_packages import CACHE_VARIABLE, BuildError, Package, fetch
from fhir_server.spec.definitions import ARTEFACT

ROOT = Path(build_definitions.__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build as the build hook does: as a module, from the root of the repository."""
    folder = tmp_path_factory.mktemp("build")
    out = folder / "r4.msgpack"
    command = [sys.executable, "-m", "fhir_server.spec.build_definitions", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("r4.msgpack: written")
    return out


def test_script_builds_the_installed_artefact_again(built: Path) -> None:
    assert built.read_bytes() == ARTEFACT.read_bytes()


def test_artefact_is_kept_while_current_and_replaced_when_not(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "r4.msgpack"
    copy.write_bytes(built.read_bytes())
    assert not build(copy)
    stale = msgspec.msgpack.decode(copy.read_bytes()) | {"fingerprint": "another script"}
    copy.write_bytes(msgspec.msgpack.encode(stale))
    assert build(copy)
    assert copy.read_bytes() == built.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["r4.msgpack"]


def test_archive_must_be_the_pinned_one() -> None:
    assert build_definitions.EXPANSIONS.matches(fetch(build_definitions.EXPANSIONS).read_bytes())
    assert not build_definitions.EXPANSIONS.matches(b"something else")


def test_cached_archive_with_other_content_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("npm_config_offline", "true")
    package = Package("not-a-package-of-ours", "1.0.0", "sha512-AAAA")
    (tmp_path / package.file_name).write_bytes(b"something else")
    with pytest.raises(BuildError, match=r"Fetching not-a-package-of-ours@1\.0\.0 failed"):
        fetch(package)


def test_archive_without_every_resource_type_is_refused() -> None:
    expansions = fetch(build_definitions.EXPANSIONS)
    with pytest.raises((BuildError, KeyError)):
        compile_all(expansions, expansions)
