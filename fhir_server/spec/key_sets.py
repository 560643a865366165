"""Check the shape of a JWK Set of public keys (RFC 7517 §5, RFC 7518 §6) and name the element that is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.spec.outcome import FhirError, Issue, Kind

_BASE64URL = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_NEVER: dict[str, Any] = {"not": {}}
_MOST_KEYS = 20


def _of_kind(kty: str) -> dict[str, Any]:
    return {"required": ["kty"], "properties": {"kty": {"const": kty}}}


_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["keys"],
    "properties": {
        "keys": {
            "type": "array",
            "minItems": 1,
            "maxItems": _MOST_KEYS,
            "items": {
                "type": "object",
                "required": ["kty"],
                "properties": {
                    "kty": {"enum": ["RSA", "EC"]},
                    "kid": {"type": "string"},
                    "alg": {"type": "string"},
                    "use": {"enum": ["sig"]},
                    **dict.fromkeys(("n", "e", "x", "y"), _BASE64URL),
                    "crv": {"enum": ["P-256", "P-384", "P-521"]},
                    **dict.fromkeys(_PRIVATE, _NEVER),
                },
                "allOf": [
                    {"if": _of_kind("RSA"), "then": {"required": ["n", "e"]}},
                    {"if": _of_kind("EC"), "then": {"required": ["crv", "x", "y"]}},
                ],
            },
        }
    },
}
_SAYINGS = {
    "minItems": "needs at least one entry",
    "maxItems": f"has more than {_MOST_KEYS} entries",
    "pattern": "must be base64url without padding",
}


def check_key_set(value: Any, name: str = "jwks") -> None:
    """Refuse what is not a JWK Set of public RSA and EC keys.

    Args:
        value: Decoded JSON.
        name: What the element is called in the request.

    Raises:
        FhirError: INVALID_CONTENT (422), with an issue per wrong element, none of which repeats a value: a private key
            sent by mistake must not come back in an answer or get into a log.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import, and rarely needed

    found = list(Draft202012Validator(_SCHEMA).iter_errors(value))
    issues = tuple(_issue(name, error) for error in sorted(found, key=lambda error: error.json_path))
    if issues:
        raise FhirError(Kind.INVALID_CONTENT, "; ".join(item.diagnostics for item in issues), issues=issues)


def _issue(name: str, error: Any) -> Issue:
    element = name + _path(error.absolute_path)
    if error.validator == "required":
        missing = next(member for member in error.validator_value if member not in error.instance)
        element, said = f"{element}.{missing}", "is missing"
    elif error.validator == "enum":
        said = f"must be one of {', '.join(error.validator_value)}"
    elif error.validator == "type":
        said = f"must be of type {error.validator_value}"
    else:
        said = _SAYINGS.get(error.validator, "must not be there: only public keys are kept")
    return Issue("error", Kind.INVALID_CONTENT.issue_code, f"{element} {said}", (element,))


def _path(parts: Iterable[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
