"""Deep queries under the largest gate: SQLite parses expressions with a stack of a hundred entries."""

from __future__ import annotations

from typing import Any

import pytest

from tests.consent.world import ANN, World, consent, ref

_DEEP = (
    "Observation?encounter.subject:Patient.organization.partof.name=x",
    "Observation?encounter.subject:Patient.general-practitioner:PractitionerRole.organization.partof.name=x",
    "Patient?_has:Observation:patient:encounter.subject:Patient.organization.name=x",
    "Patient?_has:Encounter:patient:_has:Observation:encounter:code=718-7",
    "Observation?code:not=8480-6&encounter.class:missing=false&_has:Provenance:target:agent.name=x",
    "Observation?component-code-value-quantity=8480-6$gt5&_include=*&_include:iterate=Encounter:subject&_sort=-date",
    "Observation?date=gt2020&_revinclude=Provenance:target&_sort=-date,code&_total=accurate",
)


@pytest.mark.parametrize("query", _DEEP)
def test_a_deep_query_under_criteria_on_content_is_answered(world: World, query: str) -> None:
    named: dict[str, Any] = {
        "code": [{"coding": [{"code": "718-7"}]}],
        "data": [{"meaning": "related", "reference": ref("Encounter/x")}],
    }
    body = consent(ANN, "PractitionerRole/role-0", provision=[{"type": "deny", **named}], **named)
    world.server.post("Consent", world.ann, body)
    assert world.server.get(query, world.gp)["type"] == "searchset"
