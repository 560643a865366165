"""The vendored page assets: only what was pinned, and nothing that asks another host."""

import re
from pathlib import Path

import pytest

from fhir_server.portal import build_assets
from fhir_server.portal.build_assets import VENDOR, BuildError, Package

ANOTHER_HOST = re.compile(rb"(url\(|@import|src=|sourceMappingURL=)\s*[\"']?(https?:)?//")


def test_every_pinned_file_is_built() -> None:
    wanted = {target for package in build_assets.PACKAGES for target in package.files.values()}
    assert {target for target in wanted if not (VENDOR / target).is_file()} == set()


def test_no_style_sheet_asks_another_host() -> None:
    sheets = list(VENDOR.rglob("*.css"))
    assert sheets
    assert [sheet.name for sheet in sheets if ANOTHER_HOST.search(sheet.read_bytes())] == []


def test_every_image_of_a_style_sheet_is_there() -> None:
    images = [
        sheet.parent / name.decode()
        for sheet in VENDOR.rglob("*.css")
        for name in re.findall(rb"url\(([^)]+)\)", sheet.read_bytes())
        if not name.strip(b"\"'").startswith(b"data:")
    ]
    assert images
    assert [image.name for image in images if not image.is_file()] == []


def test_building_again_writes_nothing() -> None:
    assert build_assets.build() is False


@pytest.mark.parametrize(
    "css",
    [
        b"a{background:url(https://example.org/x.png)}",
        b"a{background:url('//example.org/x.png')}",
        b'@import "http://example.org/x.css";',
        b"@import url(//example.org/x.css);",
    ],
)
def test_a_style_sheet_that_asks_another_host_stops_the_build(css: bytes) -> None:
    with pytest.raises(BuildError, match="another host"):
        build_assets._clean_css(css)


def test_the_font_of_another_host_is_taken_out() -> None:
    css = b"@font-face{font-family:F;src:url(https://example.org/f.woff2)}b{font-family:Frutiger W01,arial}"
    assert build_assets._clean_css(css) == b"b{font-family:arial}\n"


def test_a_package_that_differs_from_its_pin_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\nprintf tampered > uplot-1.6.32.tgz\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package = Package(name="uplot", version="1.6.32", sha512="c29tZXRoaW5nIGVsc2U=", files={})
    with pytest.raises(BuildError, match="not the pinned package"):
        build_assets._fetch(package)
    assert not (tmp_path / "cache").exists()
