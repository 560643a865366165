"""What a file of invitations may look like, and what of it is refused, line by line."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fhir_server.identity import invitation_files as files
from fhir_server.identity.invitation_person import plain_invited_email, plain_mobile, plain_name
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import invitation_batches
from fhir_server.store.accounts import Account
from fhir_server.store.database import Store
from fhir_server.store.invitation_batches import BatchRow

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
HEADING = "given,family,birth_date,nhs_number,email,mobile\n"
ANN = "Ann,Example,1984-03-15,9434765919,ann@example.org,07700 900123\n"
COORDINATOR = Account("c1", "c@example.org", "Cora", "coordinator", "", "Organization/1", False, True, NOW)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url)
    yield made
    made.close()


def _upload(store: Store, content: bytes | str, now: datetime = NOW) -> tuple[files.Batch, tuple[BatchRow, ...]]:
    data = content if isinstance(content, bytes) else content.encode()
    with store.write() as session:
        batch, _ = files.upload(session, COORDINATOR, data, now)
        return batch, invitation_batches.rows(session, batch.id, limit=files.MOST_ROWS)


@pytest.mark.parametrize(
    "content",
    [
        (HEADING + ANN.replace("Ann", "Zoë", 1)).encode(),
        (HEADING + ANN.replace("Ann", "Zoë", 1)).encode("utf-8-sig"),
        (HEADING + ANN.replace("Ann", "Zoë", 1)).encode("cp1252"),
        (HEADING + ANN.replace("Ann", "Zoë", 1)).replace("\n", "\r\n").replace(",", ";").encode(),
        (HEADING + ANN.replace("Ann", "Zoë", 1)).replace(",", "\t").encode(),
        "First name,Surname,Date of birth,NHS number,E-mail,Mobile number\n"
        "Zoë,Example,15/3/1984,9434765919,ann@example.org,07700 900123".encode(),
    ],
)
def test_files_are_read_as_spreadsheets_write_them(store: Store, content: bytes) -> None:
    _, (row,) = _upload(store, content)
    assert row.state == "waiting"
    assert dict(row.details) == {
        "given": "Zoë",
        "family": "Example",
        "birth_date": "1984-03-15",
        "nhs_number": "9434765919",
        "email": "ann@example.org",
        "mobile": "07700 900123",
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a workbook",
        HEADING.encode("utf-16"),
        b"\x81\x8d",
        HEADING.encode(),
        b"given,family\nAnn,Example\n",
        (HEADING.strip() + ",given\n" + ANN).encode(),
        (HEADING + 'Ann,"Exam"ple,1984-03-15\n').encode(),
        HEADING.encode() + b"x" * (files.MOST_BYTES + 1),
    ],
)
def test_what_is_no_such_file_is_refused_as_a_whole(store: Store, content: bytes) -> None:
    with pytest.raises(FhirError) as caught:
        _upload(store, content)
    assert caught.value.kind is Kind.INVALID_VALUE


def test_a_file_has_a_largest_number_of_lines(store: Store) -> None:
    with pytest.raises(FhirError) as caught:
        _upload(store, HEADING + "a,b,c,d,e,f\n" * (files.MOST_ROWS + 1))
    assert "50,000" in caught.value.diagnostics


def test_fifty_thousand_lines_are_taken(store: Store) -> None:
    batch, rows = _upload(store, HEADING + ANN * files.MOST_ROWS)
    assert (batch.row_count, len(rows)) == (files.MOST_ROWS, files.MOST_ROWS)


@pytest.mark.parametrize(
    "line",
    [
        ANN.replace("Ann", "=1+1"),
        ANN.replace("Example", "@SUM(A1)"),
        ANN.replace("Ann", "-2"),
        ANN.replace("Ann", "+2"),
        ANN.replace("Ann", '"\t=1"'),
        ANN.replace("ann@example.org", '"ann@example.org\nBcc: x@example.org"'),
        ANN.replace("Ann", "A\x07nn"),
        ANN.replace("Ann", "Ann,Too"),
        ANN.replace("Ann", "A" * 400),
        "Ann,Example\n",
    ],
)
def test_a_line_that_could_do_harm_is_refused_and_the_others_go_on(store: Store, line: str) -> None:
    _, (refused, other) = _upload(store, HEADING + line + ANN)
    assert (refused.state, bool(refused.reason), other.state) == ("refused", True, "waiting")


def test_the_report_holds_no_formula(store: Store) -> None:
    batch, _ = _upload(store, HEADING + ANN.replace("Ann", "=HYPERLINK(1)") + ANN)
    with store.read() as session:
        report = files.report(session, batch)
    heading, *lines = csv.reader(report.splitlines())
    assert heading[0] == "line"
    assert [line[0] for line in lines] == ["2", "3"]
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "+", "-", "@"))]


def test_the_same_file_twice_is_one_file_and_is_forgotten_in_time(store: Store) -> None:
    first, _ = _upload(store, HEADING + ANN)
    again, _ = _upload(store, HEADING + ANN, NOW + timedelta(days=1))
    assert again.id == first.id
    with store.write() as session:
        invitation_batches.release(session, first.id, NOW, is_over=True)
        assert files.prune(session, NOW + files.KEPT_FOR) == 0
        assert files.prune(session, NOW + files.KEPT_FOR + timedelta(seconds=1)) == 1
        assert invitation_batches.rows(session, first.id, limit=10) == ()


def test_names_of_every_alphabet_are_names() -> None:
    latin = ("Ann", "Béatrice", "O'Neill-Smith", "Siân", "van 't Hof", "Ana-María", "Nguyễn Thị", "van der Berg", "Ø")
    written = ("J", "J. R.", "J.R.", "St. John", "Müller\u2010Maier", "Kaho\u02bboka", "Thiong\u02bco", "O’Brien")
    for name in (*latin, *written, "Мария", "李"):
        assert plain_name(name) == name


@pytest.mark.parametrize(
    "typed,stored",
    [
        ("St.John", "St. John"),
        ("ST.JOHN", "ST. JOHN"),
        ("d'Arcy-St.John", "d'Arcy-St. John"),
        ("É.Dupont", "É. Dupont"),
        ("\uff21\uff4e\uff4e", "Ann"),
        ("\U0001d400\U0001d427\U0001d427", "Ann"),
        ("\u0132sbrand", "IJsbrand"),
        ("M\u00aa", "M\u00aa"),
    ],
)
def test_a_name_that_could_be_taken_for_something_else_is_stored_as_it_is_meant(typed: str, stored: str) -> None:
    assert plain_name(typed) == stored


@pytest.mark.parametrize(
    "name",
    [
        *("", "\u0410nn", "Ann\u202e", "=Ann", "-Ann", "Ann<b>", "http://x.example", "Ann\r\nBcc: x", "A" * 101, "..."),
        *("evil.com", "Evil.Com", "www.evil.com", "WWW.EVIL.COM", "St.john", "Ann\x00", "Ann\x1b[2J", "A\u200bnn"),
        *("\u3164", "\u115f\u1160", "\uffa0", "Ann\ufe0f", "A\u034fnn", "\uff45\uff56\uff49\uff4c.com", "\u2100"),
    ],
)
def test_look_alikes_and_what_is_no_name_are_refused(name: str) -> None:
    assert plain_name(name) == ""


@pytest.mark.parametrize("typed", ["=07700900123", "0800 FLOWERS", "+44 7700 900123\nx", "٠٧٧٠٠٩٠٠١٢٣"])
def test_what_is_no_telephone_number_is_refused(typed: str) -> None:
    assert plain_mobile(typed) == ""


@pytest.mark.parametrize("typed", ["=a@example.org", "+a@example.org", "-a@example.org", "\u0430nn@example.org"])
def test_what_a_table_could_take_for_a_formula_is_no_address(typed: str) -> None:
    assert plain_invited_email(typed) == ""
