"""Profiles of the operator's own: a StructureDefinition resource that is not retired is one more profile.

It is compiled on its write, and known to every process within a second. One that somebody else stores is a resource
like any other: nobody's writes are judged by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.access.principal import Caller
from fhir_server.interactions.job import Job
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.profile_check import compile_profile
from fhir_server.spec.profile_nodes import ProfileError
from fhir_server.store import parameters
from fhir_server.store.instants import to_us
from fhir_server.store.parameters import State

_PROFILES_LIMIT = 500
_BYTES_LIMIT = 2_000_000
_KINDS = frozenset({"resource", "complex-type"})


def written(job: Job, resource: Mapping[str, Any], key: int) -> None:
    """Put a StructureDefinition in force as a profile, or take it back where it is none any more.

    Raises:
        FhirError: INVALID_CONTENT (422) naming the element of one that cannot be put in force.
    """
    if job.principal.caller is not Caller.OPERATOR:
        return
    base = job.definitions.base or job.definitions
    is_ours = any(each["url"] == resource.get("url") for each in base.profiles.resources)
    is_profile = resource.get("derivation") == "constraint" and resource.get("kind") in _KINDS
    if resource.get("status") == "retired" or not is_profile or is_ours or "url" not in resource:
        parameters.take_back(job.session, key)
        return
    content = json.encode(dict(resource))
    found = [own for own in parameters.in_force(job.session) if own.key != key]
    if len(found) >= _PROFILES_LIMIT or len(content) > _BYTES_LIMIT:
        text = f"At most {_PROFILES_LIMIT} profiles of at most {_BYTES_LIMIT} bytes each are put in force"
        raise FhirError(Kind.INVALID_CONTENT, text, ("StructureDefinition",))
    try:
        compile_profile(job.definitions, resource)
    except ProfileError as error:
        raise FhirError(Kind.INVALID_CONTENT, str(error), (error.element,)) from error
    parameters.register(job.session, key, content, to_us(job.context.now()), State.READY)


def deleted(job: Job, key: int) -> None:
    """Take the profile of a StructureDefinition that is deleted out of force."""
    if job.principal.caller is Caller.OPERATOR:
        parameters.take_back(job.session, key)
