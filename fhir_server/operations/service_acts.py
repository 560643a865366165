"""What the service writes for somebody who may not write it: in their transaction, and their name is on the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fhir_server.access.decide import Decision
from fhir_server.access.principal import Principal
from fhir_server.access.visibility import NOTHING
from fhir_server.interactions import suspension, writing
from fhir_server.interactions.job import Job, Pending
from fhir_server.interactions.model import Code, Context, Interaction, Trace
from fhir_server.store.database import Session


def service_job(session: Session, principal: Principal, context: Context) -> Job:
    """Return a job of the service: who asked for it is on the log, and sees nothing of the record."""
    asked = Job(session, principal, context, Decision(NOTHING, NOTHING), Trace(), Pending())
    return suspension.as_service(asked, f"{principal.name} (through this service)")


def create(job: Job, resource: Mapping[str, Any]) -> str:
    """Create a resource, with its AuditEvent; return its reference. `finishing.finish` ends the job."""
    logical_id, kind = job.context.new_id(), str(resource["resourceType"])
    own = replace(job, trace=Trace())
    writing.insert(own, kind, logical_id, resource)
    suspension.record(own, Interaction(Code.CREATE, type=kind, id=logical_id), 201)
    return f"{kind}/{logical_id}"
