"""Shared consent cases: a file of consents, data, requests and what each may see, whoever wrote it.

Nothing here depends on the cases of one file: everything is taken from its `data`, `support`, `consents` and `cases`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from fhir_server.spec.values import date_interval
from fhir_server.store.instants import from_us

Json = dict[str, Any]

_ANOTHER_SUBJECT = re.compile(r"subject is (Patient/[A-Za-z0-9.-]+)")
_EMERGENCY = "BTG"


def name_of(resource: Mapping[str, Any]) -> str:
    """Return `Type/id`."""
    return f"{resource['resourceType']}/{resource['id']}"


@dataclass(frozen=True)
class Case:
    """One request and what it may see.

    Attributes:
        id: Name, for reports only.
        consents: The Consents there are.
        actor: Who asks, `Practitioner/…` or `Organization/…`.
        organization: Whom the actor acts for, "" for nobody.
        purposes: Codes of v3-ActReason, or `system|code`.
        at: When.
        patient: Whose data it is about.
        decision: `permit`, `deny` or `no-applicable-consent`.
        visible, either, hidden: Names of resources that have to, may, and must not be seen.
        untold: Names of resources the case says nothing of: data of other patients who have a Consent too.
        uncertain: What it expects is a matter of policy.
    """

    id: str
    consents: tuple[Json, ...]
    actor: str
    organization: str
    purposes: tuple[str, ...]
    at: datetime
    patient: str
    decision: str
    visible: frozenset[str]
    either: frozenset[str]
    hidden: frozenset[str]
    untold: frozenset[str]
    uncertain: bool

    @property
    def emergency(self) -> bool:
        """Return whether the actor says that it is an emergency."""
        return _EMERGENCY in self.purposes

    def faults(self, seen: Iterable[str]) -> list[str]:
        """Return what is wrong with seeing exactly these resources."""
        found = set(seen)
        missing, excess = self.visible - found, found - self.visible - self.either - self.untold
        return [
            *(f"does not see {name}" for name in sorted(missing)),
            *(f"sees {name}" for name in sorted(excess)),
        ]


@dataclass(frozen=True)
class CaseFile:
    """A file of cases.

    Attributes:
        support: People, organisations, groups, visits: what the data refers to.
        data: What is decided about; each also with every other patient as its subject.
        cases: The cases, in the order of their instants.
    """

    raw: Json

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """Return the patients; the first is the one that most data is about."""
        known = [name_of(each) for each in self.raw["support"] if each["resourceType"] == "Patient"]
        text = json.dumps(self.raw["data"])
        return tuple(sorted(known, key=lambda name: -text.count(f'"{name}"')))

    @cached_property
    def support(self) -> tuple[Json, ...]:
        """Return the support, with a stub for each actor and organisation that the file only names."""
        found = list(self.raw["support"])
        known = {name_of(each) for each in found}
        requests = [each["request"] for each in self.raw["cases"]]
        named = {request.get(part, "") for request in requests for part in ("actor", "organization")}
        for name in sorted(filter(None, named - known)):
            kind, _, logical_id = name.partition("/")
            found.append({"resourceType": kind, "id": logical_id, **_STUBS.get(kind, {})})
        return tuple(found)

    @cached_property
    def data(self) -> dict[str, dict[str, Json]]:
        """Return the data by id as the file has it, for each patient: for all but the first, copies about them."""
        first = self.patients[0]
        found: dict[str, dict[str, Json]] = {patient: {} for patient in self.patients}
        for each in self.raw["data"]:
            found[first][each["id"]] = each
            for patient in self.patients[1:] if mentions(each, first) else ():
                found[patient][each["id"]] = _moved(each, first, patient)
        return found

    @cached_property
    def every_datum(self) -> tuple[Json, ...]:
        """Return the data of all patients."""
        return tuple(each for several in self.data.values() for each in several.values())

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """Return the cases in the order of their instants: a server's clock does not go back."""
        return tuple(sorted(map(self._case, self.raw["cases"]), key=lambda case: case.at))

    def watched(self, case: Case) -> dict[str, Json]:
        """Return what a case is decided about: the data of every patient, and of the support what it names."""
        data = {name_of(each): each for each in self.every_datum}
        named = case.visible | case.either | case.hidden
        return {name_of(each): each for each in self.support if name_of(each) in named} | data

    def in_emergency_group(self, actor: str) -> bool:
        """Return whether the actor belongs to a group of practitioners: the role that may break the glass."""
        members = [
            member["entity"].get("reference")
            for group in self.raw["support"]
            if group["resourceType"] == "Group" and group.get("type") == "practitioner"
            for member in group.get("member", ())
        ]
        return actor in members

    def _case(self, raw: Json) -> Case:
        request, expect = raw["request"], raw["expect"]
        another = _ANOTHER_SUBJECT.search(raw.get("note", ""))
        patient = request.get("patient") or (another[1] if another else self.patients[0])
        visible, either = (self._names(patient, expect.get(part, ())) for part in ("visible", "either"))
        if expect["decision"] != "permit":
            visible = either = frozenset()
        consents = tuple(self.raw["consents"][each] for each in raw["consents"])
        others = {each["patient"]["reference"] for each in consents} - {patient}
        return Case(
            raw["id"],
            consents,
            request["actor"],
            request.get("organization", ""),
            tuple(request.get("purpose", ())),
            from_us(date_interval(request["at"])[0]),
            patient,
            expect["decision"],
            visible,
            either,
            self._names(patient, expect.get("hidden", ())),
            frozenset(name_of(each) for each in self.every_datum if any(mentions(each, other) for other in others)),
            bool(raw.get("uncertain")),
        )

    def _names(self, patient: str, ids: Iterable[str]) -> frozenset[str]:
        own = {each["id"]: name_of(each) for each in self.raw["support"]}
        for of in dict.fromkeys((self.patients[0], patient)):
            own |= {logical_id: name_of(each) for logical_id, each in self.data[of].items()}
        return frozenset(own[each] for each in ids)


_STUBS: Mapping[str, Json] = {
    "Organization": {"name": "An organisation"},
    "Practitioner": {"active": True},
    "RelatedPerson": {"patient": {"reference": "Patient/unknown"}},
}


def mentions(resource: Json, reference: str) -> bool:
    """Return whether a resource refers to another one."""
    return f'"{reference}"' in json.dumps(resource)


def _moved(resource: Json, old: str, new: str) -> Json:
    """Return a copy of a resource that is about another patient."""
    copy: Json = json.loads(json.dumps(resource).replace(f'"{old}"', f'"{new}"'))
    copy["id"] = f"{new.partition('/')[2]}-{resource['id']}"[-64:]
    return copy


def read(path: Path) -> CaseFile:
    """Return the cases of a file."""
    return CaseFile(json.loads(path.read_text(encoding="utf-8")))
