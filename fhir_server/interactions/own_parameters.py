"""Search parameters of the operator's own: a SearchParameter resource that is active is one more parameter.

It is checked on its write, known to every process within a second, indexed by the worker while the server serves, and
searched with only when all of the index is there: until then a search with it is refused, and says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.access.principal import Caller
from fhir_server.interactions import reindexing
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Context
from fhir_server.spec import json
from fhir_server.spec.definitions import Definitions, with_additions
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.own_parameters import base_types, check, check_remains, extended, is_known, is_made_of
from fhir_server.store import parameters
from fhir_server.store.database import Session, Store
from fhir_server.store.instants import to_us
from fhir_server.store.parameters import Own, State

_LOG = logging.getLogger(__name__)
_CHECKED_EVERY_S = 1.0
_LET_KNOW_US = 5_000_000
"""How long the index of a new parameter waits, so that every process writes its rows by then."""
_BATCHES_A_RUN = 20
_PARAMETERS_LIMIT = 500


@dataclass(slots=True)
class Current:
    """The definitions with what an operator put in force, looked up at most once a second; shared by all threads.

    Attributes:
        base: The definitions without the parameters of the operator.
        store: The database.
    """

    base: Definitions
    store: Store
    _checked_at_s: float = float("-inf")
    _revision: int = 0
    _found: Definitions | None = field(default=None, repr=False)

    def __call__(self) -> Definitions:
        """Return the definitions; those known so far while the database cannot be asked."""
        if time.monotonic() - self._checked_at_s >= _CHECKED_EVERY_S:
            self._checked_at_s = time.monotonic()
            try:
                with self.store.read() as session:
                    self._look_up(session)
            except Exception:  # noqa: BLE001 - a request that needs the database says itself what is wrong with it
                _LOG.exception("the search parameters in force could not be looked up")
        return self._found or self.base

    def _look_up(self, session: Session) -> None:
        now = parameters.revision(session)
        if now != self._revision:
            self._found = _with(self.base, parameters.in_force(session))
            self._revision = now


def _with(base: Definitions, found: list[Own]) -> Definitions:
    resources = [_resource(own) for own in found]
    unready = frozenset(
        str(resource["url"]) for own, resource in zip(found, resources, strict=True) if own.state is not State.READY
    )
    profiles = [each for each in resources if each["resourceType"] == "StructureDefinition"]
    made = extended(base, [each for each in resources if each["resourceType"] != "StructureDefinition"], unready)
    return replace(made, profiles=base.profiles.adding(profiles)) if profiles else made


def written(job: Job, resource: Mapping[str, Any], key: int) -> None:
    """Bring about what follows from a new version of a SearchParameter.

    Raises:
        FhirError: INVALID_CONTENT (422) naming the element of an active one that cannot be put in force.
    """
    if job.principal.caller is not Caller.OPERATOR:
        return
    base = job.definitions.base or job.definitions
    is_active = resource.get("status") == "active" and not is_known(base, str(resource.get("url")))
    others = _others(job, resource if is_active else None, key)
    if not is_active:
        parameters.take_back(job.session, key)
        return
    if len(others) >= _PARAMETERS_LIMIT:
        raise FhirError(Kind.INVALID_CONTENT, f"At most {_PARAMETERS_LIMIT} search parameters", ("SearchParameter",))
    made_of_it = [own for own in others if is_made_of(_resource(own), resource)]
    known = _with(base, [own for own in others if own not in made_of_it])
    check(known, resource)
    for own in made_of_it:
        check(with_additions(known, [resource]), _resource(own))
    parameters.register(job.session, key, json.encode(dict(resource)), to_us(job.context.now()))


def deleted(job: Job, key: int) -> None:
    """Take the parameter of a SearchParameter that is deleted out of force.

    Raises:
        FhirError: BUSINESS_RULE (422) naming the composite that is made of it.
    """
    if job.principal.caller is Caller.OPERATOR:
        _others(job, None, key)
        parameters.take_back(job.session, key)


def _others(job: Job, new: Mapping[str, Any] | None, key: int) -> list[Own]:
    """Return the other parameters in force, whose parts stay what they are; nobody else changes them meanwhile."""
    parameters.lock(job.session)
    found = parameters.in_force(job.session)
    others = [own for own in found if own.key != key]
    if len(others) < len(found):
        (old,) = (own for own in found if own.key == key)
        check_remains(_resource(old), new, [_resource(own) for own in others])
    return others


def _resource(own: Own) -> dict[str, Any]:
    return json.decode(own.content, len(own.content) + 1)


def index_due(context: Context) -> int:
    """Go on with the index of what is in force and not ready, some batches of it; return how many resources."""
    with context.store.read() as session:
        found = parameters.in_force(session)
    known_at = to_us(context.now()) - _LET_KNOW_US
    own = next((each for each in found if each.state is State.INDEXING and each.registered_at <= known_at), None)
    if own is None:
        return 0
    context = replace(context, definitions=_with(context.definitions.base or context.definitions, found))
    count = 0
    for _ in range(_BATCHES_A_RUN):
        with context.store.write() as session:
            size, own = _batch(session, context, own)
        count += size
        if own.state is not State.INDEXING:
            break
    return count


def _batch(session: Session, context: Context, own: Own) -> tuple[int, Own]:
    """Index one batch, and return its size with how far the parameter is."""
    resource = _resource(own)
    types = base_types(context.definitions, resource)
    keys = reindexing.rebuild_batch(session, context, types, own.position)
    if not keys:
        parameters.finish(session, own)
        return 0, replace(own, state=State.READY)
    if not parameters.advance(session, own, keys[-1], len(keys)):
        return len(keys), replace(own, state=State.GONE)
    return len(keys), replace(own, position=keys[-1], done_count=own.done_count + len(keys))


def progress(session: Session) -> Iterator[tuple[str, str, State, int]]:
    """Yield URL, code, state and number of resources indexed so far of each parameter in force."""
    for own in parameters.in_force(session):
        resource = _resource(own)
        if resource["resourceType"] == "StructureDefinition":
            continue
        yield str(resource["url"]), str(resource["code"]), own.state, own.done_count
