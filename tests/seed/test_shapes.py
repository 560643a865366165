"""Every resource of the demo data is well-formed FHIR, and says true things about itself."""

import base64
import datetime as dt
import hashlib
import io
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fpdf import FPDF
from nhs_number.validate import is_valid
from pypdf import PdfReader

from seed_data import Seed, generate
from seed_data.analytes import PANELS

TODAY = dt.date(2026, 11, 22)
LABEL_SYSTEM = "https://fhir-server.example.org/CodeSystem/privacy-label"

Resource = dict[str, Any]


@pytest.fixture(scope="module")
def seed() -> Seed:
    return generate(TODAY)


@pytest.fixture(scope="module")
def records(seed: Seed) -> list[Resource]:
    return [entry["resource"] for authored in seed.bundles for entry in authored.bundle["entry"]]


@pytest.fixture(scope="module")
def everything(seed: Seed, records: list[Resource]) -> list[Resource]:
    return [*seed.directory, *records, *seed.consents]


def of(resources: list[Resource], kind: str) -> list[Resource]:
    return [row for row in resources if row["resourceType"] == kind]


def labels(resource: Resource) -> set[str]:
    return {row["code"] for row in resource.get("meta", {}).get("security", ()) if row["system"] == LABEL_SYSTEM}


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if isinstance(node, dict):
        own = [node["reference"]] if isinstance(node.get("reference"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return []


def test_every_resource_is_accepted_by_an_independent_model(everything: list[Resource]) -> None:
    # R4B has the same shape as R4 for every type used here.
    for resource in everything:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_every_id_is_used_once(everything: list[Resource]) -> None:
    counted = Counter(f"{row['resourceType']}/{row['id']}" for row in everything)
    assert [name for name, times in counted.items() if times > 1] == []


def test_every_reference_points_at_something_loaded_before_or_together(seed: Seed) -> None:
    known = {f"{row['resourceType']}/{row['id']}" for row in seed.directory}
    for authored in seed.bundles:
        rows = [entry["resource"] for entry in authored.bundle["entry"]]
        known |= {f"{row['resourceType']}/{row['id']}" for row in rows}
        assert [name for row in rows for name in references(row) if name not in known] == []
        assert authored.author in known
    assert [name for row in seed.consents for name in references(row) if name not in known] == []


def test_transactions_put_at_most_200_resources_at_their_own_ids(seed: Seed) -> None:
    for authored in seed.bundles:
        entries = authored.bundle["entry"]
        assert authored.bundle["type"] == "transaction"
        assert 0 < len(entries) <= 200
        for entry in entries:
            target = f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            assert entry["request"] == {"method": "PUT", "url": target}


def test_counts_are_those_promised(seed: Seed, records: list[Resource]) -> None:
    laboratory = [row for row in of(records, "Observation") if row["category"][0]["coding"][0]["code"] == "laboratory"]
    directory = Counter(row["resourceType"] for row in seed.directory)
    assert len(of(records, "Patient")) == 60
    assert len(laboratory) == 1500
    assert len(of(records, "DocumentReference")) == len(of(records, "Binary")) == 200
    assert directory["Organization"] == 6
    assert directory["Practitioner"] == directory["PractitionerRole"] == 12


def test_nhs_numbers_are_valid_distinct_and_never_issued(records: list[Resource]) -> None:
    numbers = [row["identifier"][0]["value"] for row in of(records, "Patient")]
    assert all(is_valid(number) and number.startswith("999") for number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_a_few_nhs_numbers_are_not_verified(records: list[Resource]) -> None:
    statuses = Counter(
        row["identifier"][0]["extension"][0]["valueCodeableConcept"]["coding"][0]["code"]
        for row in of(records, "Patient")
    )
    assert statuses == {"01": 58, "02": 2}


def test_telephones_and_mail_addresses_reach_nobody(everything: list[Resource]) -> None:
    contacts = [
        point for row in everything for holder in (row, *row.get("contact", ())) for point in holder.get("telecom", ())
    ]
    phones = [point["value"] for point in contacts if point["system"] == "phone"]
    mails = [point["value"] for point in contacts if point["system"] == "email"]
    assert phones
    assert mails
    assert all(phone.startswith(("07700 900", "020 7946 0")) for phone in phones)
    assert all(mail.endswith("@example.org") and mail.isascii() for mail in mails)


def test_letters_are_small_pdfs_with_the_patient_on_them(records: list[Resource]) -> None:
    binaries = {f"Binary/{row['id']}": row for row in of(records, "Binary")}
    names = {f"Patient/{row['id']}": row["name"][0]["text"] for row in of(records, "Patient")}
    for letter in of(records, "DocumentReference"):
        pdf_part, text_part = (content["attachment"] for content in letter["content"])
        binary = binaries[pdf_part["url"]]
        pdf, text = base64.b64decode(binary["data"]), base64.b64decode(text_part["data"])
        name = names[letter["subject"]["reference"]]
        pages = PdfReader(io.BytesIO(pdf)).pages
        assert binary["securityContext"]["reference"] == f"DocumentReference/{letter['id']}"
        assert labels(binary) == labels(letter)
        assert len(pages) == 1
        assert name in pages[0].extract_text()
        assert len(pdf) <= 6_000
        for part, data in ((pdf_part, pdf), (text_part, text)):
            assert part["size"] == len(data)
            assert base64.b64decode(part["hash"]) == hashlib.sha1(data, usedforsecurity=False).digest()
        assert name in text.decode()


def test_no_letter_runs_off_its_page(records: list[Resource]) -> None:
    ruler = FPDF(format="A4")
    ruler.set_font("Helvetica", "", 10.5)
    for letter in of(records, "DocumentReference"):
        _, *lines = base64.b64decode(letter["content"][1]["attachment"]["data"]).decode().splitlines()
        assert len(lines) <= 46
        assert max(map(ruler.get_string_width, lines)) <= 170


def test_reports_hold_the_results_of_one_visit(records: list[Resource]) -> None:
    observations = {f"Observation/{row['id']}": row for row in of(records, "Observation")}
    in_reports = []
    for report in of(records, "DiagnosticReport"):
        parts = [observations[result["reference"]] for result in report["result"]]
        in_reports += [part["id"] for part in parts]
        assert {part["effectiveDateTime"] for part in parts} == {report["effectiveDateTime"]}
        assert {part["subject"]["reference"] for part in parts} == {report["subject"]["reference"]}
        assert all(labels(part) == labels(report) for part in parts)
    assert len(in_reports) == len(set(in_reports)) == 1500


def test_interpretations_agree_with_value_and_range(records: list[Resource]) -> None:
    seen = Counter[str]()
    for row in of(records, "Observation"):
        if "referenceRange" not in row or "valueQuantity" not in row:
            continue
        value, limits = row["valueQuantity"]["value"], row["referenceRange"][0]
        low = value < limits["low"]["value"] if "low" in limits else False
        high = value > limits["high"]["value"] if "high" in limits else False
        code = row["interpretation"][0]["coding"][0]["code"]
        assert code == ("L" if low else "H" if high else "N")
        assert row["valueQuantity"]["system"] == "http://unitsofmeasure.org"
        seen[code] += 1
    assert min(seen["L"], seen["H"], seen["N"]) > 50


def test_bmi_follows_from_weight_and_height(records: list[Resource]) -> None:
    by_id = {row["id"]: row["valueQuantity"]["value"] for row in of(records, "Observation") if "valueQuantity" in row}
    checks = [name.removesuffix("-bmi") for name in by_id if name.endswith("-bmi")]
    assert checks
    for stem in checks:
        expected = by_id[f"{stem}-weight"] / (by_id[f"{stem}-height"] / 100) ** 2
        assert by_id[f"{stem}-bmi"] == pytest.approx(expected, abs=0.06)


def test_appointments_are_in_london_time_and_end_after_they_start(records: list[Resource]) -> None:
    london = ZoneInfo("Europe/London")
    for row in of(records, "Appointment"):
        start, end = dt.datetime.fromisoformat(row["start"]), dt.datetime.fromisoformat(row["end"])
        assert start.utcoffset() == start.astimezone(london).utcoffset()
        assert end - start == dt.timedelta(minutes=row["minutesDuration"])


def test_past_appointments_are_settled_and_future_ones_open(records: list[Resource]) -> None:
    seen = {"past": set[str](), "future": set[str]()}
    for row in of(records, "Appointment"):
        side = "past" if dt.datetime.fromisoformat(row["start"]).date() < TODAY else "future"
        seen[side].add(row["status"])
        assert ("cancelationReason" in row) == (row["status"] == "cancelled")
    assert seen == {"past": {"fulfilled", "noshow", "cancelled"}, "future": {"booked", "cancelled"}}


def test_nothing_that_happened_is_dated_after_today(records: list[Resource]) -> None:
    fields = (
        "effectiveDateTime",
        "issued",
        "date",
        "recordedDate",
        "authoredOn",
        "occurrenceDateTime",
        "onsetDateTime",
    )
    late = [
        f"{row['id']} {field}" for row in records for field in fields if row.get(field, "")[:10] > TODAY.isoformat()
    ]
    assert late == []


def test_nothing_happened_before_birth(records: list[Resource]) -> None:
    born = {f"Patient/{row['id']}": row["birthDate"] for row in of(records, "Patient")}
    fields = ("effectiveDateTime", "date", "recordedDate", "authoredOn", "occurrenceDateTime", "onsetDateTime", "start")
    early = []
    for row in records:
        owner = (row.get("subject") or row.get("patient") or {}).get("reference")
        early += [row["id"] for field in fields if field in row and owner and row[field][:10] < born[owner]]
    assert early == []


def _luhn_like_loinc(code: str) -> bool:
    """Check a LOINC code's last digit (modulus 10, double-add-double)."""
    digits, check = code.split("-")
    doubled = "".join(str(int(d) * 2) if place % 2 == 0 else d for place, d in enumerate(reversed(digits)))
    return (10 - sum(map(int, doubled)) % 10) % 10 == int(check)


_VERHOEFF_TIMES = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_PERMUTE = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def _verhoeff(code: str) -> bool:
    """Check the last digit of a SNOMED CT identifier."""
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = int(_VERHOEFF_TIMES[check][int(_VERHOEFF_PERMUTE[place % 8][int(digit)])])
    return check == 0


def codings(node: Any) -> set[tuple[str, str]]:
    if isinstance(node, list):
        return set().union(*map(codings, node))
    if isinstance(node, dict):
        own = {(node["system"], node["code"])} if "system" in node and "code" in node else set()
        return own.union(*map(codings, node.values()))
    return set()


def test_loinc_and_snomed_codes_carry_their_check_digit(everything: list[Resource]) -> None:
    pairs = codings(everything)
    loinc = {code for system, code in pairs if system == "http://loinc.org"}
    snomed = {code for system, code in pairs if system == "http://snomed.info/sct"}
    assert {panel.loinc for panel in PANELS.values()} <= loinc
    assert [code for code in sorted(loinc) if not _luhn_like_loinc(code)] == []
    assert [code for code in sorted(snomed) if not _verhoeff(code)] == []
