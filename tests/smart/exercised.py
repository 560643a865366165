"""Tables that say which test of this folder exercises what: a name that is not there is a mistake."""

import ast
from collections.abc import Iterable
from pathlib import Path

TESTS = Path(__file__).parent.parent


def missing(names: Iterable[str]) -> list[str]:
    """Return those of these tests (`file::function`, or only the file, as from `tests/smart`) that are not there."""
    found = []
    for name in names:
        file, _, test = name.partition("::")
        path = TESTS / "smart" / file
        if not path.is_file():
            found.append(name)
            continue
        known = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
        found += [name] if test and test not in known else []
    return found
