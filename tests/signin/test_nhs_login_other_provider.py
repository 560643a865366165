"""npm `oidc-provider`, which shares nothing with us, signs a person in: `private_key_jwt`, RS512, PKCE, RFC 9207."""

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from werkzeug.serving import make_server

from tests.answering import answering
from tests.databases import SqliteDatabases
from tests.npm import installed, node
from tests.server import Clock, Server, build, create_schema
from tests.signin.nhs_login_issuer import PERSON, rsa_key
from tests.signin.nhs_login_world import NhsWorld

SOURCE = Path(__file__).parent / "oidc_provider"
_FORM = re.compile(r'<form[^>]*action="([^"]+)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
_TICK = re.compile(r'name="(agreement|privacy)" type="checkbox" value="([^"]+)"')


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return found


@pytest.fixture
def site(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server on a port, registered with a running oidc-provider."""
    templates = tmp_path_factory.getbasetemp() / "sqlite-templates"
    templates.mkdir(exist_ok=True)
    url = SqliteDatabases(tmp_path, templates).prepared("schema", create_schema)
    key_file = tmp_path / "client.pem"
    key_file.write_bytes(rsa_key("client").as_pem(private=True))
    port, listener = free_port(), make_server("127.0.0.1", 0, lambda _environ, _start: [], threaded=True)
    base_url = f"http://localhost:{listener.server_port}"
    server = build(
        url,
        tmp_path,
        Clock(datetime.now(UTC)),
        base_url=base_url,
        nhs_login_issuer=f"http://localhost:{port}",
        nhs_login_client_id="client-1",
        nhs_login_private_key_file=str(key_file),
    )
    listener.app = server.app
    with answering(listener):
        process = subprocess.Popen(
            [node(), "provider.mjs"], cwd=installed(SOURCE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin
        assert process.stdout
        client = {
            "client_id": "client-1",
            "redirect_uris": [f"{base_url}/nhs-login/callback"],
            "scope": "openid profile profile_extended email phone",
            "jwks": {"keys": [rsa_key("client").as_dict(private=False, kid=rsa_key("client").thumbprint())]},
        }
        key = rsa_key("provider").as_dict(private=True, use="sig", alg="RS512")
        person = PERSON | {"email": "bea@example.org", "email_verified": True, "given_name": "Béatrice"}
        print(
            json.dumps({"port": port, "client": client, "key": key, "person": person}), file=process.stdin, flush=True
        )
        while (line := process.stdout.readline()).strip() != "ready":
            assert line, "oidc-provider stopped by itself"
        yield server
        process.terminate()
        process.wait(timeout=10)
        process.stdin.close()
        process.stdout.close()
    server.close()


def submitted(browser: httpx.Client, page: httpx.Response, **fields: str) -> httpx.Response:
    """Send the form of a page, following where it leads."""
    action = _FORM.search(page.text)
    assert action, page.text
    hidden = dict(_HIDDEN.findall(page.text))
    return browser.post(urljoin(str(page.url), unescape(action[1])), data=hidden | fields)


def test_oidc_provider_signs_a_person_in_unchanged(site: Server, tmp_path: Path) -> None:
    base_url = site.app.extensions["fhir"].base_url
    NhsWorld(site, None, tmp_path).patient()  # type: ignore[arg-type]  # the record needs no provider
    with httpx.Client(follow_redirects=True, timeout=20) as browser:
        for expected in ("/nhs-login/agreement", "/record"):
            asked = browser.get(f"{base_url}/nhs-login?next=/record")
            if "/interaction/" in str(asked.url):
                permission = submitted(browser, asked, login="person-1", password="anything")
                asked = submitted(browser, permission) if "/interaction/" in str(permission.url) else permission
            assert asked.status_code == 200, asked.text
            assert asked.url.path == expected
            if expected == "/nhs-login/agreement":
                token = _CSRF.search(asked.text)
                assert token
                form = {"csrf_token": token[1], **dict(_TICK.findall(asked.text))}
                assert browser.post(str(asked.url), data=form).status_code == 200
                browser.post(f"{base_url}/sign-out", data={"csrf_token": token[1]})
                browser.cookies.delete("session")
        assert "bea@example.org" in browser.get(f"{base_url}/account").text
