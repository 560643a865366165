"""What apps show people who look for this server: brands and endpoint (SMART App Launch 2.2 "User-access Brands").

A Bundle of Organization (profile user-access-brand) and Endpoint (user-access-endpoint). Its Organizations are those of
the directory that the operator names; without one there is a single brand, the server's own name.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from fhir_server.access import tokens
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind

PATH: Final = "/.well-known/user-access-brands.json"
_KEPT_FOR: Final = timedelta(minutes=5)
_CORE: Final = "http://hl7.org/fhir/StructureDefinition"
_PROFILES: Final = "http://hl7.org/fhir/smart-app-launch/StructureDefinition"
_CODES: Final = "http://terminology.hl7.org/CodeSystem"
_URI: Final = "urn:ietf:rfc:3986"
_ENDPOINT_ID: Final = "user-access"
_SHOWN: Final = ("type", "name", "alias", "address")
"""What of an entry of the directory a brand shows; who works there, and how to ring them, it does not."""


@dataclass(frozen=True, slots=True)
class Published:
    """The Bundle as it is answered, with its ETag."""

    content: bytes
    etag: str


@dataclass(slots=True)
class Brands:
    """The brands of one process, read from the directory every five minutes at most.

    Attributes:
        name: The server's own name.
        base_url: Public root.
        logo: Path or URL of the logo, or "".
        organizations: `Organization/…` of each brand, the first one the server's own.
    """

    name: str = ""
    base_url: str = ""
    logo: str = ""
    organizations: tuple[str, ...] = ()
    _kept: tuple[datetime, Published] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def published(self, context: Context) -> Published:
        """Return the Bundle."""
        with self._lock:
            if self._kept is None or not self._kept[0] <= context.now() < self._kept[0] + _KEPT_FOR:
                self._kept = (context.now(), self._made(context))
            return self._kept[1]

    def configuration(self) -> dict[str, Any]:
        """Return the lines of the SMART configuration that lead here; none without a base URL."""
        if not self.base_url:
            return {}
        return {
            "user_access_brand_bundle": f"{self.base_url}{PATH}",
            "user_access_brand_identifier": self._identifier(),
        }

    def _made(self, context: Context) -> Published:
        found = list(self._directory(context)) or [{"id": "brand", "name": self.name}]
        resources = [self._brand(entry, own=entry is found[0]) for entry in found] + [self._endpoint(context)]
        entries = [
            {"fullUrl": f"{context.fhir_base}/{each['resourceType']}/{each['id']}", "resource": each}
            for each in resources
        ]
        etag = hashlib.sha256(json.encode(entries)).hexdigest()[:32]
        changed = max((str(entry.get("meta", {}).get("lastUpdated", "")) for entry in found), default="")
        bundle = {
            "resourceType": "Bundle",
            "meta": {"profile": [f"{_PROFILES}/user-access-brands-bundle"]},
            "type": "collection",
            "timestamp": changed or context.now().isoformat(timespec="seconds"),
            "entry": entries,
        }
        return Published(json.encode(bundle), etag)

    def _directory(self, context: Context) -> Iterator[dict[str, Any]]:
        """Yield the Organizations that are there; they come down the road like every resource."""
        reader = tokens.operator(context.now(), "brands")
        for reference in self.organizations:
            interaction = Interaction(Code.READ, type="Organization", id=reference.partition("/")[2])
            try:
                content = perform(interaction, reader, context).content
            except FhirError as error:
                if error.kind in {Kind.NOT_FOUND, Kind.GONE}:
                    continue
                raise
            yield json.decode(content, len(content) + 1)

    def _brand(self, entry: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
        endpoint = {"reference": f"Endpoint/{_ENDPOINT_ID}", "display": f"FHIR R4 of {self.name}"}
        portal = [
            {"url": "portalName", "valueString": self.name},
            {"url": "portalUrl", "valueUrl": self.base_url},
            {"url": "portalEndpoint", "valueReference": endpoint},
        ]
        extensions = [{"url": f"{_CORE}/organization-portal", "extension": portal}]
        if own and self.logo:
            logo = self.logo if self.logo.startswith("https://") else f"{self.base_url}/{self.logo.lstrip('/')}"
            extensions.append(
                {"url": f"{_CORE}/organization-brand", "extension": [{"url": "brandLogo", "valueUrl": logo}]}
            )
        return {
            "resourceType": "Organization",
            "id": entry["id"],
            "meta": {"profile": [f"{_PROFILES}/user-access-brand"]},
            "extension": extensions,
            "identifier": [*([self._identifier()] if own else ()), *entry.get("identifier", ())],
            "active": True,
            **{name: entry[name] for name in _SHOWN if name in entry},
            "telecom": [{"system": "url", "value": self.base_url}],
            "endpoint": [endpoint],
        }

    def _endpoint(self, context: Context) -> dict[str, Any]:
        return {
            "resourceType": "Endpoint",
            "id": _ENDPOINT_ID,
            "meta": {"profile": [f"{_PROFILES}/user-access-endpoint"]},
            "extension": [{"url": f"{_CORE}/endpoint-fhir-version", "valueCode": "4.0.1"}],
            "status": "active",
            "connectionType": {"system": f"{_CODES}/endpoint-connection-type", "code": "hl7-fhir-rest"},
            "name": f"FHIR R4 of {self.name}",
            "contact": [{"system": "url", "value": f"{self.base_url}/contact"}],
            "payloadType": [{"coding": [{"system": f"{_CODES}/endpoint-payload-type", "code": "none"}]}],
            "address": context.fhir_base,
        }

    def _identifier(self) -> dict[str, str]:
        """Return the address of the server without path and `www.`, as apps match brands by."""
        parts = urlsplit(self.base_url)
        return {"system": _URI, "value": f"{parts.scheme}://{parts.netloc.removeprefix('www.')}"}
