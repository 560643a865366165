"""Non-interference (access.md §1): a caller gets, to the byte, the answer there would be without hidden rows.

Each example draws a record with consents, a caller and a series of requests (every interaction, every registered
operation), sends them, takes every row away that the caller may not see, and sends them again. A write is taken back at
once, so that requests do not depend on each other. What is left out, and why: `tests/consent/comparison.py`. Rows that
say who a caller is (roles, organisations) stay, as grants do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.consent import generated
from tests.consent.asking import IDS, LABELS, PATIENTS
from tests.consent.callers import CALLERS
from tests.consent.comparison import answers, answers_again, is_stated_exception
from tests.consent.removal import remove_hidden, restored
from tests.consent.requests import ANY, PROBES
from tests.consent.world import ANN, BOB, CARER, CONSULTANT, GP, PRACTICE, World, consent, observation, ref

_EXAMPLES = 700 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 18
_REQUESTS = 30
"""A drawn record serves this many drawn requests: 540 on each database in CI, 21,000 in the nightly profile; and each
time the fixed ones, `PROBES`."""
_NAMES = {
    "Patient/p0": ANN, "Patient/p1": BOB, "Patient/p2": BOB, "Practitioner/dr": GP, "Practitioner/other": CONSULTANT,
    "PractitionerRole/role": "PractitionerRole/role-0",
}  # fmt: skip
_SPECIMEN = {"resourceType": "Specimen", "id": "s", "type": {"coding": [{"code": "blood"}]}}


@st.composite
def _records(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for number in range(draw(st.integers(0, 4))):
        more: dict[str, Any] = {"hasMember": [ref(f"Observation/{draw(st.sampled_from(IDS))}")]}
        if draw(st.booleans()):
            more["performer"] = [ref(draw(st.sampled_from((ANN, BOB, GP, PRACTICE))))]
        if draw(st.booleans()):
            more |= {"contained": [_SPECIMEN], "specimen": ref("#s")}
        patient, label = draw(st.sampled_from(PATIENTS)), draw(st.sampled_from((*LABELS, "")))
        made.append(observation(patient, f"drawn-{number}", label, day=draw(st.integers(1, 9)), **more))
    return made


def _in_this_world(body: dict[str, Any]) -> dict[str, Any]:
    """Return a generated Consent about the people of this world."""
    text = json.dumps(body)
    for name, ours in _NAMES.items():
        text = text.replace(f'"{name}"', f'"{ours}"')
    return {"category": consent(ANN)["category"], "policyRule": {"text": "OPTIN"}, **json.loads(text)}


@st.composite
def _simple(draw: st.DrawFn) -> dict[str, Any]:
    grantee = draw(st.sampled_from((GP, CONSULTANT, CARER, PRACTICE, "PractitionerRole/role-0")))
    labels = tuple(draw(st.lists(st.sampled_from(LABELS), max_size=4, unique=True)))
    kind = draw(st.sampled_from(("permit", "permit", "deny")))
    return consent(draw(st.sampled_from(PATIENTS)), grantee, labels=labels, type=kind)


_CONSENTS = st.lists(st.one_of(_simple(), generated.consents().map(_in_this_world)), max_size=4)


@settings(
    max_examples=_EXAMPLES,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example takes a second: shrinking one takes many minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_hidden_rows_change_no_byte_of_any_answer(world: World, data: st.DataObject) -> None:
    records, shared = data.draw(_records(), "records"), data.draw(_CONSENTS, "consents")
    caller = data.draw(st.sampled_from(sorted(CALLERS)), "caller")
    with restored(world.server):
        # Before the consents are: one that disables sharing refuses an emergency access, and bars one that is running.
        token = CALLERS[caller](world)
        _fill(world, records, shared)
        drawn = data.draw(st.lists(ANY, min_size=_REQUESTS, max_size=_REQUESTS), "requests")
        requests = [request for request in (*PROBES, *drawn) if not is_stated_exception(caller, request)]
        whole = [answers(world, token, request) for request in requests]
        assert remove_hidden(world.server, token)
        for request, expected in zip(requests, whole, strict=True):
            assert answers_again(world, token, request, expected) == expected, (caller, request)


def _fill(world: World, records: Sequence[dict[str, Any]], shared: Sequence[dict[str, Any]]) -> None:
    for body in records:
        world.server.put(body, world.trust)
    for body in shared:
        # Drawn apart from each other: a second share with the same grantee is refused, and the first stands.
        token = world.ann if body["patient"]["reference"] == ANN else world.bob
        world.server.call("POST", "Consent", token, body)
    links = {"encounter": ref("Encounter/a-enc-mh"), "hasMember": [ref("Observation/a-mh")], "category": "vital-signs"}
    world.server.put(observation(ANN, "a-2", "mental-health", value=8, **links), world.trust)
    world.server.put(observation(ANN, "a-2", "general", value=7, **links), world.trust)
    for name, label in (("gone", "general"), ("gone-mh", "mental-health")):
        world.server.put(observation(ANN, name, label), world.trust)
        world.server.call("DELETE", f"Observation/{name}", world.trust)
