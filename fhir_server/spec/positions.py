"""Find where elements stand in the text of a resource: line and column of what an OperationOutcome names.

Comes in: a body that was read before, and FHIRPath locations such as `Patient.name[0].given`. Goes out: line and
column, both counted from 1. Where an element is missing, that of the innermost element around it which is there. It
runs for refusals only, and not for bodies beyond `LENGTH_LIMIT`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

LENGTH_LIMIT = 1_000_000
_SEGMENT = re.compile(r"([A-Za-z_]\w*)(?:\.ofType\((\w+)\))?(?:\[(\d+)\])?(?:\.|$)")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')

Path = tuple[tuple[str, int], ...]
"""Names with positions; 0 where there is no array."""
Position = tuple[int, int]


def find_positions(raw: bytes, expressions: Iterable[str], *, xml: bool, below: Path = ()) -> Mapping[str, Position]:
    """Return line and column of each location; nothing for a text that is too long or cannot be read.

    Args:
        raw: The body, JSON in UTF-8 or XML.
        expressions: Locations, each beginning with the type of the resource.
        xml: Whether it is XML.
        below: Where in the body the resource stands that they begin with.
    """
    wanted = {each: below + _path(each) for each in expressions}
    if not wanted or len(raw) > LENGTH_LIMIT:
        return {}
    every = {path[:size] for path in wanted.values() for size in range(len(path) + 1)}
    try:
        found = _in_xml(raw, every) if xml else _in_json(raw.decode("utf-8-sig"), every)
    except (ValueError, IndexError, expat.ExpatError):
        return {}
    positions = {each: _innermost(found, path) for each, path in wanted.items()}
    return {each: position for each, position in positions.items() if position}


def _path(expression: str) -> Path:
    """Return a location as names in JSON: `value.ofType(Quantity)` is `valueQuantity`."""
    _, _, rest = expression.partition(".")
    found = []
    for match in _SEGMENT.finditer(rest):
        name, type_, index = match.groups()
        found.append((name + type_[:1].upper() + type_[1:] if type_ else name, int(index or 0)))
    return tuple(found)


def _innermost(found: Mapping[Path, Position], path: Path) -> Position | None:
    return next((found[path[:size]] for size in range(len(path), -1, -1) if path[:size] in found), None)


@dataclass(slots=True)
class _Level:
    """An open array or object: the path of its own, and the member or item under way."""

    path: Path
    array: bool
    name: str = ""
    index: int = 0
    is_name: bool = True

    def here(self) -> Path:
        """Return the path of the value that begins."""
        if self.array:
            return (*self.path[:-1], (self.path[-1][0], self.index)) if self.path else ()
        return (*self.path, (self.name, 0))


def _in_json(text: str, wanted: set[Path]) -> dict[Path, Position]:
    found: dict[Path, int] = {}
    arrays: set[Path] = set()
    levels: list[_Level] = []
    for token in _TOKEN.finditer(text):
        mark = token[0]
        level = levels[-1] if levels else None
        if mark in "}]":
            levels.pop()
        elif mark == "," and level:
            level.index += 1
            level.is_name = True
        elif mark == ":" and level:
            level.is_name = False
        elif level and not level.array and level.is_name:
            # `_given` holds the extensions of `given`: the same element.
            level.name = mark[1:-1].removeprefix("_")
        else:
            path = level.here() if level else ()
            # An array and its first item have one path, and the item is what is meant.
            if path in wanted and (path not in found or path in arrays):
                found[path] = token.start()
                (arrays.add if mark == "[" else arrays.discard)(path)
            if mark in "{[":
                levels.append(_Level(path, mark == "["))
    return {path: _line_and_column(text, offset) for path, offset in found.items()}


def _line_and_column(text: str, offset: int) -> Position:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


@dataclass(slots=True)
class _Tree:
    """The elements that are open while XML is read."""

    wanted: set[Path]
    found: dict[Path, Position] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)

    def start(self, name: str, position: Position) -> None:
        """Note the beginning of an element; one named like a type is the resource that its parent holds."""
        name = name.rpartition(" ")[2]
        if not self.paths or name[:1].isupper():
            path = self.paths[-1] if self.paths else ()
        else:
            counts = self.counts[-1]
            path = (*self.paths[-1], (name, counts.get(name, 0)))
            counts[name] = counts.get(name, 0) + 1
        if path in self.wanted:
            self.found.setdefault(path, position)
        self.paths.append(path)
        self.counts.append({})

    def end(self) -> None:
        """Note the end of an element."""
        self.paths.pop()
        self.counts.pop()


def _in_xml(raw: bytes, wanted: set[Path]) -> dict[Path, Position]:
    parser = expat.ParserCreate(namespace_separator=" ")
    tree = _Tree(wanted)

    def start(name: str, _attributes: Mapping[str, str]) -> None:
        tree.start(name, (parser.CurrentLineNumber, parser.CurrentColumnNumber + 1))

    def refuse(*_: Any) -> None:
        raise ValueError

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _name: tree.end()
    # No document type, and so no entity, is ever read.
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(raw, True)
    return tree.found
