"""User-access brands (SMART App Launch 2.2): a valid Bundle that apps of any origin may keep."""

from dataclasses import replace
from typing import Any

from fhir.resources.R4B.bundle import Bundle

from fhir_server.smart.brands import PATH, Brands
from tests.server import Server

CONFIGURATION = "/fhir/.well-known/smart-configuration"


def _fetch(server: Server, path: str, **headers: str) -> Any:
    return server.app.test_client(use_cookies=False).get(path, headers={"Origin": "https://app.example", **headers})


def test_without_organisations_the_server_is_its_own_brand(server: Server) -> None:
    answer = _fetch(server, PATH)

    assert answer.content_type.startswith("application/fhir+json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "max-age" in answer.headers["Cache-Control"]
    again = _fetch(server, PATH, **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    brand, endpoint = (entry["resource"] for entry in answer.json["entry"])
    assert brand["name"] == "Care Information Exchange"
    assert endpoint["resourceType"] == "Endpoint"

    told = _fetch(server, CONFIGURATION).json
    assert told["user_access_brand_bundle"].endswith(PATH)
    assert told["user_access_brand_identifier"] in brand["identifier"]


def test_organisations_of_the_directory_are_brands_and_no_more_of_them_is_told(server: Server) -> None:
    trust = {
        "resourceType": "Organization", "id": "brand-trust", "name": "Brentmoor Hospitals", "alias": ["BUH"],
        "identifier": [{"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "RXH"}],
        "telecom": [{"system": "phone", "value": "020 7946 0000"}],
        "contact": [{"name": {"text": "Somebody"}}], "address": [{"city": "Brentmoor"}],
    }  # fmt: skip
    server.put(trust, server.operator())
    kept = server.app.extensions["smart"]
    references = ("Organization/brand-trust", "Organization/never-there")
    brands = Brands("Exchange", "https://www.exchange.example", "/logo.svg", references)
    server.app.extensions["smart"] = replace(kept, brands=brands)

    answer = _fetch(server, PATH)
    server.app.extensions["smart"] = kept

    bundle = Bundle.model_validate_json(answer.data)
    assert bundle.type == "collection"
    assert bundle.timestamp is not None
    urls = [entry["fullUrl"] for entry in answer.json["entry"]]
    assert [url.rpartition("/fhir/")[2] for url in urls] == ["Organization/brand-trust", "Endpoint/user-access"]
    brand, endpoint = (entry["resource"] for entry in answer.json["entry"])
    assert (brand["name"], brand["alias"], brand["address"]) == (
        "Brentmoor Hospitals",
        ["BUH"],
        [{"city": "Brentmoor"}],
    )
    assert brand["identifier"][0] == {"system": "urn:ietf:rfc:3986", "value": "https://exchange.example"}
    assert brand["identifier"][1]["value"] == "RXH"
    assert b"Somebody" not in answer.data
    assert b"7946" not in answer.data
    portal, logo = (extension["extension"] for extension in brand["extension"])
    assert {item["url"] for item in portal} == {"portalName", "portalUrl", "portalEndpoint"}
    assert logo == [{"url": "brandLogo", "valueUrl": "https://www.exchange.example/logo.svg"}]
    assert brand["endpoint"][0]["reference"] == f"Endpoint/{endpoint['id']}"
    assert endpoint["connectionType"]["code"] == "hl7-fhir-rest"
    assert endpoint["extension"][0]["valueCode"] == "4.0.1"
