"""Several coordinators' programs invite the same professional at once: one entry in the directory, one role."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.admin.conftest import Desk
from tests.admin.test_invitations_api import _token

NUMBER = "555021935107"
ADA = {"given": "Ada", "family": "Okoro", "job": "Nurse", "number": NUMBER}


def test_a_number_gets_one_entry_and_one_role_and_whoever_comes_second_is_told(desk: Desk) -> None:
    op = desk.operator()
    desk.server.put({"resourceType": "Organization", "id": "1", "name": "Trust"}, op)
    tokens = [_token(desk, "coordinator") for _ in range(4)]

    def invite(number: int) -> int:
        body = ADA | {"email": f"ada{number}@example.org"}
        return int(desk.call("POST", "/api/v1/professionals", tokens[number], body).status_code)

    with ThreadPoolExecutor(4) as pool:
        statuses = Counter(pool.map(invite, range(4)))
    assert set(statuses) <= {201, 409}
    assert statuses[201] >= 1
    found = desk.server.get(f"/Practitioner?identifier={NUMBER}", op)["entry"]
    [entry] = [each["resource"] for each in found]
    about = f"practitioner=Practitioner/{entry['id']}&_summary=count"
    assert desk.server.get(f"/PractitionerRole?{about}", op)["total"] == 1


def test_of_two_organisations_that_somebody_has_left_one_vouches_for_them(desk: Desk) -> None:
    op, server = desk.operator(), desk.server
    identifier = {"system": "https://fhir.nhs.uk/Id/sds-user-id", "value": NUMBER}
    entry = {"resourceType": "Practitioner", "identifier": [identifier], "name": [{"family": "Okoro"}]}
    who = f"Practitioner/{server.post('/Practitioner', op, entry)['id']}"
    tokens = []
    for number in "12":
        owner = f"Organization/{number}"
        server.put({"resourceType": "Organization", "id": number, "name": "Trust"}, op)
        left = {"practitioner": {"reference": who}, "organization": {"reference": owner}, "active": False}
        server.post("/PractitionerRole", op, {"resourceType": "PractitionerRole", **left})
        tokens.append(_token(desk, "coordinator", owner))

    def invite(number: int) -> int:
        body = ADA | {"email": f"ada{number}@example.org"}
        return int(desk.call("POST", "/api/v1/professionals", tokens[number], body).status_code)

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(invite, range(2)))
    assert statuses == [201, 400]
    assert server.get(f"/PractitionerRole?practitioner={who}&active=true&_summary=count", op)["total"] == 1
