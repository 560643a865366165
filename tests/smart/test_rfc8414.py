"""Discovery (RFC 8414, OpenID Connect, SMART): each line that is advertised is exercised, and nothing else stands."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from fhir_server.portal import routes
from fhir_server.smart.discovery import configuration
from tests.smart.exercised import missing
from tests.smart.world import ASSERTION_TYPE, BASE, CALLBACK, World, ec_key, public_jwks, rsa_key

DOCUMENTS = (
    "/fhir/.well-known/smart-configuration",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
)
CODE = "test_rfc6749_authorization_code.py"
TOKEN = "test_rfc6749_token_endpoint.py"
HERE = "test_rfc8414.py::test_every_way_of_client_authentication_works_where_it_is_advertised"
EXERCISED = {
    "issuer": "test_rfc9207.py::test_every_answer_names_its_issuer_against_mix_up",
    "jwks_uri": "test_rfc7517.py::test_the_published_keys_are_public_and_say_what_they_are_for",
    "authorization_endpoint": f"{CODE}::test_a_public_app_gets_a_token_for_exactly_what_was_granted",
    "token_endpoint": f"{CODE}::test_a_public_app_gets_a_token_for_exactly_what_was_granted",
    "userinfo_endpoint": "test_smart_ehr_launch.py::test_userinfo_says_who_signed_in",
    "revocation_endpoint": HERE,
    "introspection_endpoint": HERE,
    "registration_endpoint": "test_rfc7591_registration.py",
    "management_endpoint": "test_rfc8414.py::test_the_management_endpoint_is_where_people_remove_apps",
    "token_endpoint_auth_methods_supported": HERE,
    "token_endpoint_auth_signing_alg_values_supported": HERE,
    "revocation_endpoint_auth_methods_supported": HERE,
    "revocation_endpoint_auth_signing_alg_values_supported": HERE,
    "introspection_endpoint_auth_methods_supported": HERE,
    "introspection_endpoint_auth_signing_alg_values_supported": HERE,
    "grant_types_supported": "test_rfc8414.py::test_every_grant_type_gives_a_token",
    "response_types_supported": f"{CODE}::test_the_answer_carries_state_and_issuer_and_is_a_303",
    "response_modes_supported": f"{CODE}::test_the_answer_carries_state_and_issuer_and_is_a_303",
    "code_challenge_methods_supported": "test_rfc7636.py::test_no_code_without_an_s256_challenge",
    "scopes_supported": "test_smart_discovery.py::test_every_advertised_scope_is_understood",
    "authorization_response_iss_parameter_supported": (
        "test_rfc9207.py::test_every_answer_names_its_issuer_against_mix_up"
    ),
    "dpop_signing_alg_values_supported": "test_rfc9449.py::test_every_advertised_algorithm_proves",
    "id_token_signing_alg_values_supported": (
        "test_openid_connect_core.py::test_a_client_gets_its_id_tokens_signed_as_it_asked_for_and_no_other_way"
    ),
    "subject_types_supported": "test_openid_connect_core.py::test_the_subject_is_the_same_for_every_app",
    "claims_supported": "test_openid_connect_core.py::test_the_id_token_says_who_signed_in_when_and_to_which_app",
    "request_uri_parameter_supported": f"{CODE}::test_a_wrong_request_is_told_to_the_app",
    "capabilities": "test_rfc8414.py::test_every_capability_has_its_test",
    "associated_endpoints": "test_brands.py",
    "user_access_brand_bundle": "test_brands.py",
    "user_access_brand_identifier": "test_brands.py",
}
CAPABILITIES = {
    "launch-standalone": "test_js_clients.py::test_fhirclient_starts_on_its_own",
    "launch-ehr": "test_js_clients.py::test_fhirclient_is_launched_from_the_patients_page",
    "authorize-post": "test_smart_ehr_launch.py::test_an_app_may_send_its_request_as_a_form",
    "client-public": f"{CODE}::test_a_public_app_gets_a_token_for_exactly_what_was_granted",
    "client-confidential-symmetric": f"{TOKEN}::test_a_confidential_client_authenticates_with_basic_or_post",
    "client-confidential-asymmetric": f"{TOKEN}::test_a_confidential_app_with_keys_authenticates_with_an_assertion",
    "sso-openid-connect": "test_openid_connect_core.py::test_the_id_token_says_who_signed_in_when_and_to_which_app",
    "context-banner": "test_smart_ehr_launch.py::test_an_app_opened_from_a_patients_page_learns_whose_it_was",
    "context-ehr-patient": "test_smart_ehr_launch.py::test_an_app_opened_from_a_patients_page_learns_whose_it_was",
    "context-ehr-encounter": "test_smart_ehr_launch.py::test_an_app_opened_from_a_patients_page_learns_whose_it_was",
    "context-standalone-patient": (
        "test_smart_patient_picker.py::test_a_carer_chooses_among_the_records_shared_with_them"
    ),
    "permission-offline": "test_rfc6749_refresh.py::test_a_refresh_gives_a_new_pair_for_the_same_record",
    "permission-online": "test_smart_ehr_launch.py::test_online_access_ends_with_the_sign_in",
    "permission-patient": f"{CODE}::test_a_public_app_gets_a_token_for_exactly_what_was_granted",
    "permission-user": "test_smart_patient_picker.py::test_no_patient_is_chosen_where_the_app_asks_for_none",
    "permission-v1": "test_fhirclient.py::test_fhirclient_logs_in_reads_refreshes_and_is_removed",
    "permission-v2": f"{CODE}::test_a_public_app_gets_a_token_for_exactly_what_was_granted",
}
"""What is advertised, and the test of this folder (or the file of tests) that exercises it."""


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_line_that_is_advertised_has_its_test(world: World, path: str) -> None:
    advertised = world.programs.get(path).json or {}

    assert advertised.keys() - EXERCISED.keys() == set(), "advertised without a test"
    assert missing(EXERCISED[name] for name in advertised) == []


def test_every_capability_has_its_test() -> None:
    assert set(configuration(BASE)["capabilities"]) == CAPABILITIES.keys()
    assert missing(CAPABILITIES.values()) == []


def test_every_way_of_client_authentication_works_where_it_is_advertised(world: World) -> None:
    said, ada = configuration(BASE), world.person()
    for endpoint in ("token", "revocation", "introspection"):
        methods = said[f"{endpoint}_endpoint_auth_methods_supported"]
        algorithms = said[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
        ways = [(each, "") for each in methods if each != "private_key_jwt"] + [
            *product(["private_key_jwt"], algorithms)
        ]
        for method, algorithm in ways:
            kind = {"none": "public", "private_key_jwt": "jwks"}.get(method, "secret")
            more = {"jwks": public_jwks(ec_key(), rsa_key())} if kind == "jwks" else {}
            client_id, secret = world.client(kind=kind, **more)
            form: dict[str, str] = {}
            headers: dict[str, Any] = {}
            if method == "client_secret_basic":
                headers["auth"] = (client_id, secret)
            elif method == "private_key_jwt":
                signer = rsa_key() if algorithm == "RS384" else ec_key()
                form["client_assertion"] = world.assertion(client_id, key=signer)
                form["client_assertion_type"] = ASSERTION_TYPE
            else:
                form |= {"client_id": client_id} | ({"client_secret": secret} if secret else {})
            form |= {"token": "unknown", "grant_type": "authorization_code", "code": world.code(client_id, ada)}
            form |= {"redirect_uri": CALLBACK}
            form |= {"code_verifier": "a-verifier-of-more-than-forty-three-characters-0123456789"}
            url = said[f"{endpoint}_endpoint"].removeprefix(BASE)
            answer = world.programs.post(url, data=form, **headers)
            assert answer.status_code == 200, (endpoint, method, algorithm, answer.text)


def test_every_grant_type_gives_a_token(world: World) -> None:
    app_id = world.client()[0]
    answer = world.login(app_id, world.person())
    given = {"authorization_code": answer, "refresh_token": world.refresh(app_id, answer["refresh_token"]).json or {}}
    given["client_credentials"] = world.system_token(world.assertion(world.backend())).json or {}

    assert given.keys() == set(configuration(BASE)["grant_types_supported"])
    assert all(each["access_token"] for each in given.values())
    for other in ("password", "implicit", "urn:ietf:params:oauth:grant-type:device_code", ""):
        assert world.token({"grant_type": other, "client_id": app_id}).status_code == 400, other


def test_the_management_endpoint_is_where_people_remove_apps() -> None:
    path = configuration(BASE)["management_endpoint"].removeprefix(BASE)
    assert path in Path(routes.__file__).read_text()


def test_no_issuer_but_our_own_is_named(world: World) -> None:
    for path in DOCUMENTS:
        found = world.programs.get(path, headers={"Host": "evil.test", "X-Forwarded-Host": "evil.test"})
        assert "evil.test" not in found.text, path
        assert (found.json or {})["issuer"] == BASE, path
