"""The list of hospital systems, and what their answers say of user and patient: everything wrong in turn."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fhir_server.identity import ehr_launch, openid_provider
from fhir_server.identity.ehr_launch import Clinician, Launched
from fhir_server.identity.openid import OpenIdError
from tests.signin.nhs_login_issuer import Issuer, Json, rsa_key, running_issuer

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
BASE = "https://epr.example.org/fhir"
GMC, SDS = "https://fhir.hl7.org.uk/Id/gmc-number", "https://fhir.nhs.uk/Id/sds-user-id"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
ENTRY: Json = {
    "name": "north",
    "issuer": BASE,
    "client_id": "portal",
    "private_key_file": "key.pem",
    "organization": "RYJ",
}
PRACTITIONER: Json = {
    "resourceType": "Practitioner",
    "id": "p",
    "identifier": [{"system": GMC, "value": "C1"}, {"system": SDS, "value": "55"}, {"system": "urn:x", "value": "9"}],
    "name": [{"use": "old", "text": "No"}, {"use": "official", "prefix": ["Dr"], "given": ["Ann"], "family": "Ray"}],
    "telecom": [{"system": "email", "value": "Ann@Example.org"}],
}
ROLE: Json = {
    "resourceType": "PractitionerRole",
    "id": "r",
    "practitioner": {"reference": "Practitioner/p"},
    "code": [{"coding": [{"system": "urn:roles", "code": "consultant", "extra": 1}]}],
}
PATIENT: Json = {
    "resourceType": "Patient",
    "id": "m",
    "identifier": [{"system": NHS, "value": "943 476 5919"}],
    "birthDate": "1984-03-15",
}


def test_the_list_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(rsa_key("one").as_pem(private=True))
    path = tmp_path / "systems.json"

    def read(*entries: object, may_be_local: bool = False) -> Any:
        path.write_text(json.dumps(list(entries)))
        return ehr_launch.registered(path, "https://cie.example.org", may_be_local=may_be_local)

    (provider,) = read(ENTRY | {"emergency_roles": ["consultant"]})
    assert (provider.name, provider.redirect_uri) == ("ehr-north", "https://cie.example.org/launch/callback/north")
    assert provider.ehr.emergency_roles == {"consultant"}
    assert read(ENTRY | {"issuer": "http://localhost:1/fhir"}, may_be_local=True)
    for wrong in (
        {"issuer": "http://localhost:1/fhir"},
        {"issuer": f"{BASE}/"},
        {"issuer": f"{BASE}?a=b"},
        {"issuer": "https://user:secret@epr.example.org/fhir"},
        {"name": "North/.."},
        {"organization": "ryj"},
        {"client_id": ""},
        {"emergency_roles": "consultant"},
        {"private_key_file": "none.pem"},
        {"extra": "1"},
    ):
        with pytest.raises(ValueError, match=r"systems\.json|none\.pem"):
            read(ENTRY | wrong)
    for entries in ((ENTRY, ENTRY | {"name": "south"}), (ENTRY, ENTRY | {"issuer": f"{BASE}2"}), ("text",)):
        with pytest.raises(ValueError, match=r"systems\.json"):
            read(*entries)


def test_a_configuration_without_pkce_or_with_plain_addresses_is_not_used() -> None:
    published: Json = {
        "issuer": "https://epr.example.org",
        "jwks_uri": "https://epr.example.org/jwks",
        "authorization_endpoint": "https://epr.example.org/authorize",
        "token_endpoint": "https://epr.example.org/token",
        "code_challenge_methods_supported": ["S256"],
    }
    assert openid_provider.read_smart(published, BASE).issuer == "https://epr.example.org"
    mistakes: tuple[Json, ...] = (
        {"code_challenge_methods_supported": ["plain"]},
        {"code_challenge_methods_supported": None},
        *({name: value} for name in tuple(published)[:4] for value in (None, 1, "http://epr.example.org/x")),
    )
    for wrong in mistakes:
        with pytest.raises(OpenIdError):
            openid_provider.read_smart(published | wrong, BASE)


@dataclass
class Ehr:
    """A provider over real HTTP that answers with these resources and nothing else."""

    issuer: Issuer

    @property
    def base(self) -> str:
        return f"{self.issuer.url}/fhir"

    def serve(self, *resources: Json) -> None:
        kind = {"Content-Type": "application/fhir+json"}
        self.issuer.raw = {
            f"/fhir/{each['resourceType']}/{each['id']}": (200, kind, json.dumps(each).encode()) for each in resources
        }

    def user(self, reference: object) -> Clinician:
        return ehr_launch.clinician_of({"fhirUser": reference}, self.base, "token", NOW)

    def patient(self, tokens: Json) -> Launched | None:
        return ehr_launch.launched_of(tokens, self.base, "token")


@pytest.fixture
def ehr() -> Iterator[Ehr]:
    with running_issuer() as issuer:
        yield Ehr(issuer)


def test_who_somebody_is_follows_from_their_resources_alone(ehr: Ehr) -> None:
    ehr.serve(PRACTITIONER, ROLE)
    for user in (f"{ehr.base}/PractitionerRole/r", "PractitionerRole/r", f"{ehr.base}/Practitioner/p"):
        found = ehr.user(user)
        assert found.identifiers == ((GMC, "C1"), (SDS, "55"))
        assert (found.shown, found.email, found.works) == ("Dr Ann Ray", "ann@example.org", True)
    assert ehr.user("PractitionerRole/r").codes == ({"system": "urn:roles", "code": "consultant"},)
    for changed in (
        (PRACTITIONER | {"active": False}, ROLE),
        (PRACTITIONER, ROLE | {"active": False}),
        (PRACTITIONER, ROLE | {"period": {"end": "2026-11-21"}}),
    ):
        ehr.serve(*changed)
        assert not ehr.user("PractitionerRole/r").works
    refused: tuple[tuple[object, tuple[Json, ...]], ...] = (
        (f"{ehr.base}/Patient/m", (PATIENT,)),
        ("https://elsewhere.example.org/fhir/Practitioner/p", (PRACTITIONER,)),
        (f"{ehr.base}/Practitioner/p/../../secret", (PRACTITIONER,)),
        (None, (PRACTITIONER,)),
        (["Practitioner/p"], (PRACTITIONER,)),
        ("Practitioner/p", (PRACTITIONER | {"identifier": [{"system": "urn:x", "value": "9"}]},)),
        ("Practitioner/p", (PRACTITIONER | {"identifier": "C1"},)),
        ("Practitioner/p", (PRACTITIONER | {"name": []},)),
        ("PractitionerRole/r", (PRACTITIONER, ROLE | {"practitioner": {"reference": "Patient/m"}})),
        ("Practitioner/other", (PRACTITIONER,)),
    )
    for other, resources in refused:
        ehr.serve(*resources)
        with pytest.raises(OpenIdError):
            ehr.user(other)


def test_whom_a_launch_is_about_is_one_valid_number_or_nobody(ehr: Ehr) -> None:
    ehr.serve(PATIENT)
    assert ehr.patient({"patient": "m"}) == Launched("9434765919", "1984-03-15")
    assert ehr.patient({}) is None
    changes: tuple[Json, ...] = (
        {"identifier": [{"system": NHS, "value": "9434765918"}]},
        {"identifier": [{"system": NHS, "value": "9434765919"}, {"system": NHS, "value": "9000000009"}]},
        {"identifier": []},
        {"birthDate": "1984"},
        {"birthDate": None},
    )
    for change in changes:
        ehr.serve(PATIENT | change)
        assert ehr.patient({"patient": "m"}) is None, change
    names: tuple[object, ...] = ("../Patient/x", 1, "", "x" * 65)
    for patient in names:
        with pytest.raises(OpenIdError):
            ehr.patient({"patient": patient})
