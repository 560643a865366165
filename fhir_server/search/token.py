"""Tokens: codes, identifiers, contact points, flags (https://hl7.org/fhir/R4/search.html#token).

A row holds the keys of system and code, and the start of the code for sorting. Texts (`:text`) are rows of
`index_string` under the same parameter, types of identifiers (`:of-type`) rows of `index_token` beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, or_, tuple_

from fhir_server.search import keys, string, token_sets
from fhir_server.search.model import Match, Reading
from fhir_server.search.prepare import value as value_field
from fhir_server.search.syntax import invalid, split, unescape, unsupported
from fhir_server.spec.definitions import Definitions, SearchParameter
from fhir_server.store.keys import NONE

TABLE = "index_token"
MODIFIERS = frozenset({"", "not", "text", "of-type", "in", "not-in", "above", "below"})
VALUES_LIMIT = 1_000
HEAD_CHARACTERS = 24
_SYSTEMS_SPELLED_OUT = 20

_CASE_MATTERS = frozenset({"Identifier", "id", "uri", "url", "oid", "uuid", "canonical", "base64Binary"})
_CODED = frozenset({"CodeableConcept", "Coding", "code"})
_APPLIES_TO = {
    "text": frozenset({"CodeableConcept", "Coding", "Identifier"}),
    "of-type": frozenset({"Identifier"}),
    **dict.fromkeys(("in", "not-in", "above", "below"), _CODED),
}
_SPECIAL_VALUES = frozenset(
    {"http://hl7.org/fhir/special-values", "http://terminology.hl7.org/CodeSystem/special-values"}
)
MIME = "urn:ietf:bcp:13"
_SELECTIVE = frozenset({"identifier", "_id", "email", "phone", "telecom"})
_SYNTAX = "is [code], [system]|[code], |[code] or [system]|; write a | within a code as \\|."


class Columns(NamedTuple):
    """Columns of `index_token` that a value fills, in their order."""

    code: int
    system: int
    head: str = ""


def write(kind: str, value: Any, parameter: SearchParameter, reading: Reading) -> Sequence[Columns]:
    """Return the columns of the rows of one node; one without a code is a row too, so that it is not missing."""
    key = _code_key(reading.definitions, parameter)
    match kind:
        case "CodeableConcept":
            codings: Sequence[Any] = value.get("coding") or ({},)
            return [_row(key, coding.get("system"), coding.get("code")) for coding in codings if coding is not None]
        case "Coding":
            return (_row(key, value.get("system"), value.get("code")),)
        case "Identifier" | "ContactPoint":
            return (_row(key, value.get("system"), value.get("value")),)
        case "code":
            return (_row(key, parameter.system, value),)
        case _ if isinstance(value, bool):
            return (_row(key, None, "true" if value else "false"),)
        case _ if isinstance(value, str):
            return (_row(key, None, value),)
        case _:
            return ()


def write_beside(kind: str, value: Any) -> Iterator[Columns]:
    """Yield the columns of the `:of-type` rows of one node: type of the identifier, and its value."""
    if kind != "Identifier" or not value.get("value"):
        return
    for coding in value.get("type", {}).get("coding", ()):
        if coding and coding.get("code"):
            yield _typed(coding.get("system"), coding["code"], value["value"])


def write_mime(kind: str, value: Any) -> Iterator[Columns]:
    """Yield the columns of the `:below` row of a MIME type: the type without its parameters."""
    if kind == "code":
        yield Columns(keys.code_key(_mime_base(value)), NONE)


def _mime_base(value: str) -> str:
    return value.partition(";")[0].strip()


def texts(kind: str, value: Any) -> Iterator[str]:
    """Yield the texts that `:text` searches: CodeableConcept.text, Coding.display, Identifier.type.text."""
    match kind:
        case "CodeableConcept":
            concept = value
        case "Coding":
            concept = {"coding": [value]}
        case "Identifier":
            concept = {"text": value.get("type", {}).get("text")}
        case _:
            return
    if concept.get("text"):
        yield concept["text"]
    yield from (coding["display"] for coding in concept.get("coding", ()) if coding and coding.get("display"))


def read(parameter: SearchParameter, modifier: str, values: Sequence[str], reading: Reading) -> Match:
    """Understand a list of alternatives.

    Raises:
        FhirError: 400 when a value is no token, or the value set of `:in` is not known here.
    """
    key = _code_key(reading.definitions, parameter)
    if modifier in _APPLIES_TO:
        _check_applies(parameter, modifier, reading.definitions)
    match modifier:
        case "text":
            if len(values) > string.VALUES_LIMIT:
                raise invalid(f"{parameter.code}:text", f"lists at most {string.VALUES_LIMIT} texts.")
            return string.read(parameter, "", values, reading)
        case "of-type":
            return Match(TABLE, _read_typed(parameter, values), suffix=keys.OF_TYPE, rank=1)
        case "in" | "not-in":
            systemless = parameter.system is None and _kinds(reading.definitions, parameter) == {"code"}
            found = token_sets.read_sets(parameter, modifier, values, reading, key, systemless=systemless)
            return Match(TABLE, found, negated=modifier == "not-in", rank=6)
        case "below" if parameter.system == MIME:
            bases = TokenTest(tuple(keys.code_key(_mime_base(unescape(value))) for value in values))
            return Match(TABLE, bases, suffix=keys.BELOW, rank=6)
        case "above" | "below":
            return Match(TABLE, token_sets.read_hierarchy(parameter, modifier, values, reading, key), rank=6)
        case _:
            test = _read_codes(parameter, values, reading)
            selective = parameter.code in _SELECTIVE and not modifier and not test.systems
            rank = 1 if selective else 6
            return Match(TABLE, test, negated=modifier == "not", rank=rank, hot=_hot(test))


@dataclass(frozen=True, slots=True)
class TokenTest:
    """One of these codes.

    Attributes:
        codes: Keys of codes of whatever system.
        of_system: System keys with the keys of their codes.
        systems: Keys of systems whose every code will do.
    """

    codes: tuple[int, ...] = value_field(default=())
    of_system: tuple[tuple[int, tuple[int, ...]], ...] = value_field(default=())
    systems: tuple[int, ...] = value_field(default=())

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_token`, which may be looked up by its code."""
        return self._on(index, index.c.code)

    def of_one(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on the rows of one resource, which are looked up by its key.

        PostgreSQL would look for the key among all rows of the code, between whose order and it stands the time.
        """
        return self._on(index, index.c.code + 0)

    def _on(self, index: FromClause, found: ColumnElement[int]) -> ColumnElement[bool]:
        ways: list[ColumnElement[bool]] = []
        if self.codes:
            ways.append(found.in_(self.codes))
        if self.systems:
            ways.append(index.c.system.in_(self.systems))
        if len(self.of_system) > _SYSTEMS_SPELLED_OUT:
            pairs = [(system, code) for system, codes in self.of_system for code in codes]
            ways.append(tuple_(index.c.system, found).in_(pairs))
        else:
            ways += [and_(found.in_(codes), index.c.system == system) for system, codes in self.of_system]
        return or_(*ways)


def _hot(test: TokenTest) -> tuple[int, ...]:
    if test.systems:
        return ()
    codes = (*test.codes, *(code for _, codes in test.of_system for code in codes))
    return tuple(sorted(set(codes)))


def _read_codes(parameter: SearchParameter, values: Sequence[str], reading: Reading) -> TokenTest:
    key = _code_key(reading.definitions, parameter)
    codes: list[int] = []
    systems: list[int] = []
    of_system: dict[int, list[int]] = defaultdict(list)
    for value in values:
        parts = [unescape(part) for part in split(value, "|")]
        match parts:
            case [code] if code:
                codes.append(key(code))
            case ["", code] if code:
                # An element of type `code` has no system property, so `|code` means it too.
                for system in {NONE, keys.text_key(parameter.system)}:
                    of_system[system].append(key(code))
            case [system_url, ""] if system_url:
                systems.append(keys.text_key(system_url))
            case [system_url, code] if system_url in _SPECIAL_VALUES and code in {"true", "false"}:
                # A flag has no system property, yet R4 gives its values one.
                for system in (NONE, keys.text_key(system_url)):
                    of_system[system].append(key(code))
            case [system_url, code] if system_url and code:
                of_system[keys.text_key(system_url)].append(key(code))
            case _:
                raise invalid(parameter.code, _SYNTAX)
    pairs = tuple((system, tuple(found)) for system, found in of_system.items())
    return TokenTest(tuple(codes), pairs, tuple(systems))


def _read_typed(parameter: SearchParameter, values: Sequence[str]) -> TokenTest:
    of_system: dict[int, list[int]] = defaultdict(list)
    for value in values:
        parts = [unescape(part) for part in split(value, "|")]
        if len(parts) != 3 or not parts[1] or not parts[2]:  # noqa: PLR2004 - system, code, value
            raise invalid(f"{parameter.code}:of-type", "is [system of the type]|[code of the type]|[value].")
        wanted = _typed(parts[0], parts[1], parts[2])
        of_system[wanted.system].append(wanted.code)
    return TokenTest(of_system=tuple((system, tuple(found)) for system, found in of_system.items()))


def _typed(system: str | None, code: str, value: str) -> Columns:
    return Columns(keys.text_key(f"{code.casefold()}|{value}"), keys.text_key(system))


@lru_cache(maxsize=4_096)
def _row(key: Callable[[str], int], system: str | None, code: str | None) -> Columns:
    """Return the columns of one code; remembered, for codes repeat."""
    head = code[:HEAD_CHARACTERS].casefold() if code else ""
    return Columns(key(code) if code else NONE, keys.text_key(system), head)


def _code_key(definitions: Definitions, parameter: SearchParameter) -> Callable[[str], int]:
    """Return how codes of this parameter are compared: identifiers and URIs to the letter, else regardless of case."""
    return keys.text_key if case_matters(definitions, parameter) else keys.code_key


def case_matters(definitions: Definitions, parameter: SearchParameter) -> bool:
    """Return whether the codes of a parameter are compared with regard to case."""
    if parameter.type == "reference":
        return True
    kinds = _kinds(definitions, parameter)
    return bool(kinds) and kinds <= _CASE_MATTERS


def _check_applies(parameter: SearchParameter, modifier: str, definitions: Definitions) -> None:
    kinds = _kinds(definitions, parameter)
    if kinds and not kinds & _APPLIES_TO[modifier]:
        name, allowed = f"{parameter.code}:{modifier}", ", ".join(sorted(_APPLIES_TO[modifier]))
        raise unsupported(
            name, f"has a modifier for {allowed} only; this parameter searches {', '.join(sorted(kinds))}."
        )


def _kinds(definitions: Definitions, parameter: SearchParameter) -> frozenset[str]:
    """Return the FHIR types of the elements that a parameter searches; none where that is not known."""
    found = _known_kinds.get((parameter.key, parameter.expression))
    if found is None:
        routes = definitions.routes(parameter.resource_type, parameter.expression) if parameter.expression else ()
        found = _known_kinds[parameter.key, parameter.expression] = frozenset(route.type for route in routes)
    return found


_known_kinds: dict[tuple[int, str], frozenset[str]] = {}
"""By key and expression: an operator may give a parameter of their own another one."""


def sort_columns(index: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return what ascending and descending order compare."""
    return index.c.head, index.c.head
