"""Compile the catalogues of texts: `<code>/LC_MESSAGES/messages.po` → `messages.mo` beside it.

Run by the build hook, before the package is installed: `python fhir_server/language/build_catalogues.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po


def compile_all(folder: Path) -> int:
    """Compile every catalogue below a folder that changed since it was compiled; return how many there are.

    Raises:
        PoFileError: A catalogue is malformed; nothing is written for it.
    """
    sources = sorted(folder.glob("*/LC_MESSAGES/messages.po"))
    for source in sources:
        target = source.with_suffix(".mo")
        if target.is_file() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns:
            continue
        with source.open("rb") as file:
            catalogue = read_po(file, locale=source.parent.parent.name, abort_invalid=True)
        with target.open("wb") as file:
            write_mo(file, catalogue)
    return len(sources)


if __name__ == "__main__":
    try:
        compile_all(Path(__file__).parent)
    except PoFileError as error:
        sys.exit(f"{error}")
