"""JSON Patch (RFC 6902) and Merge Patch (RFC 7396) on a resource; decimals that a patch leaves keep their digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import jsonpatch
import jsonpointer

from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"


def parse_patch(raw: bytes) -> tuple[Mapping[str, Any], ...]:
    """Return the operations of a JSON Patch document; decimals keep their digits.

    Raises:
        FhirError: MALFORMED (400) for anything but an array of objects.
    """
    document = json.decode(b'{"patch":' + raw.removeprefix(b"\xef\xbb\xbf") + b"}", len(raw) + 16)["patch"]
    if not isinstance(document, list) or not all(isinstance(operation, dict) for operation in document):
        raise FhirError(Kind.MALFORMED, "The body must be an array of RFC 6902 operations with op, path and value")
    return tuple(document)


def apply_patch(resource: Mapping[str, Any], operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the patched resource; the given one is not changed.

    Raises:
        FhirError: INVALID_VALUE (400) for an operation that is not RFC 6902, INVALID_CONTENT (422) for one that
            cannot be applied.
    """
    try:
        patch = jsonpatch.JsonPatch(cast("Any", operations))
        result = patch.apply(dict(resource))
    except (jsonpatch.InvalidJsonPatch, TypeError) as error:
        raise FhirError(
            Kind.INVALID_VALUE, "The body must be an array of RFC 6902 operations with op, path and value"
        ) from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise FhirError(Kind.INVALID_CONTENT, "The patch cannot be applied to the current version") from error
    if not isinstance(result, dict):
        raise FhirError(Kind.INVALID_CONTENT, "The patch must leave a resource")
    return result


def apply_merge(resource: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource with the members of a merge patch: null removes, an object goes into the one that is there.

    The given one is not changed. Recursion is bounded, as the depth of JSON from outside is.
    """
    merged = dict(resource)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            there = merged.get(name)
            merged[name] = apply_merge(there if isinstance(there, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged
