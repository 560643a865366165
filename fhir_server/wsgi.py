"""The WSGI application of one worker process; with SQLite it runs the background jobs too, in a thread."""

from __future__ import annotations

import os
import threading
import time

from flask import Flask

from fhir_server import worker
from fhir_server.app import create_app, jobs
from fhir_server.settings import load
from fhir_server.web import Web


def make() -> Flask:
    """Return the application configured by the environment."""
    settings = load(os.environ)
    app = create_app(settings)
    if settings.database_url.startswith("sqlite"):
        web: Web = app.extensions["fhir"]
        stop = threading.Event()
        background = threading.Thread(
            target=worker.run, args=(jobs(settings, web.base), stop), kwargs={"clock": time.monotonic}, daemon=True
        )
        background.start()
    return app
