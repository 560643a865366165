"""The official examples, read from the archive that the build of the definitions keeps in its cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.spec.build_definitions import EXAMPLES
from fhir_server.spec.build_packages import fetch, read_members
from fhir_server.spec.definitions import Definitions

Json = dict[str, Any]


def read_examples(definitions: Definitions, largest_bytes: int = 10**9) -> Iterator[tuple[str, bytes]]:
    """Yield name and text of every example resource up to a size."""
    for name, raw in read_members(fetch(EXAMPLES), definitions.resource_types):
        if len(raw) <= largest_bytes:
            yield name, raw
