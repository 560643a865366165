"""What clients may find out about the authorization server, from one source.

`/fhir/.well-known/smart-configuration` (SMART App Launch 2.2 "Conformance"), `/.well-known/openid-configuration`
(OpenID Connect Discovery 1.0), `/.well-known/oauth-authorization-server` (RFC 8414) and the `oauth-uris` extension of
the CapabilityStatement, which older clients read.

INVARIANT: nothing is advertised that a test does not exercise.
"""

from __future__ import annotations

from typing import Any

from fhir_server.access import dpop
from fhir_server.smart import keys

ASSERTION_ALGORITHMS = ("RS384", "ES384")
"""Algorithms of client assertions (SMART App Launch 2.2, "Asymmetric client authentication")."""

SPECIAL_SCOPES = ("openid", "fhirUser", "profile", "launch", "launch/patient", "online_access", "offline_access")
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")

_CAPABILITIES = (
    "launch-standalone",
    "launch-ehr",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)
_SCOPES = (*SPECIAL_SCOPES, "patient/*.cruds", "user/*.cruds", "system/*.cruds", "patient/*.read", "user/*.read")
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SERVICES = "http://terminology.hl7.org/CodeSystem/restful-security-service"


def token_endpoint(base_url: str) -> str:
    """Return the URL of the token endpoint, which is also the audience of client assertions."""
    return f"{base_url}/oauth/token"


def configuration(base_url: str) -> dict[str, Any]:
    """Return the SMART configuration of a server with this public root."""
    return {
        **_shared(base_url),
        "capabilities": list(_CAPABILITIES),
        "management_endpoint": f"{base_url}/apps",
    }


def openid_configuration(base_url: str) -> dict[str, Any]:
    """Return the OpenID Provider configuration of a server with this public root."""
    return {
        **_shared(base_url),
        "userinfo_endpoint": f"{base_url}/oauth/userinfo",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(keys.ALGORITHMS),
        "response_modes_supported": ["query"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser", "profile"],
        "request_uri_parameter_supported": False,
    }


def authorization_server(base_url: str) -> dict[str, Any]:
    """Return the OAuth 2.0 authorization server metadata of a server with this public root (RFC 8414 §2)."""
    return {**_shared(base_url), "response_modes_supported": ["query"]}


def oauth_uris(base_url: str) -> dict[str, Any]:
    """Return `CapabilityStatement.rest.security` of a server with this public root."""
    endpoints = {"authorize": "/oauth/authorize", "token": "/oauth/token", "revoke": "/oauth/revoke"}
    endpoints |= {"introspect": "/oauth/introspect", "manage": "/apps"}
    return {
        "extension": [
            {
                "url": _OAUTH_URIS,
                "extension": [{"url": name, "valueUri": f"{base_url}{path}"} for name, path in endpoints.items()],
            }
        ],
        "cors": True,
        "service": [
            {"coding": [{"system": _SERVICES, "code": "SMART-on-FHIR", "display": "SMART-on-FHIR"}]},
        ],
    }


def _shared(base_url: str) -> dict[str, Any]:
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    algorithms = list(ASSERTION_ALGORITHMS)
    return {
        "issuer": base_url,
        "jwks_uri": f"{base_url}/.well-known/jwks.json",
        "authorization_endpoint": f"{base_url}/oauth/authorize",
        "token_endpoint": token_endpoint(base_url),
        "revocation_endpoint": f"{base_url}/oauth/revoke",
        "introspection_endpoint": f"{base_url}/oauth/introspect",
        "token_endpoint_auth_methods_supported": [*methods, "none"],
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": [*methods, "none"],
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "grant_types_supported": list(GRANT_TYPES),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": list(_SCOPES),
        "authorization_response_iss_parameter_supported": True,
        "dpop_signing_alg_values_supported": list(dpop.ALGORITHMS),
    }
