"""Definitions and official examples, read once per run."""

from __future__ import annotations

import pytest

from fhir_server.spec.definitions import Definitions, load


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    """Return the definitions of FHIR R4 without additions."""
    return load()
