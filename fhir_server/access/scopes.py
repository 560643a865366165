"""SMART App Launch 2.2 scopes, versions 1 and 2, as values (https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html).

A scope string is parsed once; unknown clinical syntax is kept out (never widened). `Scopes` answers "may this token
ever do this interaction on this type", and which rows a granular scope (`?category=system|code`) narrows it to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl

_PATTERN = re.compile(
    r"(?P<level>patient|user|system)/(?P<type>\*|[A-Z][A-Za-z]{1,63})\.(?P<rights>read|write|\*|c?r?u?d?s?)(?:\?(?P<query>.+))?"
)
_V1 = {"read": "rs", "write": "cud", "*": "cruds"}


class Clinical(NamedTuple):
    """One clinical scope.

    Attributes:
        level: `patient`, `user` or `system`.
        type: Resource type or `*`.
        rights: Subset of `cruds`.
        query: Granular restriction as (parameter, value) pairs; empty means none.
    """

    level: str
    type: str
    rights: str
    query: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Scopes:
    """Parsed scopes of a token."""

    clinical: tuple[Clinical, ...]
    other: frozenset[str]
    unrestricted: bool = False

    def allowing(self, right: str, resource_type: str) -> tuple[Clinical, ...]:
        """Return the clinical scopes that give this right (`c`, `r`, `u`, `d` or `s`) on this type."""
        return tuple(s for s in self.clinical if right in s.rights and s.type in {"*", resource_type})

    def allows(self, right: str, resource_type: str) -> bool:
        """Return whether the token may ever do this on this type (scope gate, 403 otherwise)."""
        return self.unrestricted or bool(self.allowing(right, resource_type))


EVERYTHING = Scopes((), frozenset(), unrestricted=True)
"""Scopes of a portal session: all that its user may do."""


def parse(text: str) -> Scopes:
    """Parse a space separated scope string; what is not understood grants nothing."""
    clinical: list[Clinical] = []
    other: set[str] = set()
    for item in text.split():
        match = _PATTERN.fullmatch(item)
        if match is None or not match["rights"]:
            other.add(item)
            continue
        query = tuple(parse_qsl(match["query"] or "", keep_blank_values=True))
        clinical.append(Clinical(match["level"], match["type"], _V1.get(match["rights"], match["rights"]), query))
    return Scopes(tuple(clinical), frozenset(other))
