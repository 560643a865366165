r"""The grammar of `_filter` (https://hl7.org/fhir/R4/search_filter.html): text in, tree out.

`and` and `or` have no precedence over each other, they are read from left to right. INVARIANT: the tree is small: its
depth and its number of tests are bounded, for what comes after it recurses over it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from fhir_server.search.syntax import VALUE_CHARACTERS, invalid, shown
from fhir_server.spec.outcome import FhirError

OPERATORS = (
    "eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "sb", "in", "ni", "re",
)  # fmt: skip
DEPTH_LIMIT = 8
TESTS_LIMIT = 40

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?::[A-Za-z_][A-Za-z0-9_-]*)*")
_OPERATOR = re.compile(r"\s+([a-z]{2})(?=\s)")
_NOT = re.compile(r"not\s*(?=\()")
_WORD = re.compile(r"(and|or)(?=[\s(])")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_TOKEN = re.compile(r"[^\s\])]+")


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a path, and what its resource or occurrence must meet beside what follows."""

    name: str
    inner: Node | None = None


@dataclass(frozen=True, slots=True)
class Test:
    """A path, an operator and a value as the search parameter would take it."""

    path: tuple[Step, ...]
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Junction:
    """All of these hold (`and`), or at least one does (`or`)."""

    word: Literal["and", "or"]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """This does not hold."""

    node: Node


Node = Test | Junction | Negation


def parse_filter(text: str) -> Node:
    """Return the tree of a filter.

    Raises:
        FhirError: 400 that says where the text is not understood and what was expected there.
    """
    if len(text) > VALUE_CHARACTERS:
        raise invalid("_filter", f"has at most {VALUE_CHARACTERS} characters.")
    scanner = _Scanner(text)
    node = scanner.filter(0)
    if scanner.at < len(text):
        raise scanner.unexpected("'and', 'or' or the end")
    if _depth(node) > DEPTH_LIMIT:
        raise _too_deep()
    return node


def _depth(node: Node) -> int:
    if isinstance(node, Test):
        return max((1 + _depth(step.inner) for step in node.path if step.inner), default=0)
    return 1 + max(map(_depth, node.nodes if isinstance(node, Junction) else (node.node,)))


def _too_deep() -> FhirError:
    return invalid("_filter", f"nests 'and', 'or', 'not' and [] at most {DEPTH_LIMIT} deep.")


@dataclass(slots=True)
class _Scanner:
    """Reads a filter from left to right."""

    text: str
    at: int = 0
    tests: int = 0

    def filter(self, depth: int) -> Node:
        """Read tests joined by words, up to what belongs to none of them."""
        if depth > DEPTH_LIMIT:
            raise _too_deep()
        node = self._operand(depth)
        while True:
            self._take(_SPACE)
            found = self._take(_WORD)
            if found is None:
                return node
            node = _joined("and" if found[1] == "and" else "or", node, self._operand(depth))

    def unexpected(self, expected: str) -> FhirError:
        """Return the refusal of what stands here."""
        here = self.text[self.at : self.at + 20]
        found = f"'{shown(here)}'" if here else "the end"
        return invalid("_filter", f"is not understood at character {self.at + 1}: {expected} expected, not {found}.")

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def _operand(self, depth: int) -> Node:
        self._take(_SPACE)
        negated = self._take(_NOT) is not None
        if not self.text.startswith("(", self.at):
            return self._test(depth)
        node = self._enclosed(depth, ")")
        return Negation(node) if negated else node

    def _enclosed(self, depth: int, closing: str) -> Node:
        self.at += 1
        node = self.filter(depth + 1)
        if not self.text.startswith(closing, self.at):
            raise self.unexpected(f"'and', 'or' or '{closing}'")
        self.at += 1
        return node

    def _test(self, depth: int) -> Test:
        self.tests += 1
        if self.tests > TESTS_LIMIT:
            raise invalid("_filter", f"has at most {TESTS_LIMIT} tests.")
        path = self._path(depth)
        found = self._take(_OPERATOR)
        if found is None or found[1] not in OPERATORS:
            raise self.unexpected(f"one of {', '.join(OPERATORS)}, between spaces,")
        self._take(_SPACE)
        return Test(path, found[1], self._value())

    def _path(self, depth: int) -> tuple[Step, ...]:
        steps = []
        while True:
            found = self._take(_NAME)
            if found is None:
                raise self.unexpected("the name of a search parameter")
            inner = self._enclosed(depth, "]") if self.text.startswith("[", self.at) else None
            steps.append(Step(found[0], inner))
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        if inner is not None:
            raise self.unexpected("'.' and a name after ']'")
        return tuple(steps)

    def _value(self) -> str:
        if self.text.startswith('"', self.at):
            found = self._take(_STRING)
            if found is not None:
                try:
                    value = str(json.loads(found[0]))
                    value.encode()
                except ValueError:
                    self.at = found.start()
                else:
                    return value
            raise self.unexpected("a JSON string")
        found = self._take(_TOKEN)
        if found is None:
            raise self.unexpected("a value")
        return found[0]


def _joined(word: Literal["and", "or"], left: Node, right: Node) -> Node:
    """Return both under one word; a run of the same word is one list."""
    if isinstance(left, Junction) and left.word == word:
        return Junction(word, (*left.nodes, right))
    return Junction(word, (left, right))
