"""What the server's own rules look up past the gate.

INVARIANT: to decide and to change by, never to show: whoever puts what comes from here into an answer decides for
themselves who may see it, and says so where they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fhir_server.access.visibility import Gate
from fhir_server.interactions.job import Job
from fhir_server.search import run
from fhir_server.search.model import Found
from fhir_server.spec import json
from fhir_server.store import resources
from fhir_server.store.resources import Version

_EVERYTHING: Final = Gate(0, everything=True)


def find(job: Job, resource_type: str, criteria: Sequence[tuple[str, str]], limit: int) -> list[Found]:
    """Return the resources that meet the criteria of a search, at most `limit`, whoever may see them.

    Raises:
        FhirError: 400 when a criterion is not understood.
    """
    definitions, fhir_base = job.definitions, job.context.fhir_base
    return run.find(
        job.session, _EVERYTHING, resource_type, criteria, definitions=definitions, fhir_base=fhir_base, limit=limit
    )


def current(
    job: Job, resource_type: str, criteria: Sequence[tuple[str, str]], limit: int
) -> list[tuple[Version, dict[str, Any]]]:
    """Return their current versions, each with its body, see `find`."""
    keys = find(job, resource_type, criteria, limit)
    found = (resources.current(job.session, resource_type, each.id) for each in keys)
    return [(each, json.decode(each.content, len(each.content) + 1)) for each in found if each and each.content]
