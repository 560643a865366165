"""The demo data tells the stories it is there for, the same way every time."""

import datetime as dt
import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

import seed_data
from seed_data import Seed, generate
from seed_data.model import Role
from seed_data.values import ckd_epi_2021

TODAY = dt.date(2026, 11, 22)
LABEL_SYSTEM = "https://fhir-server.example.org/CodeSystem/privacy-label"
ALL_LABELS = {"general", "mental-health", "sexual-health", "social-care"}
MENTAL_TRUST = "Organization/perivane-mental-health"

Resource = dict[str, Any]


@pytest.fixture(scope="module")
def seed() -> Seed:
    return generate(TODAY)


@pytest.fixture(scope="module")
def authored(seed: Seed) -> list[tuple[str, Resource]]:
    return [(row.author, entry["resource"]) for row in seed.bundles for entry in row.bundle["entry"]]


def labels(resource: Resource) -> set[str]:
    return {row["code"] for row in resource.get("meta", {}).get("security", ()) if row["system"] == LABEL_SYSTEM}


def owner(resource: Resource) -> str | None:
    found = (resource.get("subject") or resource.get("patient") or {}).get("reference")
    return found or (resource["participant"][0]["actor"]["reference"] if "participant" in resource else None)


def series(authored: list[tuple[str, Resource]], patient: str, loinc: str) -> list[float]:
    rows = [
        row
        for _, row in authored
        if row["resourceType"] == "Observation"
        and row["subject"]["reference"] == patient
        and row["code"]["coding"][0]["code"] == loinc
    ]
    return [row["valueQuantity"]["value"] for row in sorted(rows, key=lambda row: str(row["effectiveDateTime"]))]


def consents_of(seed: Seed, patient: str) -> list[Resource]:
    return [row for row in seed.consents if row["patient"]["reference"] == patient]


def test_two_runs_on_the_same_day_are_equal(seed: Seed) -> None:
    again = generate(TODAY)
    assert again == seed
    assert list(again.bundles) == list(seed.bundles)


def test_another_process_makes_the_same_data(seed: Seed) -> None:
    script = (
        "import datetime, hashlib, json, seed_data; s = seed_data.generate(datetime.date(2026, 11, 22));"
        "print(hashlib.sha256(json.dumps([b.bundle for b in s.bundles]).encode()).hexdigest())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": salt}
        ).stdout
        for salt in ("1", "2")
    }
    assert len(made) == 1


@pytest.mark.parametrize("today", [dt.date(2024, 2, 29), dt.date(2027, 1, 1), dt.date(2028, 7, 15)])
def test_any_day_gives_the_same_people_with_the_same_counts(today: dt.date) -> None:
    counted = Counter(
        entry["resource"]["resourceType"] for row in generate(today).bundles for entry in row.bundle["entry"]
    )
    assert (counted["Patient"], counted["DocumentReference"]) == (60, 200)


def test_a_large_population_streams_and_keeps_the_named_people(seed: Seed) -> None:
    large = generate(TODAY, patients=10_000)
    few = len(list(seed.bundles))
    assert list(itertools.islice(large.bundles, few)) == list(seed.bundles)
    assert len(large.consents) > 6_000


def test_a_population_without_the_named_people_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 60"):
        generate(TODAY, patients=59)


def test_the_people_beyond_the_named_ones_have_ids_and_numbers_of_their_own() -> None:
    patients = [
        row.bundle["entry"][0]["resource"]
        for row in generate(TODAY, patients=300).bundles
        if row.bundle["entry"][0]["resource"]["resourceType"] == "Patient"
    ]
    assert len({row["id"] for row in patients}) == 300
    assert len({row["identifier"][0]["value"] for row in patients}) == 300


def test_all_four_labels_are_sent_by_somebody(authored: list[tuple[str, Resource]]) -> None:
    assert set().union(*(labels(row) for _, row in authored)) == ALL_LABELS


def test_everything_from_the_mental_health_trust_says_so(authored: list[tuple[str, Resource]]) -> None:
    sent = [row for author, row in authored if author == MENTAL_TRUST]
    assert sent
    assert all(labels(row) == {"mental-health"} for row in sent)


