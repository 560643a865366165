"""Those who ask: one token of every kind of caller, made in a world."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.consent.asking import ACT_REASON
from tests.consent.world import ANN, CATEGORY, GP, World

EMERGENCY = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "reasonCode", "valueCoding": {"system": ACT_REASON, "code": "ETREAT"}},
        {"name": "reason", "valueString": "Unconscious in the emergency department"},
        {"name": "declaration", "valueBoolean": True},
    ],
}


def in_emergency(world: World, patient: str = "Patient/bob") -> str:
    """Return a token of the GP under a live emergency access to one patient."""
    token = world.server.token(GP)
    world.server.post(f"{patient}/$break-glass", token, EMERGENCY, 200)
    return token


CALLERS: Mapping[str, Callable[[World], str]] = {
    "practice": lambda world: world.practice,
    "gp": lambda world: world.gp,
    "consultant": lambda world: world.consultant,
    "ann": lambda world: world.ann,
    "bob": lambda world: world.bob,
    "carer": lambda world: world.carer,
    "app": lambda world: world.server.token(ANN, "patient/Observation.rs patient/Patient.rs", client_id="app"),
    "vitals": lambda world: world.server.token(
        GP, f"user/Observation.cruds?category={CATEGORY}|vital-signs user/Patient.rs user/Encounter.rs"
    ),
    "launched": lambda world: world.server.token(GP, "patient/*.cruds", patient=ANN),
    "research": lambda world: world.server.token(GP, purpose="HRESCH"),
    "stranger": lambda world: world.server.token("Practitioner/nobody"),
    "emergency": in_emergency,
}
FEEDS = frozenset({"practice"})
"""Callers that choose ids: a PUT to an id that is taken tells them so (a stated exception)."""
