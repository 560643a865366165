"""What the maker of an app says of it (RFC 7591 §2), checked: from dynamic registration, portal and `/api/v1` alike.

Every value is a stranger's. What is not understood is left out (RFC 7591 §2), what cannot be had is narrowed, and what
would mislead people or us is refused with the code of RFC 7591 §3.2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from fhir_server.access.scopes import parse
from fhir_server.identity import app_names, guarded_fetch
from fhir_server.identity.accounts import plain_email
from fhir_server.identity.app_addresses import is_redirect_address
from fhir_server.spec.key_sets import check_key_set
from fhir_server.spec.outcome import FhirError, Kind

BAD_REDIRECT: Final = "invalid_redirect_uri"
BAD_METADATA: Final = "invalid_client_metadata"
BAD_STATEMENT: Final = "unapproved_software_statement"
METHODS: Final = {
    "none": "public",
    "client_secret_basic": "secret",
    "client_secret_post": "secret",
    "private_key_jwt": "jwks",
}
"""Ways of client authentication, and the kind of client that uses them."""
SPECIAL_SCOPES: Final = frozenset(
    {"openid", "fhirUser", "profile", "launch", "launch/patient", "online_access", "offline_access"}
)
_STAYS: Final = frozenset({"online_access", "offline_access"})
_APP_SCOPE: Final = "openid fhirUser profile launch launch/patient patient/*.rs"
_SYSTEM_SCOPE: Final = "system/*.rs"
_GRANTS: Final = ("authorization_code", "refresh_token", "client_credentials")
_MOST_ADDRESSES: Final = 20
_MOST_CONTACTS: Final = 5
_MOST_SCOPES: Final = 100
_LONGEST_TEXT: Final = 2_000
_LONGEST_WORD: Final = 255
_MIN_RSA_CHARS: Final = 342  # base64url of 2048 bits
_ASSERTION_ALGORITHMS: Final = ("RS384", "ES384")
_ID_TOKEN_ALGORITHMS: Final = ("RS256", "ES256")
_PAGES: Final = ("client_uri", "logo_uri", "tos_uri", "policy_uri")


class MetadataError(FhirError):
    """Metadata that cannot be registered: INVALID_VALUE (400), naming the field.

    Attributes:
        code: `error` of RFC 7591 §3.2.2.
    """

    def __init__(self, name: str, text: str, code: str = BAD_METADATA) -> None:
        """Say what is wrong with a field, never repeating what was sent."""
        super().__init__(Kind.INVALID_VALUE, f"{name} {text}", (name,))
        self.code = code


@dataclass(frozen=True, slots=True)
class Metadata:
    """Metadata that can be registered.

    Attributes:
        kind: `public`, `secret` or `jwks`.
        redirect_uris: Of an app; a backend service has none.
        scope: What may be granted at most.
        jwks: JSON text of its public keys, or "".
        about: The rest of it as RFC 7591 names it, for people and for the answer.
    """

    name: str
    kind: str
    redirect_uris: tuple[str, ...]
    launch_uri: str
    scope: str
    jwks: str
    jwks_uri: str
    id_token_alg: str
    dpop_bound: bool
    about: Mapping[str, Any] = field(default_factory=dict)


def read(sent: Mapping[str, Any], types: Container[str]) -> Metadata:
    """Return what was sent as values.

    Args:
        sent: A decoded JSON object.
        types: Known resource types, to narrow scopes to.

    Raises:
        MetadataError: Naming the first field that is wrong, and what is allowed.
    """
    if "software_statement" in sent:
        raise MetadataError(
            "software_statement", "is not accepted: nobody's statements are trusted here", BAD_STATEMENT
        )
    method = _one_of(sent, "token_endpoint_auth_method", tuple(METHODS), "client_secret_basic")
    asked_scope = _text(sent, "scope", _LONGEST_TEXT)
    grants = _grants(sent, asked_scope)
    is_service = "client_credentials" in grants
    if is_service and (grants != ("client_credentials",) or method != "private_key_jwt"):
        raise MetadataError(
            "grant_types", "with client_credentials must be that alone, with token_endpoint_auth_method private_key_jwt"
        )
    _check_response_types(sent, is_service=is_service)
    jwks, jwks_uri = _keys(sent, method)
    about: dict[str, Any] = {name: found for name in _PAGES if (found := _page(sent, name))}
    about |= {name: text for name in ("software_id", "software_version") if (text := _text(sent, name, _LONGEST_WORD))}
    if contacts := _contacts(sent):
        about["contacts"] = contacts
    about |= {"token_endpoint_auth_method": method, "grant_types": list(grants)}
    if description := _text(sent, "description", _LONGEST_TEXT):
        about["description"] = description
    return Metadata(
        name=_name(sent),
        kind=METHODS[method],
        redirect_uris=_redirect_uris(sent, is_service=is_service),
        launch_uri=_page(sent, "initiate_login_uri"),
        scope=_scope(asked_scope, types, is_service=is_service, stays="refresh_token" in grants),
        jwks=jwks,
        jwks_uri=jwks_uri,
        id_token_alg=_one_of(sent, "id_token_signed_response_alg", _ID_TOKEN_ALGORITHMS, _ID_TOKEN_ALGORITHMS[0]),
        dpop_bound=_flag(sent, "dpop_bound_access_tokens"),
        about=about,
    )


def _name(sent: Mapping[str, Any]) -> str:
    name = _text(sent, "client_name", _LONGEST_TEXT)
    if wrong := app_names.problem_of_name(name):
        raise MetadataError("client_name", wrong)
    return name


def _grants(sent: Mapping[str, Any], scope: str) -> tuple[str, ...]:
    default = _GRANTS[:2] if _STAYS & set(scope.split()) else _GRANTS[:1]
    grants = _list(sent, "grant_types", len(_GRANTS), _GRANTS) or default
    if not {"authorization_code", "client_credentials"} & set(grants):
        raise MetadataError("grant_types", "must have authorization_code or client_credentials")
    return grants


def _check_response_types(sent: Mapping[str, Any], *, is_service: bool) -> None:
    """Check that what is asked for goes with the grants (RFC 7591 §2.1)."""
    wanted = () if is_service else ("code",)
    found = _list(sent, "response_types", 1, ("code",))
    if "response_types" in sent and found != wanted:
        raise MetadataError("response_types", f"must be {list(wanted)} with these grant_types".replace("'", '"'))


def _redirect_uris(sent: Mapping[str, Any], *, is_service: bool) -> tuple[str, ...]:
    uris = _list(sent, "redirect_uris", _MOST_ADDRESSES, code=BAD_REDIRECT)
    if is_service and uris:
        raise MetadataError("redirect_uris", "is not for client_credentials", BAD_REDIRECT)
    if not is_service and not uris:
        raise MetadataError("redirect_uris", "is missing: at least one is needed", BAD_REDIRECT)
    is_web = _one_of(sent, "application_type", ("web", "native"), "native") == "web"
    for index, uri in enumerate(uris):
        if not is_redirect_address(uri) or (is_web and not guarded_fetch.is_https(uri)):
            raise MetadataError(
                f"redirect_uris[{index}]",
                "must be an exact https address, http on this machine, or an app's own scheme like com.example.app:/ok "
                "(RFC 8252), without fragment, user and placeholder"
                + ("; of application_type web it must be https" if is_web else ""),
                BAD_REDIRECT,
            )
    return uris


def _keys(sent: Mapping[str, Any], method: str) -> tuple[str, str]:
    given, address = sent.get("jwks"), _page(sent, "jwks_uri")
    if given is not None and address:
        raise MetadataError("jwks", "or jwks_uri is needed, never both (RFC 7591 §2)")
    if method != "private_key_jwt":
        if given is not None or address:
            raise MetadataError("jwks", "and jwks_uri are for token_endpoint_auth_method private_key_jwt")
        return "", ""
    _one_of(sent, "token_endpoint_auth_signing_alg", _ASSERTION_ALGORITHMS, _ASSERTION_ALGORITHMS[0])
    if address:
        if not guarded_fetch.names_public_host(address):
            raise MetadataError("jwks_uri", "must lead to a public host")
        return "", address
    if given is None:
        raise MetadataError("jwks", "or jwks_uri is missing: private_key_jwt needs public keys")
    try:
        check_key_set(given)
    except FhirError as error:
        raise MetadataError("jwks", f"is not a set of public keys: {error.diagnostics}") from error
    if any(key["kty"] == "RSA" and len(key["n"]) < _MIN_RSA_CHARS for key in given["keys"]):
        raise MetadataError("jwks", "has an RSA key of less than 2048 bits")
    return orjson.dumps(given).decode(), ""


def _scope(asked: str, types: Container[str], *, is_service: bool, stays: bool) -> str:
    items = (asked or (_SYSTEM_SCOPE if is_service else _APP_SCOPE)).split()
    if len(items) > _MOST_SCOPES:
        raise MetadataError("scope", f"must name at most {_MOST_SCOPES} scopes")
    special = SPECIAL_SCOPES if stays else SPECIAL_SCOPES - _STAYS
    allowed = _allows(types, {"system"} if is_service else {"patient", "user"}, frozenset() if is_service else special)
    granted = " ".join(dict.fromkeys(filter(allowed, items)))
    if not granted:
        levels = "system/" if is_service else "patient/ and user/"
        raise MetadataError("scope", f"has nothing that can be granted: {levels} scopes of SMART App Launch are")
    return granted


def _allows(types: Container[str], levels: Container[str], special: Container[str]) -> Callable[[str], bool]:
    def allows(item: str) -> bool:
        found = parse(item).clinical
        if not found:
            return item in special
        return found[0].level in levels and (found[0].type == "*" or found[0].type in types)

    return allows


def _contacts(sent: Mapping[str, Any]) -> list[str]:
    found = []
    for index, address in enumerate(_list(sent, "contacts", _MOST_CONTACTS)):
        if not (plain := plain_email(address)):
            raise MetadataError(f"contacts[{index}]", "must be an e-mail address")
        found.append(plain)
    return found


def _page(sent: Mapping[str, Any], name: str) -> str:
    url = _text(sent, name, guarded_fetch.LONGEST_URL_CHARS)
    if url and not guarded_fetch.is_https(url):
        raise MetadataError(name, "must be an https address")
    return url


def _text(sent: Mapping[str, Any], name: str, longest: int) -> str:
    value = sent.get(name, "")
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise MetadataError(name, f"must be text of at most {longest:,} characters, none of them a control character")
    return value


def _flag(sent: Mapping[str, Any], name: str) -> bool:
    value = sent.get(name, False)
    if not isinstance(value, bool):
        raise MetadataError(name, "must be true or false")
    return value


def _one_of(sent: Mapping[str, Any], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = sent.get(name, default)
    if value not in allowed or not isinstance(value, str):
        raise MetadataError(name, f"must be one of {', '.join(allowed)}")
    return value


def _list(
    sent: Mapping[str, Any], name: str, most: int, allowed: tuple[str, ...] = (), code: str = BAD_METADATA
) -> tuple[str, ...]:
    value = sent.get(name, [])
    is_list = isinstance(value, list) and all(
        isinstance(item, str) and 0 < len(item) <= guarded_fetch.LONGEST_URL_CHARS and item.isprintable()
        for item in value
    )
    if not is_list or len(value) > most or len(set(value)) != len(value):
        raise MetadataError(name, f"must be a list of at most {most} different texts", code)
    if allowed and not set(value) <= set(allowed):
        raise MetadataError(name, f"may have {', '.join(allowed)} only", code)
    return tuple(value)
