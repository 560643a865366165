"""Load one batch down the road: as one transaction, and resource by resource where that is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.assembly import make_context
from fhir_server.cli.load_files import Item
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.settings import load
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.database import Store

_LIMIT_BYTES = 2**30
CLIENT = "command-line"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a batch: how many resources were stored, and (line, reason) of each that was not."""

    loaded_count: int
    refused: tuple[tuple[int, str], ...] = ()


class Loader:
    """Loads batches as the operator or as an organisation's own system."""

    def __init__(self, context: Context, organization: str) -> None:
        """Load as this organisation (`Organization/ID`), or as the operator where it is empty."""
        self._context = context
        self._organization = organization

    def load(self, batch: Sequence[Item]) -> Result:
        """Store the resources of a batch; a JSON text that is a Bundle counts as its entries."""
        refused: list[tuple[int, str]] = []
        resources: list[tuple[int, Mapping[str, Any]]] = []
        loaded = 0
        for line, text in batch:
            try:
                content = json.decode(text, _LIMIT_BYTES)
                if content.get("resourceType") == "Bundle" and content.get("type") == "transaction":
                    loaded += self._post(content)
                else:
                    resources += [(line, resource) for resource in _resources_of(content)]
            except FhirError as error:
                refused.append((line, str(error.diagnostics)))
        stored = self._store(resources)
        return Result(loaded + stored.loaded_count, (*refused, *stored.refused))

    def _post(self, bundle: Mapping[str, Any]) -> int:
        perform(Interaction(Code.TRANSACTION, resource=bundle), self._principal(), self._context)
        return len(bundle.get("entry", ()))

    def _store(self, resources: Sequence[tuple[int, Mapping[str, Any]]]) -> Result:
        if not resources:
            return Result(0)
        entries = [{"resource": resource, "request": _request(resource)} for _, resource in resources]
        try:
            return Result(self._post({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
        except FhirError as error:
            if len(resources) == 1:
                return Result(0, ((resources[0][0], str(error.diagnostics)),))
        parts = [self._store([each]) for each in resources]
        return Result(
            sum(part.loaded_count for part in parts), tuple(found for part in parts for found in part.refused)
        )

    def _principal(self) -> Principal:
        now = self._context.now()
        if not self._organization:
            return tokens.operator(now)
        with self._context.store.read() as session:
            return tokens.feed(session, self._organization, now, CLIENT)


def _resources_of(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a resource, or those of a Bundle that only collects them."""
    found = [content]
    if content.get("resourceType") == "Bundle":
        found = [entry["resource"] for entry in content.get("entry", ()) if "resource" in entry]
    if not all(isinstance(resource.get("resourceType"), str) for resource in found):
        raise FhirError(Kind.MALFORMED, "A resource needs a resourceType")
    return found


def _request(resource: Mapping[str, Any]) -> dict[str, str]:
    kind = resource["resourceType"]
    logical_id = resource.get("id")
    return {"method": "PUT", "url": f"{kind}/{logical_id}"} if logical_id else {"method": "POST", "url": kind}


_loaders: list[Loader] = []


def start(organization: str) -> None:
    """Open the database of the environment in this process of a pool."""
    found = load(os.environ)
    _loaders.append(Loader(make_context(found, Store(found.database_url, pool_size=2)), organization))


def load_here(batch: Sequence[Item]) -> Result:
    """Load a batch in a process that `start` prepared."""
    return _loaders[0].load(batch)
