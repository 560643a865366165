"""What the composition root gives this room, kept as one Flask extension."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from flask import current_app

from fhir_server.admin.metrics import Metrics

EXTENSION = "fhir_admin"


@dataclass(frozen=True, slots=True)
class Admin:
    """The values of this room.

    Attributes:
        version: Version of the software.
        capabilities: Returns the CapabilityStatement, from which the OpenAPI document lists the FHIR endpoints.
        register_client: Registers an OAuth client in a write transaction; returns its id and, once, its secret.
        metrics: What is counted of every request.
    """

    version: str
    capabilities: Callable[[], Mapping[str, Any]]
    register_client: Callable[..., tuple[str, str | None]]
    metrics: Metrics


def current() -> Admin:
    """Return the values of the application that is answering."""
    return cast("Admin", current_app.extensions[EXTENSION])
