"""A page of AuditEvents, read no deeper than words about them need: an event of a search lists hundreds of resources.

In comes the searchset as it was answered; out go the same AuditEvents with each kind of entity once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

_RESOURCE: Final = b'{"what":{"reference":"'
"""How an entity begins that is a resource, with its type next."""


class Event(Struct, frozen=True):
    """`AuditEvent`."""

    id: str
    type: Any = None
    subtype: list[Any] = []
    action: str = ""
    recorded: str = ""
    outcome: str = ""
    purposeOfEvent: list[Any] = []  # noqa: N815 - the element of FHIR
    agent: list[Any] = []
    entity: list[Raw] = []


class Entry(Struct, frozen=True):
    """`Bundle.entry`."""

    resource: Event


class Page(Struct, frozen=True):
    """A searchset of AuditEvents."""

    entry: list[Entry] = []
    link: list[Any] = []


def searchset(content: bytes) -> dict[str, Any]:
    """Return a searchset whose AuditEvents have what pages show, each kind of entity once."""
    page = msgspec.json.decode(content, type=Page)
    return {"link": page.link, "entry": [{"resource": _event(entry.resource)} for entry in page.entry]}


def _event(event: Event) -> dict[str, Any]:
    shown = {name: value for name in Event.__struct_fields__ if (value := getattr(event, name))}
    return shown | {"entity": list(_kinds(event.entity))}


def _kinds(entities: list[Raw]) -> Iterator[Any]:
    """Yield entities; of resources of one type that have nothing else to tell apart, the first."""
    known: set[tuple[bytes, bytes]] = set()
    for each in entities:
        text = bytes(each)
        if text.startswith(_RESOURCE):
            name, _, rest = text[len(_RESOURCE) :].partition(b'"')
            kind = (name.partition(b"/")[0], rest)
            if kind in known:
                continue
            known.add(kind)
        yield msgspec.json.decode(text)
