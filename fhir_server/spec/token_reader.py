"""Read the tokens of an expression from left to right: what our recursive descents have in common."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod


class TokenReader(ABC):
    """Tokens of a text; the empty token ends it and stays ahead for ever."""

    def __init__(self, pattern: re.Pattern[str], text: str) -> None:
        """Take the tokens that a pattern finds in a text."""
        self._tokens: list[str] = [*pattern.findall(text), ""]
        self._at = 0

    @abstractmethod
    def unsupported(self) -> Exception:
        """Return what is raised where the token ahead is not understood."""

    @property
    def ahead(self) -> str:
        """Return the next token, which stays where it is."""
        return self._tokens[self._at]

    def take(self) -> str:
        """Return the next token and go on to the one after it."""
        token = self.ahead
        self._at += bool(token)
        return token

    def accept(self, token: str) -> bool:
        """Take the next token if it is this one; return whether it was."""
        if self.ahead != token:
            return False
        self._at += bool(token)
        return True

    def expect(self, token: str) -> None:
        """Take the next token, which has to be this one."""
        if not self.accept(token):
            raise self.unsupported()
