"""The documents that say which test holds a promise name tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NAMING = ("docs/rules-and-tests.md", "docs/threat-model.md")
_FEWEST = 100


def test_every_test_that_the_documents_name_exists() -> None:
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in (path.name, *re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE))
    }
    named = {
        (document, name)
        for document in _NAMING
        for name in re.findall(r"\btest_[a-z0-9_]+(?:\.py)?", (ROOT / document).read_text("utf-8"))
    }
    assert len(named) > _FEWEST
    assert sorted(each for each in named if each[1] not in defined) == []
