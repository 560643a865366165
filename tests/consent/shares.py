"""Consents drawn over the small world, and what everybody in it asks: for the operations that explain sharing."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import strategies as st

from tests.consent.world import ANN, CARER, CONSULTANT, GP, LABEL, PRACTICE, TRUST, Json, World, consent, ref

ACTORS = (GP, CONSULTANT, PRACTICE, TRUST, CARER)
ROWS = (
    "Patient/ann", "RelatedPerson/carer", "Encounter/a-enc", "Encounter/a-enc-mh", "Observation/a-1", "Observation/a-2",
    "Observation/a-mh", "DocumentReference/a-doc", "DocumentReference/a-doc-mh", "Binary/a-bin", "Binary/a-bin-mh",
    "Provenance/a-prov", "Provenance/a-prov-mh", "Organization/trust", "PractitionerRole/role-0",
)  # fmt: skip
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_TYPES = "http://hl7.org/fhir/resource-types"
_PERIODS: tuple[Json, ...] = ({}, {"start": "2026-01-01"}, {"end": "2026-06-30"}, {"start": "2027-01-01"})


@st.composite
def _provision(draw: st.DrawFn, *, nested: bool) -> Json:
    found: Json = {"type": draw(st.sampled_from(("permit", "permit", "deny")))}
    codes = draw(st.lists(st.sampled_from(("general", "mental-health")), max_size=2, unique=True))
    if codes:
        found["securityLabel"] = [{"system": LABEL, "code": code} for code in codes]
    if draw(st.integers(0, 4)) == 0:
        found["period"] = draw(st.sampled_from(_PERIODS[1:]))
    if draw(st.integers(0, 4)) == 0:
        found["purpose"] = [{"system": _REASON, "code": draw(st.sampled_from(("TREAT", "HRESCH")))}]
    if draw(st.integers(0, 3)) == 0:
        kinds = draw(st.lists(st.sampled_from(("Observation", "Patient", "Binary")), min_size=1, unique=True))
        found["class"] = [{"system": _TYPES, "code": kind} for kind in kinds]
    if draw(st.integers(0, 4)) == 0:
        found["dataPeriod"] = {"start": "2026-03-02", "end": "2026-03-31"}
    if nested and draw(st.integers(0, 4)) == 0:
        found["actor"] = _actors(draw)
    return found


def _actors(draw: st.DrawFn) -> list[Json]:
    chosen = draw(st.lists(st.sampled_from(ACTORS), min_size=1, max_size=2, unique=True))
    return [{"role": {"coding": [{"code": "IRCP"}]}, "reference": ref(actor)} for actor in chosen]


@st.composite
def consents(draw: st.DrawFn) -> Json:
    """Draw an active Consent of Ann that names somebody of the world, or anyone."""
    body = consent(ANN)
    root = draw(_provision(nested=False))
    if draw(st.integers(0, 4)):
        root["actor"] = _actors(draw)
    below = draw(st.lists(_provision(nested=True), max_size=2))
    body["provision"] = root | ({"provision": below} if below else {})
    return body


def denial(policy: str = "", *below: Json) -> Json:
    """Return Ann's Consent that denies everything to everybody, but for what the nested provisions say."""
    body = consent(ANN, policy=policy) if policy else consent(ANN)
    body["provision"] = {"type": "deny", **({"provision": list(below)} if below else {})}
    return body


def share_only(world: World, bodies: list[Json]) -> list[str]:
    """Let these be Ann's only Consents, but for those that would name a grantee twice; return their ids."""
    made: list[str] = []
    for found in world.server.get("Consent?patient=ann&status=active", world.operator).get("entry", []):
        stopped: Json = {**found["resource"], "status": "inactive"}
        world.server.put(stopped, world.operator, 200)
    for body in bodies:
        answer = world.server.call("POST", "Consent", world.ann, body)
        assert answer.status_code in {201, 409}, answer.text
        if answer.status_code == 201:
            made.append(str(orjson.loads(answer.data)["id"]))
    return made


def part(parameter: Json, name: str) -> list[Any]:
    """Return the values of the parts of this name."""
    found = [each for each in parameter.get("part", ()) if each["name"] == name]
    return [value for each in found for key, value in each.items() if key.startswith("value")]


def named(body: Json, name: str) -> list[Json]:
    """Return the parameters of this name."""
    return [each for each in body["parameter"] if each["name"] == name]


def token_of(world: World, actor: str) -> str:
    """Return the token by which an actor of the world reads."""
    return {GP: world.gp, CONSULTANT: world.consultant, PRACTICE: world.practice, TRUST: world.trust,
            CARER: world.carer}[actor]  # fmt: skip
