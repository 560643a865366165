"""The profiles a server knows: StructureDefinitions by canonical URL, and those that its configuration requires.

Comes in: StructureDefinition resources, ours and an operator's. Goes out: an immutable `Profiles`, part of the
`Definitions`. Nothing is compiled before a resource claims a profile (`profile_check.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Json = Mapping[str, Any]

CORE = "http://hl7.org/fhir/StructureDefinition/"
_REQUIREMENT = re.compile(r"([A-Z][A-Za-z]+)=(\S+)")


@dataclass(frozen=True)
class Profiles:
    """The profiles that resources are held to.

    Attributes:
        resources: StructureDefinitions in the order they were added; of two with one URL and version the first counts,
            so that nobody changes what ours mean.
        required: By resource type, the canonicals that every resource of the type must satisfy.
        compiled: What `profile_check` made of them; nobody else looks here.
    """

    resources: tuple[Json, ...] = ()
    required: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    compiled: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    @cached_property
    def _by_url(self) -> Mapping[str, tuple[Json, ...]]:
        found: dict[str, tuple[Json, ...]] = {}
        for each in self.resources:
            found[str(each["url"])] = (*found.get(str(each["url"]), ()), each)
        return found

    @cached_property
    def extensions(self) -> frozenset[str]:
        """Return the URLs of extensions whose definition is known."""
        return frozenset(url for url, found in self._by_url.items() if found[0].get("type") == "Extension")

    def find(self, canonical: str) -> Json | None:
        """Return a profile by `url` or `url|version`, None where it is not known."""
        url, _, version = canonical.partition("|")
        found = self._by_url.get(url, ())
        return next((each for each in found if version in {"", each.get("version", "")}), None)

    def of_type(self, resource_type: str) -> tuple[str, ...]:
        """Return the URLs of the profiles of a resource type."""
        return tuple(url for url, found in self._by_url.items() if found[0].get("type") == resource_type)

    def adding(self, resources: Iterable[Json]) -> Profiles:
        """Return these profiles and more."""
        return Profiles((*self.resources, *resources), self.required)

    def requiring(self, required: Mapping[str, tuple[str, ...]]) -> Profiles:
        """Return these profiles with other requirements."""
        return Profiles(self.resources, required)


def parse_required(text: str) -> Mapping[str, tuple[str, ...]]:
    """Return by resource type what a setting requires: `Type=canonical`, several separated by spaces or commas.

    Raises:
        ValueError: Naming the part that is none.
    """
    found: dict[str, tuple[str, ...]] = {}
    for part in re.split(r"[\s,]+", text.strip()) if text.strip() else ():
        if not (match := _REQUIREMENT.fullmatch(part)):
            raise ValueError(part)
        found[match[1]] = (*found.get(match[1], ()), match[2])
    return found
