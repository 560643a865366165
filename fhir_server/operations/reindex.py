"""`$reindex`: how far the index of each search parameter of the operator's own is."""

from __future__ import annotations

from typing import Any

from fhir_server.access.principal import Caller
from fhir_server.interactions import own_parameters
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.operations.subjects import parameters
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind


def reindex(job: Job, interaction: Interaction) -> Outcome:
    """Return Parameters with a part `parameter` for each: `url`, `code`, `status` and how many are `indexed`.

    Raises:
        FhirError: FORBIDDEN (403) for anyone but the operator; 400 for a parameter, of which there are none.
    """
    if job.principal.caller is not Caller.OPERATOR:
        raise FhirError(Kind.FORBIDDEN, "Only the operator asks how far an index is")
    parameters(job, interaction)
    found: list[dict[str, Any]] = [
        {
            "name": "parameter",
            "part": [
                {"name": "url", "valueUri": url},
                {"name": "code", "valueCode": code},
                {"name": "status", "valueCode": state.name.lower()},
                {"name": "indexed", "valueUnsignedInt": count},
            ],
        }
        for url, code, state, count in own_parameters.progress(job.session)
    ]
    body = {"resourceType": "Parameters", **({"parameter": found} if found else {})}
    return Outcome(200, json.encode(body), "Parameters")


OPERATION = Operation("reindex", (), ("system",), writes=False, run=reindex)
