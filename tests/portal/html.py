"""Whether a page is valid HTML, as npm `html-validate` reads the standard."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.npm import installed, node

_SOURCE = Path(__file__).parent / "html_validate"


@dataclass(frozen=True)
class Checker:
    """A running checker of pages."""

    process: subprocess.Popen[str]

    def mistakes(self, html: str) -> list[str]:
        """Return what is wrong with a page, each with its line."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(html), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, "html-validate stopped by itself"
        found: list[str] = json.loads(answer)
        return found


@contextmanager
def running_checker() -> Iterator[Checker]:
    """Run one checker for many pages: it takes a second to start."""
    command = [node(), "validate.mjs"]
    with subprocess.Popen(
        command, cwd=installed(_SOURCE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        checker = Checker(process)
        assert checker.mistakes("<!DOCTYPE html><title>x</title><p><div></div></p>"), "it finds what is wrong"
        yield checker
        assert process.stdin
        process.stdin.close()
