"""Publish the server's own conformance resources at its FHIR base: what `profiles/` says is what `/fhir` serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind


def publish(context: Context, resources: Iterable[Mapping[str, Any]]) -> int:
    """Store each resource that is new or has changed, as the operator; return how many were stored.

    Args:
        context: Store, definitions, clock.
        resources: Conformance resources with an id each.
    """
    operator = tokens.operator(context.now())
    changed = [resource for resource in resources if _without_meta(resource) != _published(context, operator, resource)]
    for resource in changed:
        interaction = Interaction(Code.UPDATE, str(resource["resourceType"]), str(resource["id"]), resource=resource)
        perform(interaction, operator, context)
    return len(changed)


def _published(context: Context, operator: Principal, resource: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        read = Interaction(Code.READ, str(resource["resourceType"]), str(resource["id"]))
        content = perform(read, operator, context).content
    except FhirError as error:
        if error.kind in {Kind.NOT_FOUND, Kind.GONE}:
            return None
        raise
    return _without_meta(json.decode(content, len(content) + 1))


def _without_meta(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "meta"}
