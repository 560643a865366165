"""What `loading` stores: the resources of JSON texts, each with the line it came from.

Comes in: lines of a file, of which nothing is known. Goes out: resources by their type's name, or a refusal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fhir_server.interactions.model import Context
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind

_LIMIT_BYTES = 2**30
_BUNDLE = "Bundle"

Refused = tuple[int, str]
"""Line and reason."""


class Text(NamedTuple):
    """One JSON text: the number of its line (1 for a whole file) and its bytes."""

    line: int
    text: bytes


class Entry(NamedTuple):
    """A resource to store, or a transaction Bundle to post.

    Attributes:
        line: Where it stands.
        where: Where in the line, "" for all of it.
        resource: What was sent, of a known type.
        is_transaction: It is a Bundle that is posted.
        may_be_conditional: A reference in it may be a search.
    """

    line: int
    where: str
    resource: Mapping[str, Any]
    is_transaction: bool
    may_be_conditional: bool

    def refused(self, error: FhirError) -> Refused:
        """Return the line and why this is not stored."""
        return self.line, self.where + reason_of(error)


def parse(texts: Sequence[Text], context: Context) -> tuple[list[Entry], list[Refused]]:
    """Return what the texts hold, in order, and what is no text of a resource."""
    entries: list[Entry] = []
    refused: list[Refused] = []
    for each in texts:
        try:
            content = json.decode(each.text, _LIMIT_BYTES)
        except FhirError as error:
            refused.append((each.line, reason_of(error)))
            continue
        may_be_conditional = b"?" in each.text
        is_transaction = content.get("resourceType") == _BUNDLE and content.get("type") == "transaction"
        for where, resource in [("", content)] if is_transaction else _resources_of(content):
            if isinstance(resource, dict) and resource.get("resourceType") in context.definitions.resource_types:
                entries.append(Entry(each.line, where, resource, is_transaction, may_be_conditional))
            else:
                refused.append((each.line, f"{where}resourceType must be the name of a resource type of FHIR R4"))
    return entries, refused


def groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield transaction Bundles alone, what stands between them together."""
    group: list[Entry] = []
    for entry in entries:
        if group and (entry.is_transaction or group[-1].is_transaction):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def reason_of(error: FhirError) -> str:
    """Return what a refusal says, with the element where its text does not name it, and how much more is wrong."""
    named = error.issues[0].expression
    where = "".join(f" ({each})" for each in named[:1] if each not in str(error.diagnostics))
    more = f" [and {len(error.issues) - 1} more]" if len(error.issues) > 1 else ""
    return f"{error.diagnostics}{where}{more}"


def _resources_of(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield a resource, or those of a Bundle that only collects them, each with its place."""
    if content.get("resourceType") != _BUNDLE:
        yield "", content
        return
    entries = content.get("entry", [])
    if not isinstance(entries, list):
        yield "Bundle.entry: ", None
        return
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or "resource" in entry:
            yield f"Bundle.entry[{index}]: ", entry.get("resource") if isinstance(entry, dict) else None


def within(refused: Sequence[Refused], first: int, last: int) -> tuple[Refused, ...]:
    """Return the refusals of some lines, both ends included."""
    return tuple(each for each in refused if first <= each[0] <= last)


def missing(kind: str) -> FhirError:
    """Return the refusal of a conditional reference that finds nothing."""
    return FhirError(Kind.MULTIPLE_MATCHES, f"No {kind} matches a conditional reference")
