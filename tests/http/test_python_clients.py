"""Clients that share no code with the server, unmodified, over HTTP: PyPI `fhirpy` (sync and async), `fhirclient`."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException, FHIRUnauthorizedException
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import (
    AuthorizationError,
    MultipleResourcesFound,
    OperationOutcome,
    ResourceNotFound,
)

from tests.databases import Databases
from tests.http.listening import listening
from tests.server import Server, create_schema

SYSTEM = "https://example.org/mrn"
PAGES = 7


@pytest.fixture
def server(databases: Databases, tmp_path: Path) -> Iterator[Server]:
    """Return a server that listens on a port, once for each kind of database."""
    with listening(databases.prepared("schema", create_schema), tmp_path) as made:
        yield made


@pytest.fixture
def base(server: Server) -> str:
    return f"{server.app.extensions['fhir'].base_url}/fhir"


@pytest.fixture
def fhirpy(server: Server, base: str) -> SyncFHIRClient:
    return SyncFHIRClient(base, authorization=f"Bearer {server.operator()}")


@pytest.fixture
def smart(server: Server, base: str) -> Iterator[Any]:
    """Return the `fhirclient` server object of somebody with a token got elsewhere."""
    made = FHIRClient(settings={"app_id": "test", "api_base": base}).server
    made.session.headers["Authorization"] = f"Bearer {server.operator()}"
    yield made
    made.session.close()


def _patient(family: str, value: str = "") -> dict[str, Any]:
    named = {"identifier": [{"system": SYSTEM, "value": value}]} if value else {}
    return {**named, "name": [{"family": family, "given": ["Ada"]}], "birthDate": "1815-12-10"}


# ---------------------------------------------------------------- fhirpy, sync


def test_fhirpy_creates_reads_changes_and_deletes(fhirpy: SyncFHIRClient) -> None:
    patient: Any = fhirpy.resource("Patient", **_patient("Byron"))
    patient.save()
    assert patient.meta.versionId == "1"

    patient.gender = "female"
    patient.save()
    assert (patient.meta.versionId, patient.gender) == ("2", "female")

    patient.birthDate = "1815-12-11"
    patient.save(fields=["birthDate"])
    patient.patch(gender=None, active=True)
    assert (patient.get("gender"), patient.active, patient.birthDate) == (None, True, "1815-12-11")

    again: Any = fhirpy.reference("Patient", patient.id).to_resource()
    assert again.serialize() == patient.serialize()
    assert patient.refresh().serialize() == again.serialize()
    assert fhirpy.get("Patient", patient.id)["active"] is True

    patient.delete()
    with pytest.raises(ResourceNotFound, match="deleted"):
        patient.refresh()
    with pytest.raises(ResourceNotFound):
        fhirpy.resources("Patient").search(_id=patient.id).get()


def test_fhirpy_pages_through_sorted_results_and_counts(fhirpy: SyncFHIRClient) -> None:
    for number in range(PAGES):
        fhirpy.resource("Patient", **_patient(f"Byron{number}")).save()
    found = fhirpy.resources("Patient").search(family="byron", birthdate__ge="1815").sort("-family").limit(2)
    assert [each.name[0].family for each in found] == [f"Byron{number}" for number in reversed(range(PAGES))]
    assert len(found.fetch()) == 2
    assert len(found.fetch_all()) == PAGES
    assert found.count() == PAGES
    first: Any = found.first()
    assert first.name[0].family == "Byron6"
    with pytest.raises(MultipleResourcesFound):
        found.get()
    bare: Any = fhirpy.resources("Patient").elements("name").first()
    assert "birthDate" not in bare
    whole: Any = fhirpy.resources("Patient").first()
    assert "birthDate" in whole


def test_fhirpy_includes_both_ways_and_asks_along_references(fhirpy: SyncFHIRClient) -> None:
    patient: Any = fhirpy.resource("Patient", **_patient("Byron"))
    patient.save()
    weight: Any = fhirpy.resource(
        "Observation", status="final", code={"text": "Weight"}, subject=patient.to_reference()
    )
    weight.save()
    assert weight.subject.to_resource() == patient

    forwards = fhirpy.resources("Observation").include("Observation", "subject").fetch_raw()
    assert [(each.resource.resourceType, each.search.mode) for each in forwards.entry] == [
        ("Observation", "match"),
        ("Patient", "include"),
    ]
    backwards = fhirpy.resources("Patient").revinclude("Observation", "subject").fetch_raw()
    assert [each.resource.resourceType for each in backwards.entry] == ["Patient", "Observation"]
    chained = fhirpy.resources("Observation").search(subject__Patient__family="byron")
    assert chained.fetch() == [weight]
    assert fhirpy.resources("Patient").has("Observation", "subject", status="final").fetch() == [patient]
    assert fhirpy.resources("Patient").has("Observation", "subject", status="preliminary").fetch() == []


def test_fhirpy_makes_a_resource_once_and_changes_it_by_condition(fhirpy: SyncFHIRClient) -> None:
    named = fhirpy.resources("Patient").search(identifier=f"{SYSTEM}|1")
    first, is_new = named.get_or_create(fhirpy.resource("Patient", **_patient("Byron", "1")))
    again, is_new_again = named.get_or_create(fhirpy.resource("Patient", **_patient("Gordon", "1")))
    assert (is_new, is_new_again, first) == (True, False, again)

    changed: Any
    changed, is_new = named.update(fhirpy.resource("Patient", **_patient("King", "1")))
    assert (changed.id, changed.name[0].family, is_new) == (again["id"], "King", False)
    patched: Any = named.patch(gender="female")
    assert (patched.id, patched.gender, patched.name[0].family) == (changed.id, "female", "King")

    created: Any
    created, is_new = (
        fhirpy.resources("Patient")
        .search(identifier=f"{SYSTEM}|2")
        .update(fhirpy.resource("Patient", **_patient("Noel", "2")))
    )
    assert (created.name[0].family, is_new) == ("Noel", True)
    with pytest.raises(MultipleResourcesFound):
        fhirpy.resources("Patient").search(identifier=f"{SYSTEM}|").delete()
    assert named.delete()[1] == 204
    assert fhirpy.resources("Patient").count() == 1


def test_fhirpy_reads_histories_runs_operations_and_bundles(fhirpy: SyncFHIRClient) -> None:
    patient: Any = fhirpy.resource("Patient", **_patient("Byron"))
    patient.save()
    patient.active = True
    patient.save()
    history = patient.execute("_history", method="get")
    assert [each.resource.meta.versionId for each in history.entry] == ["2", "1"]
    assert patient.is_valid()
    assert not fhirpy.resource("Patient", gender="unheard-of").is_valid()
    assert [each.resource.resourceType for each in patient.execute("$everything", method="get").entry] == ["Patient"]

    name = "urn:uuid:6b1fa2bd-7e9a-4d0c-9d6d-3e2c8b6f0a11"
    subject = {"subject": {"reference": name}, "status": "final", "code": {"text": "t"}}
    entries = [
        {
            "fullUrl": name,
            "resource": {"resourceType": "Patient", **_patient("Gordon")},
            "request": {"method": "POST", "url": "Patient"},
        },
        {
            "resource": {"resourceType": "Observation", **subject},
            "request": {"method": "POST", "url": "Observation"},
        },
    ]
    answer: Any = fhirpy.resource("Bundle", type="transaction", entry=entries)
    done = fhirpy.execute("", data=answer.serialize())
    assert [each.response.status for each in done.entry] == ["201 Created", "201 Created"]
    assert fhirpy.resources("Observation").search(subject__Patient__family="gordon").count() == 1


def test_fhirpy_understands_what_goes_wrong(fhirpy: SyncFHIRClient, base: str) -> None:
    with pytest.raises(OperationOutcome) as refused:
        fhirpy.resource("Patient", gender="unheard-of").save()
    assert refused.value.resource["issue"][0]["expression"] == ["Patient.gender"]
    with pytest.raises(OperationOutcome, match="nonsense"):
        fhirpy.resources("Patient").search(nonsense="1").fetch()
    with pytest.raises(ResourceNotFound):
        fhirpy.get("Patient", "never")
    with pytest.raises(AuthorizationError):
        SyncFHIRClient(base, authorization="Bearer wrong").resources("Patient").fetch()


# ---------------------------------------------------------------- fhirpy, async


def test_fhirpy_does_the_same_asynchronously(server: Server, base: str) -> None:
    client = AsyncFHIRClient(base, authorization=f"Bearer {server.operator()}")

    async def use() -> None:
        made = await asyncio.gather(
            *(client.resource("Patient", **_patient(f"Byron{number}", str(number))).save() for number in range(PAGES))
        )
        patient: Any = made[0]
        await patient.patch(active=True)
        assert (await patient.refresh()).active is True
        found = client.resources("Patient").search(family="byron").sort("family").limit(3)
        assert [each.name[0].family async for each in found] == [f"Byron{number}" for number in range(PAGES)]
        assert await found.count() == PAGES
        named = client.resources("Patient").search(identifier=f"{SYSTEM}|1")
        same, is_new = await named.get_or_create(client.resource("Patient", **_patient("Byron1", "1")))
        assert (same["id"], is_new) == (made[1]["id"], False)
        await patient.delete()
        with pytest.raises(ResourceNotFound):
            await client.get("Patient", patient.id)

    # Not in this thread, which the browsers of other tests may have given a loop already.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, use()).result()


# ---------------------------------------------------------------- fhirclient


def _family(found: Any) -> str:
    return str(found.name[0].family)


def test_fhirclient_creates_reads_changes_and_deletes(smart: Any) -> None:
    made = Patient({"resourceType": "Patient", **_patient("Byron")}).create(smart)
    read = Patient.read(made["id"], smart)
    assert (_family(read), read.birthDate.isostring, read.meta.versionId) == ("Byron", "1815-12-10", "1")
    read.gender = "female"
    assert read.update()["meta"]["versionId"] == "2"
    assert read.delete() is None
    with pytest.raises(requests.HTTPError) as gone:
        Patient.read(made["id"], smart)
    assert gone.value.response is not None
    assert gone.value.response.status_code == 410
    with pytest.raises(FHIRNotFoundException):
        Patient.read("never", smart)


def test_fhirclient_pages_and_includes(smart: Any) -> None:
    made = [Patient({"resourceType": "Patient", **_patient(f"Byron{each}")}).create(smart) for each in range(PAGES)]
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "Weight"}}
    Observation({**observation, "subject": {"reference": f"Patient/{made[-1]['id']}"}}).create(smart)

    pages = list(Patient.where({"family": "byron", "_count": "3", "_sort": "family"}).perform_iter(smart))
    assert [len(page.entry) for page in pages] == [3, 3, 1]
    assert pages[-1].total is None
    assert [_family(entry.resource) for page in pages for entry in page.entry] == [
        f"Byron{number}" for number in range(PAGES)
    ]
    found = Observation.where({}).include("subject").perform_resources_iter(smart)
    assert [each.resource_type for each in found] == ["Observation", "Patient"]
    backwards = Patient.where({"family": "byron6"}).include("subject", Observation, reverse=True)
    assert [each.resource_type for each in backwards.perform_resources_iter(smart)] == ["Patient", "Observation"]
    exact = Patient.where({"family": {"$exact": "Byron3"}, "birthdate": {"$and": ["ge1815", "lt1816"]}})
    assert [_family(each) for each in exact.perform_resources_iter(smart)] == ["Byron3"]


def test_fhirclient_reads_histories_and_sends_transactions(smart: Any) -> None:
    made = Patient({"resourceType": "Patient", **_patient("Byron")}).create(smart)
    read = Patient.read(made["id"], smart)
    read.active = True
    read.update()
    history = Bundle.read_from(f"Patient/{made['id']}/_history", smart)
    assert (history.type, history.total) == ("history", 2)
    assert [entry.resource.meta.versionId for entry in history.entry] == ["2", "1"]
    assert Patient.read_from(f"Patient/{made['id']}/_history/1", smart).active is None

    entry = {
        "resource": {"resourceType": "Patient", **_patient("Gordon")},
        "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={SYSTEM}|9"},
    }
    answer = Bundle(Bundle({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}).create(smart))
    assert (answer.type, answer.entry[0].response.status) == ("transaction-response", "201 Created")


def test_fhirclient_understands_what_goes_wrong(smart: Any) -> None:
    with pytest.raises(requests.HTTPError) as refused:
        Patient({"resourceType": "Patient", "gender": "unheard-of"}).create(smart)
    assert refused.value.response is not None
    assert refused.value.response.json()["issue"][0]["expression"] == ["Patient.gender"]
    smart.session.headers["Authorization"] = "Bearer wrong"
    with pytest.raises(FHIRUnauthorizedException):
        Patient.read("1", smart)


def test_fhirclient_reads_what_the_server_says_of_itself(smart: Any) -> None:
    statement = smart.capabilityStatement
    assert statement.fhirVersion == "4.0.1"
    assert {each.type for each in statement.rest[0].resource} >= {"Patient", "Observation"}
