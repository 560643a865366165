"""Tokens by sets of codes: `:in`, `:not-in`, `:above`, `:below` (https://hl7.org/fhir/R4/search.html#modifiers).

Comes in: what a search names, and the terminology that is known to the caller. Goes out: a test of rows of
`index_token`. A set is one bound value however many codes it has, so the text of a statement depends on the number of
code systems only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    FromClause,
    and_,
    false,
    or_,
)

from fhir_server.search import keys
from fhir_server.search.model import Reading, Terms
from fhir_server.search.prepare import value as value_field
from fhir_server.search.syntax import invalid, shown, split, unescape, unsupported
from fhir_server.search.valueset import CODES_LIMIT, Codes, NotExpandable, Part, union
from fhir_server.spec.definitions import SearchParameter
from fhir_server.store.keys import NONE

_SYSTEMS_LIMIT = 100

CodeKey = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class CodesTest:
    """A code of one of these systems, out of a set.

    Attributes:
        listed: System keys, each with the keys of the codes that will do, separated by commas.
        all_but: System keys, each with the keys of the codes that will not.
        whole: Keys of systems whose every code will do.
    """

    listed: tuple[tuple[int, str], ...] = value_field(default=())
    all_but: tuple[tuple[int, str], ...] = value_field(default=())
    whole: tuple[int, ...] = value_field(default=())

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_token`, which may be looked up by its code."""
        return self._on(index, index.c.code)

    def of_one(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on the rows of one resource, which are looked up by its key.

        SQLite knows of a set only that it is one, and would look up each of its codes for each resource.
        """
        return self._on(index, index.c.code + 0)

    def _on(self, index: FromClause, code: ColumnElement[int]) -> ColumnElement[bool]:
        ways: list[ColumnElement[bool]] = [false()]
        ways += [and_(keys.among(code, codes), index.c.system == system) for system, codes in self.listed]
        ways += [and_(index.c.system == system, ~keys.among(code, codes)) for system, codes in self.all_but]
        if self.whole:
            ways.append(index.c.system.in_(self.whole))
        return or_(*ways)


def read_sets(
    parameter: SearchParameter,
    modifier: str,
    values: Sequence[str],
    reading: Reading,
    key: CodeKey,
    *,
    systemless: bool,
) -> CodesTest:
    """Understand the value sets of `:in` and `:not-in`.

    Args:
        parameter: What is searched.
        modifier: `in` or `not-in`, for refusals.
        values: Names of value sets.
        reading: What is known.
        key: Returns the key of a code.
        systemless: The rows of this parameter name no system, for FHIR binds its elements to no single one.

    Raises:
        FhirError: 400 when one is not known here or its codes cannot be told, and why.
    """
    name = f"{parameter.code}:{modifier}"
    found: list[Codes] = []
    for value in values:
        canonical = unescape(value)
        try:
            found.append(_terms(reading).codes(canonical))
        except NotExpandable as reason:
            raise unsupported(
                name, f"names the value set {shown(canonical)}, which cannot be expanded: {reason}."
            ) from reason
    return _test(name, found, key, systemless=systemless)


def read_hierarchy(
    parameter: SearchParameter,
    modifier: str,
    values: Sequence[str],
    reading: Reading,
    key: CodeKey,
) -> CodesTest:
    """Understand the concepts of `:above` and `:below`.

    Raises:
        FhirError: 400 when one names no system, or the hierarchy of its system is not known here.
    """
    name = f"{parameter.code}:{modifier}"
    found: list[Codes] = []
    for value in values:
        match [unescape(part) for part in split(value, "|")]:
            case [system, code] if system and code:
                pass
            case [code] if code and parameter.system:
                system = parameter.system
            case _:
                raise invalid(
                    name, "is [system]|[code]: it takes the code system to know what is above or below a code."
                )
        try:
            codes = _terms(reading).subsumed(system, code, above=modifier == "above")
        except NotExpandable as reason:
            raise unsupported(name, f"cannot be answered: {reason}.") from reason
        found.append({system: Part(codes)})
    return _test(name, found, key, systemless=False)


def _terms(reading: Reading) -> Terms:
    assert reading.terms is not None  # noqa: S101 - the read face has them
    return reading.terms


def _test(name: str, several: Iterable[Codes], key: CodeKey, *, systemless: bool) -> CodesTest:
    """Return the test for what is in one of the sets."""
    try:
        codes = union(several)
    except NotExpandable as reason:
        raise invalid(name, f"asks for more than {CODES_LIMIT} codes.") from reason
    if len(codes) > _SYSTEMS_LIMIT:
        raise invalid(name, f"asks for codes of more than {_SYSTEMS_LIMIT} code systems.")
    systems: dict[int, Part] = {keys.text_key(system): part for system, part in codes.items()}
    if systemless:
        systems[NONE] = _any(systems.values())
    return CodesTest(
        listed=_joined(systems, key, all_but=False),
        all_but=_joined(systems, key, all_but=True),
        whole=tuple(system for system, part in systems.items() if part.all_but and not part.codes),
    )


def _any(parts: Iterable[Part]) -> Part:
    found = Part(frozenset())
    for part in parts:
        found |= part
    return found


def _joined(systems: Mapping[int, Part], key: CodeKey, *, all_but: bool) -> tuple[tuple[int, str], ...]:
    return tuple(
        (system, ",".join(str(key(code)) for code in sorted(part.codes)))
        for system, part in systems.items()
        if part.codes and part.all_but is all_but
    )
