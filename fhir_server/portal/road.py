"""The portal's way to the record: builds Interactions and performs them as the signed-in person.

INVARIANT: this is the only module of the portal that calls `perform`, and none of it reaches the store. What a page
shows is what the same person would get from `/fhir`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from flask import abort

from fhir_server import web
from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.interactions.model import Code, Context, Interaction, Outcome
from fhir_server.interactions.perform import perform
from fhir_server.portal.models import audit_events
from fhir_server.spec import json as fhir_json
from fhir_server.spec.outcome import FhirError, Kind

Parameter: TypeAlias = tuple[str, str]
T = TypeVar("T")
_CURSOR = "_cursor"
_PAGE_COUNT = 500
_MOST_PAGES = 4
MOST_COUNT = _PAGE_COUNT * _MOST_PAGES
_WHOLE_PAGE_COUNT, _MOST_WHOLE_PAGES = 500, 40
_WHOLE_PAGE_BYTES = 200_000_000
_REFUSALS = {kind.status: kind for kind in (Kind.FORBIDDEN, Kind.NOT_FOUND)}


@dataclass(frozen=True, slots=True)
class Found:
    """A searchset, opened.

    Attributes:
        matches: Resources that matched, in order.
        included: Resources that came along.
        next_page: Sealed position of the next page, "" at the end.
    """

    matches: tuple[dict[str, Any], ...]
    included: tuple[dict[str, Any], ...]
    next_page: str = ""


@dataclass(frozen=True, slots=True)
class Road:
    """The road, for one signed-in person and one request."""

    principal: Principal
    context: Context

    @property
    def now(self) -> datetime:
        """Return the instant of the clock, aware UTC."""
        return self.context.now()

    def read(self, resource_type: str, logical_id: str) -> dict[str, Any]:
        """Return a resource.

        Raises:
            FhirError: NOT_FOUND (404) where it does not exist for this person.
        """
        return decode(self._perform(Interaction(Code.READ, type=resource_type, id=logical_id)))

    def find(self, resource_type: str, logical_id: str) -> dict[str, Any] | None:
        """Return a resource, None where it does not exist for this person."""
        try:
            return self.read(resource_type, logical_id)
        except FhirError as error:
            if error.kind in {Kind.NOT_FOUND, Kind.GONE}:
                return None
            raise

    def search(self, resource_type: str, *query: Parameter, page: str = "") -> Found:
        """Return one page of a search."""
        parameters = (*query, (_CURSOR, page)) if page else query
        return opened(decode(self._perform(Interaction(Code.SEARCH, type=resource_type, query=parameters))))

    def search_log(self, *query: Parameter, page: str = "") -> Found:
        """Return one page of a search of AuditEvents, of each as much as pages show."""
        parameters = (*query, (_CURSOR, page)) if page else query
        outcome = self._perform(Interaction(Code.SEARCH, type="AuditEvent", query=parameters))
        return opened(audit_events.searchset(outcome.content))

    def search_as(self, shape: type[T], resource_type: str, *query: Parameter) -> T:
        """Return of a page of a search what a shape names, and read nothing else: most of an AuditEvent is a list."""
        outcome = self._perform(Interaction(Code.SEARCH, type=resource_type, query=query))
        return msgspec.json.decode(outcome.content, type=shape)

    def search_all(self, resource_type: str, *query: Parameter) -> tuple[dict[str, Any], ...]:
        """Return the matches of every page of a search, up to a limit that no real record reaches."""
        return self.search_most(resource_type, *query)[0]

    def search_most(self, resource_type: str, *query: Parameter) -> tuple[tuple[dict[str, Any], ...], bool]:
        """Return the first `MOST_COUNT` matches of a search, and whether there are more: a page says so."""
        matches, is_all = self._pages(resource_type, query, _MOST_PAGES)
        return matches, not is_all

    def search_whole(self, resource_type: str, *query: Parameter) -> tuple[dict[str, Any], ...]:
        """Return all matches of a search, for a file that is taken for complete.

        Raises:
            FhirError: TOO_LARGE (413) for more than is ever sent, which is never cut short unsaid.
        """
        matches, is_all = self._pages(resource_type, query, _MOST_WHOLE_PAGES)
        if not is_all:
            raise _too_large()
        return matches

    def _pages(
        self, resource_type: str, query: tuple[Parameter, ...], most: int
    ) -> tuple[tuple[dict[str, Any], ...], bool]:
        """Return the matches of so many pages at most, and whether they are all."""
        matches: list[dict[str, Any]] = []
        page = ""
        for _ in range(most):
            found = self.search(resource_type, *query, ("_count", str(_PAGE_COUNT)), page=page)
            matches += found.matches
            page = found.next_page
            if not page:
                break
        return tuple(matches), not page

    def search_types(self, resource_types: Iterable[str], *query: Parameter, limit: int) -> tuple[dict[str, Any], ...]:
        """Return matches of several types, at most `limit`: one search, one decision and one AuditEvent for all."""
        parameters = (("_type", ",".join(resource_types)), *query, ("_count", str(limit)))
        return opened(decode(self._perform(Interaction(Code.SEARCH_SYSTEM, query=parameters)))).matches

    def everything(self, patient_id: str) -> tuple[dict[str, Any], ...]:
        """Return a whole record, of what exists for this person, decimals to the digit.

        Raises:
            FhirError: TOO_LARGE (413) for a record beyond any real one, which is never cut short unsaid.
        """
        found: list[dict[str, Any]] = []
        page = ""
        for _ in range(_MOST_WHOLE_PAGES):
            query = (("_count", str(_WHOLE_PAGE_COUNT)), *(((_CURSOR, page),) if page else ()))
            asked = Interaction(
                Code.OPERATION, type="Patient", id=patient_id, operation="everything", query=query, by_get=True
            )
            bundle = fhir_json.decode(self._perform(asked).content, _WHOLE_PAGE_BYTES)
            part = opened(bundle)
            found += (*part.matches, *part.included)
            page = part.next_page
            if not page:
                return tuple(found)
        raise _too_large()

    def create(self, resource: Mapping[str, Any], *, if_none_exist: tuple[Parameter, ...] = ()) -> str:
        """Store a new resource, unless one is found by `if_none_exist`, and return its logical id."""
        return self._create(resource, if_none_exist).id

    def create_first(self, resource: Mapping[str, Any], if_none_exist: tuple[Parameter, ...]) -> bool:
        """Store a new resource, unless one is found by `if_none_exist`, and return whether it was stored."""
        return self._create(resource, if_none_exist).status == HTTPStatus.CREATED

    def _create(self, resource: Mapping[str, Any], if_none_exist: tuple[Parameter, ...]) -> Outcome:
        kind = str(resource["resourceType"])
        return self._perform(Interaction(Code.CREATE, type=kind, resource=resource, if_none_exist=if_none_exist))

    def create_together(
        self,
        resources: Mapping[str, Mapping[str, Any]],
        *,
        if_none_exist: Mapping[str, tuple[Parameter, ...]] | None = None,
    ) -> None:
        """Store new resources, all of them or none.

        Args:
            resources: By the `urn:uuid:` by which they refer to each other.
            if_none_exist: Searches, by the same; where one finds something, that is taken instead.
        """
        entries = []
        for name, resource in resources.items():
            request = {"method": "POST", "url": resource["resourceType"]}
            if query := (if_none_exist or {}).get(name):
                request["ifNoneExist"] = urlencode(query)
            entries.append({"fullUrl": name, "resource": resource, "request": request})
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        self._perform(Interaction(Code.TRANSACTION, resource=bundle))

    def update(self, resource: Mapping[str, Any], version: str) -> None:
        """Store the next version of a resource.

        Raises:
            FhirError: VERSION_REQUIRED (412) where it has changed since `version`.
        """
        kind, logical_id = str(resource["resourceType"]), str(resource["id"])
        self._perform(Interaction(Code.UPDATE, type=kind, id=logical_id, resource=resource, if_match=(version,)))

    def operate(
        self, operation: str, resource_type: str, logical_id: str = "", parameters: Iterable[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        """Perform an operation with these parameters and return its answer.

        Raises:
            FhirError: Also where it answered with a refusal, to keep what it noted about it.
        """
        body = {"resourceType": "Parameters", "parameter": list(parameters)}
        interaction = Interaction(Code.OPERATION, type=resource_type, id=logical_id, operation=operation, resource=body)
        outcome = self._perform(interaction)
        answer = decode(outcome) if outcome.content else {}
        if outcome.status in _REFUSALS:
            raise FhirError(_REFUSALS[outcome.status], answer["issue"][0]["diagnostics"])
        return answer

    def ask(
        self, operation: str, resource_type: str, logical_id: str, query: Iterable[Parameter] = ()
    ) -> dict[str, Any]:
        """Return the answer of an operation that takes its parameters in the URL."""
        asked = Interaction(
            Code.OPERATION, type=resource_type, id=logical_id, operation=operation, query=tuple(query), by_get=True
        )
        return decode(self._perform(asked))

    def versions(self, resource_type: str, count: int) -> tuple[dict[str, Any], ...]:
        """Return the newest versions of all resources of a type, newest first; deletions are left out."""
        asked = Interaction(Code.HISTORY_TYPE, type=resource_type, query=(("_count", str(count)),))
        entries = decode(self._perform(asked)).get("entry", ())
        return tuple(entry["resource"] for entry in entries if "resource" in entry)

    def _perform(self, interaction: Interaction) -> Outcome:
        return perform(interaction, self.principal, self.context)


def _too_large() -> FhirError:
    return FhirError(Kind.TOO_LARGE, "This is too large to download here. Ask us for a copy.")


def road() -> Road:
    """Return the road of the person who is signed in; aborts with 401 where nobody is."""
    signed_in = web.signed_in()
    if signed_in is None:
        abort(401)
    return Road(signed_in.principal, web.context())


def clerk(way: Road) -> Road:
    """Return the road of the service itself, for what follows from what a person did and no person may write.

    Who is family, and that somebody left: the AuditEvent names the service and for whom it acted. What a page shows is
    never read this way.
    """
    name = f"{way.principal.name} (through this service)"
    principal = replace(tokens.operator(way.now, name), client_id=tokens.PORTAL, purpose="PATADMIN")
    return Road(principal, way.context)


def escaped(text: str) -> str:
    """Escape what has a meaning in search values (https://hl7.org/fhir/R4/search.html#escaping)."""
    return "".join(f"\\{char}" if char in "\\|,$" else char for char in text)


def decode(outcome: Outcome) -> dict[str, Any]:
    """Return the resource of an outcome, decimals to the digit."""
    return fhir_json.decode_own(outcome.content)


def opened(bundle: Mapping[str, Any]) -> Found:
    """Return a searchset by its parts."""
    matches: list[dict[str, Any]] = []
    included: list[dict[str, Any]] = []
    for entry in bundle.get("entry", ()):
        resource = entry.get("resource")
        mode = entry.get("search", {}).get("mode", "match")
        if resource and mode in {"match", "include"}:
            (matches if mode == "match" else included).append(resource)
    following = next(
        (str(link.get("url", "")) for link in bundle.get("link", ()) if link.get("relation") == "next"), ""
    )
    cursor = dict(parse_qsl(urlsplit(following).query)).get(_CURSOR, "")
    return Found(tuple(matches), tuple(included), cursor)
