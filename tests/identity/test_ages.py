"""Told before the birthday at which a child decides alone, and on the day: once, parent and child, nobody else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from fhir_server.identity import ages
from fhir_server.identity.accounts import create_account
from fhir_server.store import accounts, carers, messages
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from tests.server import Server

NOTICE = ages.Notice(16, timedelta(days=30))


def _account(server: Server, session: Session, reference: str, email: str) -> Account:
    role = "patient" if reference.startswith("Patient/") else "carer"
    password = "walrus kettle orbit 41"
    return create_account(
        session, role=role, email=email, name=role, password=password, now=server.clock(), reference=reference
    )


def test_parent_and_child_are_told_once_before_the_birthday_and_once_on_it(server: Server) -> None:
    operator = server.operator()
    born = {"Mia": "2011-03-01", "Tom": "2011", "Zoe": "2012-02-29"}
    people: list[tuple[str, str]] = []
    for name, day in born.items():
        child = server.post("Patient", operator, {"resourceType": "Patient", "birthDate": day})["id"]
        people.append((f"Patient/{child}", f"{name}@example.org"))
        for relation in ("PRN", "SIB"):
            person = {
                "resourceType": "RelatedPerson",
                "patient": {"reference": f"Patient/{child}"},
                "relationship": [{"coding": [{"code": relation}]}],
            }
            made = server.post("RelatedPerson", operator, person)["id"]
            people.append((f"RelatedPerson/{made}", f"{relation}.{name}@example.org"))
    with server.store.write() as session:
        for reference, email in people:
            account = _account(server, session, reference, email)
            if account.role == "carer":
                carers.link(session, account.id, reference, server.clock())

    def told(at: datetime) -> list[tuple[str, str]]:
        for _ in range(2):
            ages.tell_due(server.store, NOTICE, at)
        with server.store.write() as session:
            due = messages.lease(session, at + timedelta(hours=1), timedelta(days=9_000), limit=100)
        return sorted((each.kind, each.recipient) for each in due)

    assert told(datetime(2027, 1, 29, 12, tzinfo=UTC)) == []
    mia = ["mia@example.org", "prn.mia@example.org"]
    assert told(datetime(2027, 1, 30, 12, tzinfo=UTC)) == [("age-soon", to) for to in mia]
    assert told(datetime(2027, 2, 28, 23, tzinfo=UTC)) == []
    assert told(datetime(2027, 3, 1, 0, 5, tzinfo=UTC)) == [("age-reached", to) for to in mia]
    # Born on 29 February: 16 on the 29th where there is one. A year alone is no birthday. Late is better than never.
    with server.store.write() as session:
        sleeping = accounts.by_email(session, "zoe@example.org")
        assert sleeping is not None
        accounts.set_active(session, sleeping.id, active=False, now=server.clock())
    assert told(datetime(2028, 3, 3, 12, tzinfo=UTC)) == [("age-reached", "prn.zoe@example.org")]
    assert told(datetime(2028, 4, 3, 12, tzinfo=UTC)) == []
    assert ages.birthday(date(2012, 2, 29), 17) == date(2029, 2, 28)
