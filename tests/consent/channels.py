"""Every way in which a caller may learn of a resource, and what each way shows: they must all show the same.

What is read one by one is the yardstick; a channel that shows more, less or another number is a fault.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from fhir_server.spec.definitions import Definitions
from tests.consent.cases import Case, Json, name_of
from tests.server import Server

_PAGES_LIMIT = 100
_ID = "_id"
_LINKS = frozenset({"encounter", "performer"})
"""Parameters that are named after their element: those that data of cases use."""


@dataclass
class Looking:
    """One caller looking for the watched resources.

    Attributes:
        server: Where.
        token: The caller's access token.
        case: What the caller may see.
        watched: All resources that it might see, of every patient.
        definitions: Which parameters a type can be searched by.
        failed: Requests that were not answered.
    """

    server: Server
    token: str
    case: Case
    watched: dict[str, Json]
    definitions: Definitions
    failed: list[str] = field(default_factory=list)

    @property
    def mine(self) -> list[str]:
        """Return the watched resources of the case's patient."""
        return [name for name, each in self.watched.items() if self.case.patient in _references(each)]

    def read_one_by_one(self) -> set[str]:
        """Return what reading shows."""
        return {name for name in self.watched if self._status(name) == 200}

    def faults(self, seen: set[str]) -> Iterator[str]:
        """Yield each channel that shows something else than was seen."""
        kinds = sorted({name.partition("/")[0] for name in self.watched})
        patient = self._status(self.case.patient) == 200
        yield from self._reads(seen)
        for kind in kinds:
            yield from self._compare(f"{kind}?_count=3", kind, seen)
            if "patient" not in self.definitions.search_parameters(kind):
                continue
            yield from self._searches(kind, seen)
            yield from self._through_references(kind, seen, patient=patient)
            yield from self._includes(kind, seen, patient=patient)
        yield from self._batch(seen)
        yield from self._everything(seen, patient=patient)
        if not seen and self.case.decision != "permit":
            yield from self._nothing_at_all(patient=patient)
        yield from self.failed

    def _reads(self, seen: set[str]) -> Iterator[str]:
        """Versions and history of the patient's data, and the words of the answer about one that is hidden."""
        for name in self.mine:
            wanted = 200 if name in seen else 404
            for path in (f"{name}/_history/1", f"{name}/_history"):
                if (got := self._status(path)) != wanted:
                    yield f"{path}: {got}, not {wanted}"
        for name in [name for name in self.mine if name not in seen][:1]:
            kind, _, logical_id = name.partition("/")
            said, absent = self._text(name), self._text(f"{kind}/never-stored")
            if said.replace(logical_id, "ID") != absent.replace("never-stored", "ID"):
                yield f"{name}: hidden is not the answer of absent"

    def _searches(self, kind: str, seen: set[str]) -> Iterator[str]:
        about = self._about(kind)
        mine = {name for name in seen if name in about}
        if "date" in self.definitions.search_parameters(kind):
            dated = f"{kind}?patient={self.case.patient}&_sort=-date&_count=2"
            yield from self._compare(dated, kind, mine, ordered=True)
        yield from self._compare(f"{kind}?patient={self.case.patient}&_sort=_id", kind, mine)
        yield from self._compare(f"{self.case.patient}/{kind}", kind, mine)
        for shape in ("_summary=count", "_total=accurate&_count=1", "_count=0"):
            total = self._get(f"{kind}?patient={self.case.patient}&{shape}").get("total")
            if total != len(mine):
                yield f"{kind} {shape}: total {total}, not {len(mine)}"
        for code in sorted({each for name in about for each in _codes(self.watched[name])}):
            coded = {name for name in mine if code in _codes(self.watched[name])}
            query = f"{kind}?patient={self.case.patient}&code={code}"
            yield from self._compare(query, kind, coded)
            if (total := self._get(f"{query}&_summary=count").get("total")) != len(coded):
                yield f"{query}: total {total}, not {len(coded)}"

    def _through_references(self, kind: str, seen: set[str], *, patient: bool) -> Iterator[str]:
        """Chains and reverse chains: found if, and only if, both ends are there."""
        about, logical_id = self._about(kind), self.case.patient.partition("/")[2]
        mine = {name for name in seen if name in about}
        yield from self._compare(f"{kind}?patient._id={logical_id}", kind, mine if patient else set())
        for code in sorted({each for name in about for each in _codes(self.watched[name])}):
            coded = any(code in _codes(self.watched[name]) for name in mine)
            found = self._names(f"Patient?_id={logical_id}&_has:{kind}:patient:code={code}")
            if found != ({self.case.patient} if coded and patient else set()):
                yield f"_has:{kind}:patient:code={code}: {sorted(found)}"
        for target, code, query in self._links(kind):
            there = self._status(target) == 200
            pointing = self._pointing(kind, code, target) & mine
            yield from self._compare(f"{query}.{_ID}={target.partition('/')[2]}&patient={self.case.patient}", kind,
                                     pointing if there else set())  # fmt: skip
            back = f"{target.partition('/')[0]}?_id={target.partition('/')[2]}&_has:{kind}:{code}:patient="
            found = self._names(f"{back}{self.case.patient}")
            if found != ({target} if pointing and there else set()):
                yield f"{back}: {sorted(found)}"

    def _includes(self, kind: str, seen: set[str], *, patient: bool) -> Iterator[str]:
        about = self._about(kind)
        mine = {name for name in seen if name in about}
        found = self._names(f"{kind}?patient={self.case.patient}&_include=*&_revinclude=*&_count=100")
        of_kind = {name for name in found & self.watched.keys() if name.startswith(f"{kind}/")}
        if of_kind != mine or not found & self.watched.keys() <= seen:
            yield f"{kind}?_include=*: {_difference(found & self.watched.keys(), mine)}"
        ends = [(self.case.patient, "patient")] if patient else []
        ends += [(target, code) for target, code, _ in self._links(kind) if self._status(target) == 200]
        for target, code in ends:
            path = f"{target.partition('/')[0]}?_id={target.partition('/')[2]}&_revinclude={kind}:{code}"
            found = (self._names(path) & self.watched.keys()) - {target}
            pointing = self._pointing(kind, code, target) & seen
            if found != pointing:
                yield f"{path}: {_difference(found, pointing)}"

    def _batch(self, seen: set[str]) -> Iterator[str]:
        names = list(self.watched)
        entry = [{"request": {"method": "GET", "url": name}} for name in names]
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": entry}
        answers = orjson.loads(self.server.call("POST", "", self.token, bundle).data)["entry"]
        for name, answer in zip(names, answers, strict=True):
            if answer["response"]["status"].startswith("200") != (name in seen):
                yield f"batch {name}: {answer['response']['status']}"

    def _everything(self, seen: set[str], *, patient: bool) -> Iterator[str]:
        path = f"{self.case.patient}/$everything"
        if self._status(path) == 404:
            if patient or self._of_patient(seen):
                yield f"{path}: 404"
            return
        pages = list(self._pages(f"{path}?_count=5"))
        found = list(itertools.chain.from_iterable(map(_entries, pages)))
        if {page.get("total") for page in pages} != {len(found)} or len(set(found)) != len(found):
            yield f"{path}: total {pages[0].get('total')}, {len(found)} resources, {len(set(found))} of them once"
        if set(found) & self.watched.keys() != self._of_patient(seen):
            yield f"{path}: {_difference(set(found) & self.watched.keys(), self._of_patient(seen))}"

    def _nothing_at_all(self, *, patient: bool) -> Iterator[str]:
        """Where nothing is permitted, the patient is not there either."""
        if patient:
            yield f"{self.case.patient} is visible"
        for path in (f"Patient?_id={self.case.patient.partition('/')[2]}", f"Encounter?patient={self.case.patient}"):
            if names := self._names(path):
                yield f"{path}: {sorted(names)}"

    def _compare(self, path: str, kind: str, expected: Iterable[str], *, ordered: bool = False) -> Iterator[str]:
        """Follow all pages of a search; what is found of the watched has to be what is expected of this type."""
        wanted = {name for name in expected if name.startswith(f"{kind}/")}
        found = list(itertools.chain.from_iterable(map(_entries, self._pages(path))))
        if set(found) & self.watched.keys() != wanted or len(set(found)) != len(found):
            yield f"{path}: {_difference(set(found) & self.watched.keys(), wanted)}"
        known = [self.watched[name] for name in found if name in self.watched]
        dates = [each["effectiveDateTime"] for each in known if "effectiveDateTime" in each]
        if ordered and dates != sorted(dates, reverse=True):
            yield f"{path}: out of order"

    def _about(self, kind: str) -> set[str]:
        """Return the watched resources of this type that are about the case's patient."""
        return {
            name for name, each in self.watched.items()
            if name.startswith(f"{kind}/") and self.case.patient in _references(each)
        }  # fmt: skip

    def _pointing(self, kind: str, code: str, target: str) -> set[str]:
        """Return the watched resources of this type that refer to a target by what this parameter searches."""
        elements = ("patient", "subject") if code == "patient" else (code,)
        return {
            name for name, each in self.watched.items()
            if name.startswith(f"{kind}/") and any(target in _references(each.get(element)) for element in elements)
        }  # fmt: skip

    def _of_patient(self, seen: set[str]) -> set[str]:
        return {name for name in seen if self.case.patient in _references(self.watched[name])}

    def _links(self, kind: str) -> list[tuple[str, str, str]]:
        """Return (target, parameter, chain) of references to visits and authors."""
        found: dict[tuple[str, str, str], None] = {}
        for name in sorted(self._about(kind)):
            for code in _LINKS & self.definitions.search_parameters(kind).keys():
                value = self.watched[name].get(code) or []
                for reference in value if isinstance(value, list) else [value]:
                    if target := reference.get("reference", ""):
                        found[target, code, f"{kind}?{code}:{target.partition('/')[0]}"] = None
        return list(found)

    def _status(self, path: str) -> int:
        return self.server.call("GET", path, self.token).status_code

    def _text(self, path: str) -> str:
        return self.server.call("GET", path, self.token).text

    def _get(self, path: str) -> Json:
        answer = self.server.call("GET", path, self.token)
        if answer.status_code != 200:
            self.failed.append(f"{path}: {answer.status_code} {answer.text[:200]}")
            return {}
        found: Json = orjson.loads(answer.data)
        return found

    def _names(self, path: str) -> set[str]:
        return set(itertools.chain.from_iterable(map(_entries, self._pages(path))))

    def _pages(self, path: str) -> Iterator[Json]:
        for _ in range(_PAGES_LIMIT):
            page = self._get(path)
            yield page
            path = next((link["url"] for link in page.get("link", ()) if link["relation"] == "next"), "")
            if not path:
                return


def _entries(page: Json) -> list[str]:
    return [name_of(entry["resource"]) for entry in page.get("entry", ()) if entry.get("resource", {}).get("id")]


def _codes(resource: Json) -> set[str]:
    code = resource.get("code")
    codings = code.get("coding", ()) if isinstance(code, dict) else ()
    return {f"{each.get('system', '')}|{each['code']}" for each in codings if "code" in each}


def _references(resource: Any) -> set[str]:
    """Return every literal reference in a resource."""
    if isinstance(resource, list):
        return set().union(*map(_references, resource)) if resource else set()
    if not isinstance(resource, dict):
        return set()
    found = set().union(*map(_references, resource.values())) if resource else set()
    return found | ({resource["reference"]} if isinstance(resource.get("reference"), str) else set())


def _difference(found: Iterable[str], wanted: Iterable[str]) -> str:
    more, less = sorted(set(found) - set(wanted)), sorted(set(wanted) - set(found))
    return f"shows {more}, lacks {less}" if more or less else "shows something twice"
