"""Professionals come in with NHS CIS2: only whom an organisation let in before, in a role that it holds for them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from fhir_server.identity.openid_provider import Publications
from fhir_server.signin.relying_party import EXTENSION
from tests.databases import Databases
from tests.pages import said
from tests.server import create_schema
from tests.signin.nhs_login_world import NhsWorld, heading, running_world

USER, ROLE = "555021935107", "555021935999"
NOT_INVITED = (403, "You do not have access with this role")
UNTRUSTED = (403, "We could not sign you in")
SAID = {
    "nhsid_useruid": USER,
    "selected_roleid": ROLE,
    "nhsid_nrbac_roles": [
        {"person_roleid": ROLE, "org_code": "RYJ", "role_code": "S0010:G0020:R8000"},
        {"person_roleid": "555021935888", "org_code": "RQM", "role_code": "S0010:G0020:R8001"},
    ],
}
ORGANIZATION = {"resourceType": "Organization", "id": "trust", "name": "A trust"}
IDENTIFIED = {
    "Organization": ("https://fhir.nhs.uk/Id/ods-organization-code", "RYJ"),
    "Practitioner": ("https://fhir.nhs.uk/Id/sds-user-id", USER),
    "PractitionerRole": ("https://fhir.nhs.uk/Id/sds-role-profile-id", ROLE),
}


@pytest.fixture
def cis2(databases: Databases, tmp_path: Path) -> Iterator[NhsWorld]:
    with running_world(databases.prepared("schema", create_schema), tmp_path, name="cis2") as made:
        for resource in (
            ORGANIZATION,
            {"resourceType": "Practitioner", "id": "consultant", "name": [{"family": "Raman"}]},
            role_of("consultant"),
        ):
            stored(made, resource)
        made.account("Practitioner/consultant", "raman@example.org", "professional")
        made.issuer.userinfo = SAID
        made.issuer.claims = {"authentication_assurance_level": "3"}
        yield made


def role_of(who: str, **changed: Any) -> dict[str, Any]:
    found = {
        "resourceType": "PractitionerRole",
        "id": "role",
        "practitioner": {"reference": f"Practitioner/{who}"},
        "organization": {"reference": "Organization/trust"},
    }
    return found | changed


def stored(world: NhsWorld, resource: dict[str, Any]) -> None:
    system, value = IDENTIFIED[resource["resourceType"]]
    identifier = resource.get("identifier", [{"system": system, "value": value}])
    world.server.put(resource | {"identifier": identifier}, world.server.operator())


def refused(world: NhsWorld, expected: tuple[int, str]) -> None:
    browser = world.browser()
    answer = browser.nhs_login("/cis2")
    assert (answer.status_code, heading(answer)) == expected
    assert not browser.is_signed_in()


def test_an_invited_professional_is_in_and_goes_on(cis2: NhsWorld) -> None:
    browser = cis2.browser()
    assert browser.nhs_login("/cis2?next=/patients").location == "/patients"
    assert "raman@example.org" in browser.get("/account").text
    assert cis2.events() == [("0", "")]
    asked = cis2.issuer.asked
    assert "vtr" not in asked
    assert asked["scope"] == "openid profile nhsperson nationalrbacaccess associatedorgs selectedrole"
    assert asked["redirect_uri"] == "http://localhost/cis2/callback"


@pytest.mark.parametrize(
    "changed",
    [
        {"active": False},
        {"practitioner": {"reference": "Practitioner/somebody"}},
        {"organization": {"reference": "Organization/elsewhere"}},
        {"period": {"end": "2020-01-01"}},
        {"period": {"start": "2099-01"}},
        {"identifier": [{"system": "https://example.org", "value": ROLE}]},
    ],
    ids=["ended", "another's", "elsewhere", "over", "not begun", "of another system"],
)
def test_a_role_that_the_organisation_does_not_hold_for_them_is_refused(
    cis2: NhsWorld, changed: dict[str, Any]
) -> None:
    stored(cis2, {"resourceType": "Practitioner", "id": "somebody", "identifier": [{"value": "1"}]})
    elsewhere = [{"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "RQM"}]
    stored(cis2, ORGANIZATION | {"id": "elsewhere", "identifier": elsewhere})
    stored(cis2, role_of("consultant", **changed))
    refused(cis2, NOT_INVITED)


@pytest.mark.parametrize("said", [{"nhsid_useruid": "1"}, {"nhsid_useruid": USER.lower() + " "}])
def test_somebody_whom_nobody_knows_here_is_refused(cis2: NhsWorld, said: dict[str, Any]) -> None:
    cis2.issuer.userinfo = SAID | said
    refused(cis2, NOT_INVITED)
    assert cis2.events() == [("4", "No Practitioner has this user id")]


@pytest.mark.parametrize(
    "said",
    [
        {"nhsid_useruid": None},
        {"nhsid_useruid": ""},
        {"selected_roleid": None},
        {"selected_roleid": ""},
        {"selected_roleid": "1"},
        {"nhsid_nrbac_roles": None},
        {"nhsid_nrbac_roles": []},
        {"nhsid_nrbac_roles": "all"},
        {"nhsid_nrbac_roles": [{"person_roleid": ROLE}]},
        {"nhsid_nrbac_roles": [{"person_roleid": ROLE, "org_code": code} for code in ("RYJ", "RQM")]},
        {"sub": "person-2"},
    ],
)
def test_userinfo_without_user_role_or_organisation_is_refused(cis2: NhsWorld, said: dict[str, Any]) -> None:
    cis2.issuer.userinfo = SAID | said
    refused(cis2, UNTRUSTED)


@pytest.mark.parametrize("level", [None, "1", "", 1, ["3"]])
def test_a_sign_in_with_less_than_two_factors_is_refused(cis2: NhsWorld, level: object) -> None:
    cis2.issuer.claims = {"authentication_assurance_level": level}
    refused(cis2, (403, "You are not signed in"))


def test_a_professional_without_an_account_is_refused_like_a_stranger(cis2: NhsWorld) -> None:
    user = [{"system": IDENTIFIED["Practitioner"][0], "value": "2"}]
    stored(cis2, {"resourceType": "Practitioner", "id": "new", "identifier": user})
    role = [{"system": IDENTIFIED["PractitionerRole"][0], "value": "3"}]
    stored(cis2, role_of("new", id="new", identifier=role))
    cis2.issuer.userinfo = SAID | {
        "nhsid_useruid": "2",
        "selected_roleid": "3",
        "nhsid_nrbac_roles": [{"person_roleid": "3", "org_code": "RYJ"}],
    }
    known = cis2.browser().nhs_login("/cis2")
    cis2.issuer.userinfo = SAID | {"nhsid_useruid": "9"}
    stranger = cis2.browser().nhs_login("/cis2")
    assert (known.status_code, said(known.text)) == (stranger.status_code, said(stranger.text))
    assert (known.status_code, heading(known)) == NOT_INVITED


def test_an_answer_of_one_provider_does_not_count_for_another(cis2: NhsWorld) -> None:
    parties = cis2.server.app.extensions[EXTENSION]
    browser = cis2.browser()
    back = browser.leave("/cis2").replace("/cis2/", "/nhs-login/")
    parties["nhs-login"] = type(parties["cis2"])(replace(parties["cis2"].provider, name="nhs-login"))
    parties["nhs-login"].published = Publications(cis2.issuer.url)
    answer = browser.get(back)
    assert (answer.status_code, heading(answer)) == (400, "This sign-in is not valid any more")


def test_an_emergency_access_counts_from_the_proof_that_cis2_had(cis2: NhsWorld) -> None:
    now = int(cis2.server.clock().timestamp())
    for claims in ({"auth_time": now - 3_600}, {"auth_time": None}):
        cis2.issuer.claims = {"authentication_assurance_level": "3"} | claims
        browser = cis2.browser()
        browser.nhs_login("/cis2")
        assert browser.is_signed_in()
        with cis2.server.store.read() as session:
            proved_at = session.connection.execute(text("SELECT max(auth_time) FROM portal_session")).scalar_one()
        assert proved_at <= (now - 3_600) * 1_000_000
