"""FHIR operations: one module each; the tuple below is the registry that routes, CapabilityStatement and docs read."""

from __future__ import annotations

from fhir_server.interactions.model import Operation
from fhir_server.operations import access_log_proof, break_glass, close_review, end_break_glass, everything

REGISTRY: tuple[Operation, ...] = (
    access_log_proof.OPERATION,
    break_glass.OPERATION,
    close_review.OPERATION,
    end_break_glass.OPERATION,
    everything.OPERATION,
)
BY_CODE = {operation.code: operation for operation in REGISTRY}
