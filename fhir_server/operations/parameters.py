"""Parameters of operations that take the same in the URL and in a Parameters body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction
from fhir_server.search import syntax
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.validate import validate


def as_text(job: Job, interaction: Interaction) -> Iterator[tuple[str, str]]:
    """Yield name and value of each parameter, those of the URL first.

    Raises:
        FhirError: MALFORMED (400) for a body that is no Parameters resource, INVALID_VALUE (400) for a value that has
            no form in a URL; 422 for a body that is not valid.
    """
    yield from interaction.query
    if interaction.resource is None:
        return
    if interaction.resource.get("resourceType") != "Parameters":
        raise FhirError(Kind.MALFORMED, "The body must be a Parameters resource", ("Parameters",))
    validate(job.definitions, dict(interaction.resource))
    for parameter in interaction.resource.get("parameter", ()):
        yield str(parameter.get("name")), _text(parameter)


def _text(parameter: Mapping[str, Any]) -> str:
    value = next((value for name, value in parameter.items() if name.startswith("value")), None)
    if isinstance(value, dict):
        value = value.get("reference")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise syntax.invalid(str(parameter.get("name")), "has a value of another type than the operation defines.")
    return str(value)
