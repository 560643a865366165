"""A registration with a provider is complete and safe, or the server does not start."""

from pathlib import Path

import pytest

from fhir_server.app import providers
from fhir_server.identity.guarded_fetch import is_safe
from fhir_server.settings import Settings, SettingsError, load
from tests.signin.nhs_login_issuer import rsa_key

SECRET = {"FHIR_SERVER_SECRET_KEY": "x" * 40, "FHIR_SERVER_BASE_URL": "https://record.example.org"}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(rsa_key("client").as_pem(private=True))
    return path


def environment(key_file: Path, **changed: str) -> dict[str, str]:
    found = {"ISSUER": "https://auth.example.org", "CLIENT_ID": "demo", "PRIVATE_KEY_FILE": str(key_file)} | changed
    return {f"FHIR_SERVER_NHS_LOGIN_{name}": value for name, value in found.items() if value}


def test_a_complete_registration_is_taken(key_file: Path) -> None:
    (found,) = providers(load(environment(key_file)))
    assert (found.name, found.issuer) == ("nhs-login", "https://auth.example.org")
    assert found.redirect_uri == "http://localhost:8000/nhs-login/callback"
    assert found.vtr == ("P9.Cp.Cd", "P9.Cp.Ck", "P9.Cm")
    assert "PRIVATE" not in repr(found)


def test_without_settings_there_is_no_registration() -> None:
    assert providers(Settings()) == ()


@pytest.mark.parametrize(
    "changed, named",
    [
        ({"CLIENT_ID": ""}, "NHS_LOGIN_CLIENT_ID"),
        ({"PRIVATE_KEY_FILE": ""}, "NHS_LOGIN_PRIVATE_KEY_FILE"),
        ({"PRIVATE_KEY_FILE": "nowhere.pem"}, "there is no such file"),
        ({"ISSUER": ""}, "NHS_LOGIN_ISSUER: missing"),
        ({"ISSUER": "http://auth.example.org"}, "must be an https URL"),
        ({"ISSUER": "https://auth.example.org/?x=1"}, "must be an https URL"),
        ({"ISSUER": "auth.example.org"}, "must be an https URL"),
        ({"VTR": "P9.Cp.Cd"}, "NHS_LOGIN_VTR"),
        ({"VTR": "[]"}, "NHS_LOGIN_VTR"),
        ({"VTR": '["P9.Cp.Cd", 1]'}, "NHS_LOGIN_VTR"),
        ({"VTR": '["P9 Cp"]'}, "NHS_LOGIN_VTR"),
    ],
)
def test_an_incomplete_or_unsafe_registration_is_named(key_file: Path, changed: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load(environment(key_file, **changed))


def test_plain_http_on_this_machine_is_for_the_demo(key_file: Path) -> None:
    local = environment(key_file, ISSUER="http://localhost:8090")
    assert load(local).nhs_login_issuer == "http://localhost:8090"
    with pytest.raises(SettingsError, match="must be an https URL"):
        load(local | SECRET | {"FHIR_SERVER_ENVIRONMENT": "production"})


@pytest.mark.parametrize("content", [b"no key", rsa_key("client").as_pem(private=False), b""])
def test_a_key_file_without_a_private_key_is_named(key_file: Path, content: bytes) -> None:
    key_file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"key\.pem"):
        providers(load(environment(key_file)))


@pytest.mark.parametrize(
    "url",
    [
        "https://auth.example.org/token",
        "http://localhost:8090/token",
        "http://127.0.0.1/token",
        "http://[::1]:8090/token",
    ],
)
def test_a_provider_is_asked_by_https_or_on_this_machine(url: str) -> None:
    assert is_safe(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://auth.example.org/token",
        "http://localhost.example.org/",
        "http://127.0.0.1.example.org/",
        "https://user:secret@auth.example.org/",
        "https://auth.example.org/#part",
        "https://auth.example.org:port/",
        "https:///token",
        "https://auth.example.org/a b",
        "https://auth.example.org/\r\nHost: x",
        "https://äuth.example.org/",
        "ftp://auth.example.org/",
        "file:///etc/passwd",
        "//auth.example.org/",
        "",
        None,
        1,
        ["https://auth.example.org/"],
    ],
)
def test_a_provider_is_asked_nowhere_else(url: object) -> None:
    assert not is_safe(url)
