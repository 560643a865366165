"""Browser apps of any origin may ask every door for programs, and none of them with cookies."""

from typing import Any

from tests.server import Server

ORIGIN = "https://app.example"
DOORS = (
    ("GET", "/fhir/metadata", 200),
    ("GET", "/fhir/Patient", 401),
    ("POST", "/fhir", 400),
    ("GET", "/fhir/nowhere/at/all", None),
    ("GET", "/fhir/.well-known/smart-configuration", 200),
    ("GET", "/.well-known/openid-configuration", 200),
    ("GET", "/.well-known/oauth-authorization-server", 200),
    ("GET", "/.well-known/jwks.json", 200),
    ("GET", "/.well-known/user-access-brands.json", 200),
    ("POST", "/oauth/token", None),
    ("POST", "/oauth/introspect", None),
    ("POST", "/oauth/revoke", None),
    ("GET", "/oauth/userinfo", 401),
)
PAGES = ("/", "/sign-in", "/oauth/authorize", "/contact", "/api/v1/clients")


def test_every_door_for_programs_is_open_to_browsers_and_never_with_credentials(server: Server) -> None:
    client = server.app.test_client(use_cookies=False)
    for method, path, status in DOORS:
        answer: Any = client.open(path, method=method, headers={"Origin": ORIGIN})
        assert status is None or answer.status_code == status, (method, path, answer.status_code)
        assert answer.headers["Access-Control-Allow-Origin"] == "*", (method, path)
        assert "Access-Control-Allow-Credentials" not in answer.headers, (method, path)
        assert "Set-Cookie" not in answer.headers, (method, path)
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        preflight = client.options(path, headers=asked)
        assert preflight.status_code in {200, 204}, path
        assert preflight.headers["Access-Control-Allow-Origin"] == "*", path
        assert method in preflight.headers["Access-Control-Allow-Methods"], (method, path)
        allowed = preflight.headers["Access-Control-Allow-Headers"].lower()
        assert "authorization" in allowed, path
        assert "content-type" in allowed, path
        assert "Access-Control-Allow-Credentials" not in preflight.headers, path


def test_pages_and_administration_stay_closed_to_scripts_of_other_sites(server: Server) -> None:
    client = server.app.test_client()
    for path in PAGES:
        answer = client.get(path, headers={"Origin": ORIGIN})
        assert not [name for name in answer.headers.keys() if name.startswith("Access-Control")], path  # noqa: SIM118 - Headers yields pairs
