"""The small world, ready to use."""

from __future__ import annotations

import pytest

from tests.consent.world import World
from tests.server import Server


@pytest.fixture
def world(server: Server) -> World:
    return World(server).build()
