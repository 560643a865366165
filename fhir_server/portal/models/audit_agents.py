"""Of a page of AuditEvents, who had to do with them, and nothing of the hundreds of entities that each may list."""

from __future__ import annotations

from msgspec import Struct


class Who(Struct, frozen=True):
    """`AuditEvent.agent.who`."""

    reference: str = ""
    display: str = ""


class Agent(Struct, frozen=True):
    """`AuditEvent.agent`."""

    who: Who = Who()
    name: str = ""


class Event(Struct, frozen=True):
    """`AuditEvent`."""

    agent: tuple[Agent, ...] = ()


class Entry(Struct, frozen=True):
    """`Bundle.entry`."""

    resource: Event


class Agents(Struct, frozen=True):
    """A searchset."""

    entry: tuple[Entry, ...] = ()