def test_the_practice_leaves_labels_to_be_derived(authored: list[tuple[str, Resource]]) -> None:
    sent = [row for author, row in authored if author == "Organization/kenbourne-road-surgery"]
    assert sent
    assert all(labels(row) == set() for row in sent)


def test_the_headline_patient_has_something_of_every_label(authored: list[tuple[str, Resource]]) -> None:
    own = [row for _, row in authored if owner(row) == "Patient/amelia-hart"]
    letters = [row for row in own if row["resourceType"] == "DocumentReference"]
    assert set().union(*(labels(row) for row in letters)) == ALL_LABELS
    assert {"AllergyIntolerance", "Condition", "Flag", "Immunization", "MedicationRequest", "RelatedPerson"} <= {
        row["resourceType"] for row in own
    }
    assert any(row["resourceType"] == "Appointment" and row["start"][:10] > TODAY.isoformat() for row in own)


def test_the_headline_patient_s_diabetes_improves_over_five_years(authored: list[tuple[str, Resource]]) -> None:
    hba1c = series(authored, "Patient/amelia-hart", "59261-8")
    assert len(hba1c) >= 10
    assert hba1c[0] > 60
    assert hba1c[-1] < 56


def test_kidney_disease_declines_and_anaemia_recovers(authored: list[tuple[str, Resource]]) -> None:
    egfr = series(authored, "Patient/kwame-boateng", "62238-1")
    haemoglobin = series(authored, "Patient/fatima-rahman", "718-7")
    assert len(egfr) >= 4
    assert egfr[0] > egfr[-1] + 10
    assert haemoglobin[0] < 115 < haemoglobin[-1]


@pytest.mark.parametrize("creatinine, age, female, expected", [(80, 50, True, 77), (140, 70, False, 47)])
def test_egfr_follows_the_2021_equation(creatinine: float, age: int, *, female: bool, expected: float) -> None:
    assert ckd_epi_2021(creatinine, age, female=female) == pytest.approx(expected, abs=0.5)


def test_one_active_consent_per_patient_and_grantee(seed: Seed) -> None:
    pairs = Counter(
        (row["patient"]["reference"], actor["reference"]["reference"])
        for row in seed.consents
        for actor in row["provision"].get("actor", ())
    )
    assert max(pairs.values()) == 1


def test_consents_never_nest_deeper_than_once(seed: Seed) -> None:
    nested = [child for row in seed.consents for child in row["provision"].get("provision", ())]
    assert [row["type"] for row in nested] == ["deny"]
    assert all("provision" not in row for row in nested)


def test_the_headline_patient_hides_mental_health_from_her_practice(seed: Seed) -> None:
    practice = next(row for row in consents_of(seed, "Patient/amelia-hart") if row["id"].endswith("-practice"))
    shared = {row["code"] for row in practice["provision"]["securityLabel"]}
    assert shared == ALL_LABELS - {"mental-health"}


def test_the_carer_sees_general_information_only(seed: Seed) -> None:
    proxy = next(row for row in consents_of(seed, "Patient/amelia-hart") if row["id"].endswith("-proxy"))
    assert proxy["provision"]["actor"][0]["reference"]["reference"] == "RelatedPerson/related-thomas-hart"
    assert [row["code"] for row in proxy["provision"]["securityLabel"]] == ["general"]


def test_a_parent_s_proxy_ends_at_sixteen(seed: Seed, authored: list[tuple[str, Resource]]) -> None:
    child = next(row for _, row in authored if row["resourceType"] == "Patient" and row["id"] == "noah-okafor")
    proxy = next(row for row in consents_of(seed, "Patient/noah-okafor") if row["id"].endswith("-proxy"))
    ends = dt.date.fromisoformat(proxy["provision"]["period"]["end"])
    born = dt.date.fromisoformat(child["birthDate"])
    assert (ends.year - born.year, ends.month, ends.day) == (16, born.month, born.day)
    assert ends > TODAY


