"""The shared consent cases: the engine by itself, and the whole server on every channel, on both databases.

Each case is loaded twice: as the operator's own data, and as the feed of a hospital that has no part in the case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.spec import definitions
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError
from tests.consent import cases
from tests.consent.cases import Case, CaseFile, Json, name_of
from tests.consent.cases_in_memory import Engine, roles
from tests.consent.channels import Looking
from tests.databases import Databases
from tests.server import EVERYTHING, Clock, Server, build, create_schema

PATH = Path(os.environ.get("FHIR_CONSENT_CASES", Path(__file__).parents[3] / "shared/cases/consent-cases.json"))
HOSPITAL: Json = {
    "resourceType": "Organization", "id": "hospital-feed", "name": "A hospital",
    "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "prov"}]}],
}  # fmt: skip
_REASON = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "reasonCode", "valueCoding": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "BTG"}},
        {"name": "reason", "valueString": "Unconscious in the emergency department"},
        {"name": "declaration", "valueBoolean": True},
    ],
}  # fmt: skip
_FORBIDDEN = 403

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="needs ../shared/cases, which is not part of a clone")


@dataclass
class Score:
    """What came of the cases of one run."""

    name: str
    faults: dict[str, list[str]] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)

    def add(self, case: Case, faults: Sequence[str]) -> None:
        """Note what is wrong with a case."""
        self.faults[case.id] = list(faults)
        if case.uncertain:
            self.uncertain.add(case.id)

    def settle(self) -> None:
        """Say how many cases hold; fail where a firm one does not."""
        firm = {each: faults for each, faults in self.faults.items() if each not in self.uncertain}
        held = [sum(not faults for faults in some) for some in
                (firm.values(), [self.faults[each] for each in self.uncertain])]  # fmt: skip
        said = [f"{'?' if each in self.uncertain else 'X'} {each}: {' | '.join(found)[:900]}"
                for each, found in self.faults.items() if found]  # fmt: skip
        said.append(f"{self.name}: firm {held[0]}/{len(firm)}, uncertain as described {held[1]}/{len(self.uncertain)}")
        text = "\n".join(said)
        print(text)  # noqa: T201 - the report of a run
        assert held[0] == len(firm), text


@pytest.fixture(scope="module")
def known() -> Definitions:
    return definitions.load()


@pytest.fixture(scope="module")
def file() -> CaseFile:
    return cases.read(PATH)


@pytest.mark.parametrize("author", [None, HOSPITAL], ids=["operator", "hospital"])
def test_the_engine_decides_each_case(known: Definitions, file: CaseFile, author: Mapping[str, Any] | None) -> None:
    engine, score = Engine(known, file, author), Score(f"engine, {'hospital' if author else 'operator'}")
    for case in file.cases:
        try:
            score.add(case, case.faults(engine.seen(case)))
        except FhirError as error:
            score.add(case, [f"refused: {error.diagnostics}"])
    score.settle()


@pytest.fixture
def server(databases: Databases, tmp_path: Path, file: CaseFile) -> Iterator[Server]:
    """Return a server whose clock stands before the first case."""
    before = min(case.at for case in file.cases) - timedelta(days=1)
    made = build(databases.prepared("schema", create_schema), tmp_path, Clock(before))
    yield made
    made.close()


@pytest.mark.parametrize("loading", ["operator", "hospital"])
def test_the_server_shows_what_each_case_permits_on_every_channel(
    server: Server, file: CaseFile, known: Definitions, loading: str
) -> None:
    score = Score(f"server, {loading}, {server.store.engine.dialect.name}")
    _load(server, file, loading)
    for case in file.cases:
        server.clock.at = case.at
        score.add(case, _run(server, file, known, case))
    score.settle()


def _load(server: Server, file: CaseFile, loading: str) -> None:
    operator = server.operator()
    server.put(HOSPITAL, operator)
    loader = operator if loading == "operator" else server.token(name_of(HOSPITAL))
    for resource in (*file.support, *file.every_datum):
        answer = server.call("PUT", name_of(resource), loader, resource)
        if answer.status_code == _FORBIDDEN:
            # A feed does not write the directory beyond its own staff.
            server.put(resource, operator)
        else:
            assert answer.status_code in {200, 201}, answer.text


def _run(server: Server, file: CaseFile, known: Definitions, case: Case) -> list[str]:
    """Return what is wrong with one case; its Consents and roles are there while it runs."""
    operator = server.operator()
    made = [*roles(case), *case.consents]
    try:
        for resource in made:
            answer = server.call("PUT", name_of(resource), operator, resource)
            if not answer.status_code < 300:
                return [f"{name_of(resource)} is refused: {answer.text}"]
        return _look(server, file, known, case)
    finally:
        for resource in made:
            server.call("DELETE", name_of(resource), operator)


def _look(server: Server, file: CaseFile, known: Definitions, case: Case) -> list[str]:
    allowed = case.emergency and file.in_emergency_group(case.actor)
    token = server.token(
        case.actor,
        EVERYTHING,
        purpose=" ".join(case.purposes),
        organization=case.organization if case.actor.startswith("Practitioner/") else "",
        may_break_glass=allowed,
    )
    looking = Looking(server, token, case, file.watched(case), known)
    if case.emergency:
        started = server.call("POST", f"{case.patient}/$break-glass", token, _REASON).status_code
        if started != (200 if allowed else _FORBIDDEN):
            return [f"$break-glass: {started}"]
    log = f"AuditEvent?patient={case.patient}&agent={case.actor}&_summary=count"
    before = server.get(log, server.operator())["total"]
    seen = looking.read_one_by_one()
    unlogged = len(looking.mine) - (server.get(log, server.operator())["total"] - before)
    faults = [f"{unlogged} reads are not on the patient's log"] if unlogged else []
    return [*faults, *case.faults(seen), *looking.faults(seen)]
