"""What a page says, for tests that hold two pages against each other."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_FORM_TOKEN: Final = re.compile(r'(name="csrf_token" value=")[^"]*')


def said(page: str, *own: str) -> str:
    """Return the page without the words in `own` and without form tokens: they carry the second they were made in."""
    text = _FORM_TOKEN.sub(r"\1", page)
    for words in own:
        text = text.replace(words, "")
    return text


class Texts(HTMLParser):
    """The texts that a page shows or says, without scripts and commands."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._silent = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in {"script", "style", "code"}
        self.found |= {str(value) for name, value in attrs if name in {"aria-label", "alt", "title", "placeholder"}}

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in {"script", "style", "code"}

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not self._silent:
            self.found.add(text)
