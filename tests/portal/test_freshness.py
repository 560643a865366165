"""Who an entry comes from: an organisation before a person, and a name before none."""

import pytest

from fhir_server.portal.models.freshness import source_of


@pytest.mark.parametrize(
    "performers, source",
    [
        ([{"reference": "Practitioner/1"}, {"reference": "Practitioner/2", "display": "Dr Jones"}], "Dr Jones"),
        ([{"reference": "Organization/1"}, {"reference": "Organization/2", "display": "Laboratory"}], "Laboratory"),
        ([{"display": "Dr Jones"}, {"reference": "Organization/2", "display": "Laboratory"}], "Laboratory"),
        ([{"reference": "Organization/1"}, {"reference": "Practitioner/2", "display": "Dr Jones"}], "Dr Jones"),
        ([{"reference": "Patient/1", "display": "Ann"}], "Entered by the patient"),
        ([{"reference": "Organization/1"}], ""),
    ],
)
def test_a_source_is_named_wherever_one_has_a_name(performers: list[dict[str, str]], source: str) -> None:
    resource = {"resourceType": "Observation", "performer": performers}
    assert source_of(resource, "Patient/1") == source
