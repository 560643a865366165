"""Read bodies and queries of `/api/v1` as strictly as the FHIR doors do, and say refusals in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Request
from marshmallow import RAISE, Schema
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException

from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind

_LIMIT_BYTES = 256 * 1024
_NAME_LIMIT = 64


class Asked(Schema):
    """What a caller sends: nothing but the fields that are known, for a misspelt one would be left out unseen."""

    class Meta:
        """Say so in the OpenAPI document, too."""

        unknown = RAISE


class StrictParser(FlaskParser):
    """Refuses unknown fields and parameters, deep nesting, members given twice and other media types."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE, "json": RAISE}  # noqa: RUF012 - as webargs has it

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002 - webargs' signature
        """Return the object in the body.

        Raises:
            FhirError: 4xx saying what is wrong with it.
        """
        if req.mimetype != "application/json":
            raise FhirError(Kind.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json")
        raw = req.get_data(cache=False)
        found = json.decode(raw, _LIMIT_BYTES)
        if b"\\u0000" in raw and _has_nul(found):
            raise FhirError(Kind.INVALID_VALUE, "The body has a NUL character, which no text can have")
        return found


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_nul, (*value, *value.values())))
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def refusal_of(error: Exception) -> Exception:
    """Return a failed check of webargs as a refusal that names each element; any other error as it is."""
    found = getattr(error, "data", None) if isinstance(error, HTTPException) else None
    if not found or "messages" not in found:
        return error
    said = [f"{name}: {text.rstrip('.')}" for place in found["messages"].values() for name, text in _flat(place, "")]
    return FhirError(Kind.INVALID_CONTENT, "; ".join(said))


def _flat(messages: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            part = f"[{key}]" if isinstance(key, int) else f".{str(key)[:_NAME_LIMIT]}"
            yield from _flat(inner, (name + part).removeprefix("."))
        return
    for text in messages:
        yield name, str(text)
