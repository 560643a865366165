"""Parse the subset of FHIRPath that search parameters use.

Comes in: the expression of a SearchParameter, or of one component of a composite.
Goes out: alternatives, each a `Path` (elements to visit) or a `Condition` (a truth value, as for `Patient.deceased`).
Knows no types: `routes.py` puts them on. Grammar: https://hl7.org/fhirpath/N1/ and https://hl7.org/fhir/R4/fhirpath.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fhir_server.spec.token_reader import TokenReader

_TOKEN = re.compile(r"\s*('(?:[^'\\]|\\.)*'|%resource|[A-Za-z_]\w*|[0-9]+|!=|[()\[\].|=]|\S)")
RESOURCE_ROOT = "%resource"


class UnsupportedExpressionError(ValueError):
    """The expression uses FHIRPath beyond the subset."""


@dataclass(frozen=True, slots=True)
class Field:
    """Child elements of this name; a choice (`value[x]`) goes by its name without the type."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """Only the element at this position, counted from 0."""

    position: int


@dataclass(frozen=True, slots=True)
class OfType:
    """Only elements of this type."""

    name: str


@dataclass(frozen=True, slots=True)
class Equals:
    """Only elements whose child of this name has this value."""

    name: str
    literal: str


@dataclass(frozen=True, slots=True)
class ResolvesTo:
    """Only references to resources of this type, told without fetching them."""

    name: str


@dataclass(frozen=True, slots=True)
class HasExtension:
    """Only elements that carry this extension."""

    url: str


Step = Field | Index | OfType | Equals | ResolvesTo | HasExtension


@dataclass(frozen=True, slots=True)
class Path:
    """Elements reached from `head`: a type name, `%resource`, or empty for the element in hand."""

    head: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether a path has a value (`literal` is None), or has one that is (not) the literal."""

    path: Path
    literal: str | bool | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A conjunction: always one Boolean, false where a tested path is empty."""

    tests: tuple[Claim, ...]


Alternative = Path | Condition


def parse(expression: str) -> tuple[Alternative, ...]:
    """Return the alternatives of a union.

    Raises:
        UnsupportedExpressionError: The expression is beyond the subset.
    """
    parser = _Parser(expression)
    alternatives = parser.union()
    parser.expect("")
    return tuple(alternatives)


class _Parser(TokenReader):
    """Recursive descent over tokens."""

    def __init__(self, expression: str) -> None:
        super().__init__(_TOKEN, expression)
        self._expression = expression

    def unsupported(self) -> UnsupportedExpressionError:
        return UnsupportedExpressionError(f"Not supported at {self.ahead!r}: {self._expression}")

    def union(self) -> list[Alternative]:
        found = self.conjunction()
        while self.accept("|"):
            found += self.conjunction()
        return found

    def conjunction(self) -> list[Alternative]:
        first = self.comparison()
        if self.ahead != "and" and all(isinstance(each, Path) for each in first):
            return [each for each in first if isinstance(each, Path)]
        tests = self.sole_test(first)
        while self.accept("and"):
            tests += self.sole_test(self.comparison())
        return [Condition(tests)]

    def sole_test(self, found: list[Path | Claim]) -> tuple[Claim, ...]:
        if len(found) != 1 or not isinstance(found[0], Claim):
            raise self.unsupported()
        return (found[0],)

    def comparison(self) -> list[Path | Claim]:
        paths = self.typed()
        if self.ahead in {"=", "!="} and len(paths) == 1 and isinstance(paths[0], Path):
            negated = self.take() == "!="
            return [Claim(paths[0], self.literal(), negated=negated)]
        return paths

    def literal(self) -> str | bool:
        text = self.take()
        if text in {"true", "false"}:
            return text == "true"
        if text.startswith("'"):
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        raise self.unsupported()

    def typed(self) -> list[Path | Claim]:
        found = self.postfix()
        if self.accept("as"):
            return self.extend(found, OfType(self.identifier()))
        return found

    def postfix(self) -> list[Path | Claim]:
        found = self.primary()
        while True:
            if self.accept("."):
                found = self.step(found)
            elif self.accept("["):
                found = self.extend(found, Index(self.position()))
                self.expect("]")
            else:
                return found

    def primary(self) -> list[Path | Claim]:
        if self.accept("("):
            inner = self.union()
            self.expect(")")
            if not all(isinstance(each, Path) for each in inner):
                raise self.unsupported()
            return [each for each in inner if isinstance(each, Path)]
        if self.accept(RESOURCE_ROOT):
            return [Path(RESOURCE_ROOT)]
        if self.ahead[:1].isupper():
            return [Path(self.take())]
        return self.step([Path("")])

    def step(self, found: list[Path | Claim]) -> list[Path | Claim]:
        name = self.identifier()
        if not self.accept("("):
            return self.extend(found, Field(name))
        match name:
            case "as" | "ofType":
                steps: tuple[Step, ...] = (OfType(self.identifier()),)
            case "where":
                steps = (self.criterion(),)
            case "extension":
                steps = (Field("extension"), Equals("url", str(self.literal())))
            case "exists" if len(found) == 1 and isinstance(found[0], Path):
                self.expect(")")
                return [Claim(found[0])]
            case _:
                raise self.unsupported()
        self.expect(")")
        return self.extend(found, *steps)

    def criterion(self) -> Step:
        name = self.identifier()
        if name == "hasExtension":
            self.expect("(")
            criterion: Step = HasExtension(str(self.literal()))
            self.expect(")")
            return criterion
        if name == "resolve":
            for token in ("(", ")", "is"):
                self.expect(token)
            return ResolvesTo(self.identifier())
        self.expect("=")
        return Equals(name, str(self.literal()))

    def position(self) -> int:
        if not self.ahead.isdigit():
            raise self.unsupported()
        return int(self.take())

    def extend(self, found: list[Path | Claim], *steps: Step) -> list[Path | Claim]:
        extended: list[Path | Claim] = []
        for each in found:
            if not isinstance(each, Path):
                raise self.unsupported()
            extended.append(replace(each, steps=each.steps + steps))
        return extended

    def identifier(self) -> str:
        if not self.ahead.isidentifier():
            raise self.unsupported()
        return self.take()