def test_one_record_has_sharing_disabled(seed: Seed) -> None:
    denying = [row for row in seed.consents if row["provision"]["type"] == "deny"]
    assert [row["patient"]["reference"] for row in denying] == ["Patient/desmond-clarke"]
    assert denying[0]["policy"] == [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-deny"}]
    assert "actor" not in denying[0]["provision"]
    assert len(consents_of(seed, "Patient/desmond-clarke")) == 1


def test_some_consents_ended_and_one_has_not_begun(seed: Seed) -> None:
    periods = [row["provision"]["period"] for row in seed.consents if "period" in row["provision"]]
    assert any(row.get("end", "9") < TODAY.isoformat() for row in periods)
    assert sum(row["start"] > TODAY.isoformat() for row in periods) == 1


def test_most_but_not_all_share_with_their_practice(seed: Seed) -> None:
    sharing = {row["patient"]["reference"] for row in seed.consents if row["id"].endswith("-practice")}
    assert 40 <= len(sharing) < 55


def test_every_role_has_an_account_that_refers_to_somebody(seed: Seed, authored: list[tuple[str, Resource]]) -> None:
    known = {f"{row['resourceType']}/{row['id']}" for row in (*seed.directory, *(row for _, row in authored))}
    assert {row.role for row in seed.accounts} == set(get_args(Role))
    assert len({row.email for row in seed.accounts}) == len({row.password for row in seed.accounts}) == 16
    for account in seed.accounts:
        assert account.reference is None or account.reference in known
        assert account.organization is None or account.organization in known
        assert (account.reference is None) == (account.role not in {"patient", "carer", "professional"})
        assert len(account.password) >= 12


def test_only_clinicians_may_break_the_glass(seed: Seed) -> None:
    allowed = {row.reference for row in seed.accounts if row.may_break_glass}
    assert allowed == {f"Practitioner/{who}" for who in ("priya-raman", "yasmin-haddad", "helen-ashworth")}
    assert any(row.role == "professional" and not row.may_break_glass for row in seed.accounts)


def test_most_patients_are_still_to_be_invited(seed: Seed) -> None:
    registered = {row.reference for row in seed.accounts if row.role == "patient"}
    assert len(registered) == 3
    assert "Patient/rosa-delgado" not in registered


def test_past_emergencies_are_over_and_reasoned(seed: Seed, authored: list[tuple[str, Resource]]) -> None:
    known = {f"{row['resourceType']}/{row['id']}" for row in (*seed.directory, *(row for _, row in authored))}
    assert len(seed.emergencies) == 3
    assert seed.emergencies[0].patient == "Patient/amelia-hart"
    for row in seed.emergencies:
        assert {row.practitioner, row.patient, row.organization} <= known
        assert len(row.reason) >= 20
        assert row.started_at < row.ended_at <= row.started_at + dt.timedelta(minutes=60)
        assert row.ended_at.utcoffset() == dt.timedelta(0)
        assert row.ended_at.date() < TODAY


def test_reviews_of_past_emergencies_are_closed_in_time_or_not_yet_due(seed: Seed) -> None:
    now = dt.datetime.combine(TODAY, dt.time.max, dt.UTC)
    for row in seed.emergencies:
        assert (row.reviewed_at or now) - row.started_at < dt.timedelta(days=3)
        assert bool(row.reviewed_at) is bool(row.verdict) is bool(row.note)
    assert sum(row.reviewed_at is None for row in seed.emergencies) == 1


def test_clients_are_feeds_of_organisations_and_one_public_app(seed: Seed) -> None:
    known = {f"Organization/{row['id']}" for row in seed.directory if row["resourceType"] == "Organization"}
    assert {row.organization for row in seed.clients if row.kind == "backend"} == known
    (app,) = [row for row in seed.clients if row.kind == "public"]
    assert app.redirect_uris == ("http://localhost:8000/demo-app/callback",)
    assert app.organization is None


def test_the_readme_lists_every_sign_in(seed: Seed) -> None:
    text = (Path(seed_data.__file__).parent / "README.md").read_text(encoding="utf-8")
    for number, account in enumerate(seed.accounts, 1):
        assert f"`{account.email}`" in text
        assert account.password == f"quiet canal boat lantern {number}"
