"""Wire this room into a Flask application: once, from the composition root."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask

from fhir_server.admin import apps, desk, health, helping, openapi, parents, people, routes, teams
from fhir_server.admin.extension import EXTENSION, Admin
from fhir_server.interactions.model import Operation


def install(app: Flask, admin: Admin, operations: Iterable[Operation], *, base_url: str) -> None:
    """Register `/api/v1`, its document, health and metrics.

    Args:
        app: The application, after the web room is installed.
        admin: The values of this room.
        operations: The registry of FHIR operations, for the OpenAPI document.
        base_url: Public root, without a trailing slash.
    """
    app.extensions[EXTENSION] = admin
    app.config.update(API_TITLE="FHIR health record server", API_VERSION=admin.version, OPENAPI_VERSION="3.1.0")
    api = openapi.QuietApi(app)
    api.register_blueprint(routes.blueprint)
    api.register_blueprint(people.blueprint)
    api.register_blueprint(parents.blueprint)
    api.register_blueprint(desk.blueprint)
    api.register_blueprint(helping.blueprint)
    api.register_blueprint(teams.blueprint)
    api.register_blueprint(apps.blueprint)
    app.register_blueprint(openapi.blueprint)
    app.register_blueprint(health.blueprint)
    openapi.describe(app, api, operations, base_url=base_url)
