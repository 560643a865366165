"""FHIR operations: one module each; the tuple below is the registry that routes, CapabilityStatement and docs read."""

from __future__ import annotations

from fhir_server.interactions.model import Operation
from fhir_server.operations import (
    access_log_proof,
    access_report,
    answer_appointment_request,
    break_glass,
    close_review,
    disputes,
    end_break_glass,
    everything,
    explain_access,
    export,
    match,
    meta,
    preview_consent,
    reindex,
    switch_sharing,
    validate,
)

REGISTRY: tuple[Operation, ...] = (
    access_log_proof.OPERATION,
    access_report.OPERATION,
    answer_appointment_request.OPERATION,
    break_glass.OPERATION,
    close_review.OPERATION,
    *disputes.OPERATIONS,
    end_break_glass.OPERATION,
    everything.OPERATION,
    explain_access.OPERATION,
    export.OPERATION,
    match.OPERATION,
    *meta.OPERATIONS,
    preview_consent.OPERATION,
    reindex.OPERATION,
    *switch_sharing.OPERATIONS,
    validate.OPERATION,
)
BY_CODE = {operation.code: operation for operation in REGISTRY}
