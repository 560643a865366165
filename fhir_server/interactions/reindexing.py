"""Rebuild what is derived from content (index rows, hot columns, consent grants) while the server goes on serving.

Not an interaction: nothing is disclosed and no version changes. Whose a row is stays as it was decided on its write,
and so do its labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import NamedTuple

from fhir_server.access.closure import CONTAINERS, compile_memberships
from fhir_server.access.consent import compile_consent
from fhir_server.access.ownership import own_confidentiality
from fhir_server.interactions.model import Context
from fhir_server.search import index
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError
from fhir_server.store import derived, grants, memberships
from fhir_server.store.database import Session
from fhir_server.store.derived import Derived, Stored

_BATCH_COUNT = 100
_RULES = ("Consent", *sorted(CONTAINERS))


class Checked(NamedTuple):
    """A batch of resources that decide who may see what: how many, and those that were not in force as they say."""

    size: int
    differing: tuple[str, ...]


def rebuild(context: Context, types: Sequence[str] = ()) -> Iterator[int]:
    """Rebuild the given types (none: all), a transaction per batch; yield the size of each batch once committed."""
    after: int | None = None
    while True:
        with context.store.write() as session:
            keys = rebuild_batch(session, context, types, after)
        if not keys:
            return
        yield len(keys)
        after = keys[-1]


def rebuild_batch(session: Session, context: Context, types: Sequence[str], after: int | None) -> list[int]:
    """Rebuild some resources of the given types (none: all) and return their keys, in order; none at the end.

    Args:
        session: A write transaction.
        context: Definitions and base URL.
        types: Resource types.
        after: Key of the last resource of the batch before, None at the start.
    """
    batch = derived.stored(session, types, after=after, limit=_BATCH_COUNT)
    derived.replace(session, [_derived(session, context, row) for row in batch])
    return [row.key for row in batch]


def rebuild_rules(context: Context) -> Iterator[Checked]:
    """Compile anew what decides who may see what (Consents, roles, teams, groups) and compare with what is in force.

    Yields a batch at a time, once committed: what differed is in force again as the resources say.
    """
    after: int | None = None
    while True:
        with context.store.write() as session:
            batch = derived.stored(session, _RULES, after=after, limit=_BATCH_COUNT)
            differing = [name for row in batch if (name := _recompiled(session, context, row))]
        if not batch:
            return
        yield Checked(len(batch), tuple(differing))
        after = batch[-1].key


def _derived(session: Session, context: Context, row: Stored) -> Derived:
    resource = json.decode(row.content, len(row.content) + 1)
    if resource["resourceType"] in _RULES:
        _recompiled(session, context, row)
    found = index.derive(context.definitions, resource, key=row.key, patient=row.patient, fhir_base=context.fhir_base)
    # INVARIANT: a level is only raised: it may be that of what the row goes with, or of what a patient chose.
    level = max(row.confidentiality, own_confidentiality(resource))
    return Derived(row.key, level, *found.hot, found.rows)


def _recompiled(session: Session, context: Context, row: Stored) -> str:
    """Put what a resource states in force; return its name where something else was, else ""."""
    resource = json.decode(row.content, len(row.content) + 1)
    if resource["resourceType"] == "Consent":
        compiled = _compiled(context, resource, row.key)
        same = list(compiled) == grants.of_consent(session, row.key)
        if not same:
            grants.replace(session, row.key, compiled)
    else:
        stated = sorted(compile_memberships(resource, row.key, context.fhir_base), key=astuple)
        same = stated == memberships.of_sources(session, [row.key])
        if not same:
            memberships.replace(session, row.key, stated)
    return "" if same else f"{resource['resourceType']}/{resource['id']}"


def _compiled(context: Context, resource: json.Json, key: int) -> tuple[grants.Grant, ...]:
    try:
        return compile_consent(resource, key, context.definitions.resource_types)
    except FhirError:
        # INVARIANT: a Consent that the gate of today cannot enforce permits nothing.
        return ()
