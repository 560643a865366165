"""Documented, or it fails: settings, commands, links, decision records; and nothing that belongs to one machine."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click

from fhir_server.cli import main
from fhir_server.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]

# In pieces, so that this file does not name them itself.
PACKAGE_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("crates", "io"),
        ("deb", "debian", "org"),
    )
)
MACHINE_PATH = re.compile(r"(?<![\w./$}~-])/(?:work|root|tmp)/\w")
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


def _files() -> list[Path]:
    """Return every file that is tracked, or would be if it were added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in output.split("\0") if name and (path := ROOT / name).is_file()]


def _pages() -> list[Path]:
    return [path for path in _files() if path.suffix == ".md"]


def _documentation() -> str:
    """Return README.md and everything below docs/ as one text."""
    pages = [path for path in _pages() if path.name == "README.md" or path.is_relative_to(ROOT / "docs")]
    return "\n".join(path.read_text() for path in pages)


def _commands(group: click.Group, path: str) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{path} {name} is listed, but not there"
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def _mentions(text: str, words: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", text) is not None


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as Git hosts make them."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_setting_is_documented() -> None:
    text = _documentation()
    names = [PREFIX + field.name.upper() for field in fields(Settings)]
    assert [name for name in names if not _mentions(text, name)] == []


def test_every_setting_says_what_it_means() -> None:
    assert [field.name for field in fields(Settings) if not field.metadata.get("meaning")] == []


def test_every_command_is_documented() -> None:
    text = _documentation()
    commands = list(_commands(main, "fhir-server"))
    assert commands
    assert [name for name in commands if not _mentions(text, name)] == []


def test_every_make_target_that_the_documentation_names_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", "\n".join(page.read_text() for page in _pages())))
    assert named - targets == set()


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for page in _pages():
        for link in LINK.findall(FENCE.sub("", page.read_text())):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if not target.exists():
                broken.append(f"{page.relative_to(ROOT)}: {link}")
            elif anchor and target.suffix == ".md" and anchor not in _anchors(target):
                broken.append(f"{page.relative_to(ROOT)}: {link} (no such heading)")
    assert broken == []


def test_every_decision_record_is_in_the_index() -> None:
    folder = ROOT / "docs" / "adr"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    index = (folder / "README.md").read_text() if records else ""
    assert [name for name in records if f"({name})" not in index] == []


def test_no_file_names_a_package_host_or_a_path_of_one_machine() -> None:
    found = []
    for path in _files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {host}" for host in PACKAGE_HOSTS if host in text]
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in MACHINE_PATH.finditer(text)]
    assert found == []
