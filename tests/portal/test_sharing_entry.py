"""One letter hidden from somebody, or shown to them alone; its kind changed; what became of it all, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.identity import news
from fhir_server.portal.models import exceptions, sharing
from fhir_server.portal.models.sharing import Grantee
from fhir_server.portal.models.sharing_history import changes
from tests.portal.conftest import AMELIA, CONSULTANT, GP, Person
from tests.server import Server

Json = dict[str, Any]
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PATIENT = {"reference": "Patient/1", "display": "Ann"}
PRACTICE = Grantee("Organization/p", "The Practice")
LETTER, OTHER = "DocumentReference/a", "DocumentReference/b"
ENTRY = "/sharing/entry/DocumentReference/amelia-hart-letter-16"
WORRY = "/sharing/entry/DocumentReference/amelia-hart-letter-15"
WORRY_READ = "/patients/amelia-hart/letters/amelia-hart-letter-15"
READ = "/patients/amelia-hart/letters/amelia-hart-letter-16"


def _permit(*labels: str, existing: Json | None = None) -> Json:
    made = sharing.permit(
        patient=PATIENT, grantee=PRACTICE, labels=labels or ("general",), until=None, now=NOW, existing=existing
    )
    return made | {"id": "c"}


def test_an_exception_outlives_a_change_of_kinds_and_can_be_undone() -> None:
    plain = _permit()
    hidden = exceptions.hidden(plain, LETTER)
    both = exceptions.shown(hidden, OTHER)
    assert [(each.reference, each.permit) for each in exceptions.exceptions(both)] == [(LETTER, False), (OTHER, True)]
    assert exceptions.exceptions(_permit("general", "social-care", existing=both)) == exceptions.exceptions(both)
    assert exceptions.exceptions(exceptions.shown(both, LETTER))[-1].permit, "the newer one replaces the older"
    assert exceptions.usual(exceptions.usual(both, LETTER), OTHER) == plain
    alone = exceptions.alone(_permit(), "Patient/1", LETTER)
    assert exceptions.only(alone) == (LETTER,)
    assert exceptions.only(exceptions.shown(alone, OTHER)) == (LETTER, OTHER)
    assert exceptions.usual(alone, LETTER)["status"] == exceptions.hidden(alone, LETTER)["status"] == "inactive"
    assert [each.reference for each in exceptions.exceptions(_permit(existing=alone))] == [LETTER]


def test_each_version_is_told_by_what_it_changed() -> None:
    first, second = _permit(), _permit("general", "social-care")
    steps: tuple[tuple[Json, str], ...] = (
        (first, "Began to share “General health” with The Practice"),
        (second, "Changed what The Practice sees: added “Social care”"),
        (exceptions.hidden(second, LETTER), "Changed what The Practice sees: one entry hidden"),
        (second, "Changed what The Practice sees: one exception undone"),
        (second, ""),
        (sharing.stopped(second), "Stopped sharing with The Practice"),
        (exceptions.alone(second, "Patient/1", LETTER), "Began to share one entry with The Practice"),
    )
    off = sharing.deny_all(patient=PATIENT, now=NOW) | {"id": "d", "performer": [{"display": "Ruth"}]}
    versions = [*(version for version, _ in steps), off, sharing.stopped(off)]
    found = changes(list(reversed(versions)), "Patient/1", NOW)
    told = [*(text for _, text in steps if text), "Switched all sharing off", "Switched sharing on again"]
    assert [change.text for change in reversed(found)] == told
    assert [change.by for change in found[:3]] == ["Ruth", "Ruth", ""]


def test_a_letter_is_hidden_shown_alone_and_relabelled(server: Server) -> None:
    amelia, practice, stranger = Person(server, AMELIA), Person(server, GP), Person(server, CONSULTANT)
    assert practice.open(READ).status_code == 200
    assert "Sees it" in amelia.get(ENTRY)
    grantee = next(part for part in amelia.get(ENTRY).split('"') if "act=hide" in part).replace("&amp;", "&")
    target = grantee.partition("with=")[2].partition("&")[0]
    asked = amelia.get(grantee)
    assert "Then they would see" in asked
    answer = amelia.send(f"{ENTRY}/change", {"act": "hide", "with": target}, page=ENTRY)
    assert answer.location.endswith("done=hide")
    assert practice.open(READ).status_code == 404
    assert practice.open(f"{READ}/files/0").status_code == 404
    assert "Your exception" in amelia.get(ENTRY)
    assert "One entry hidden" in amelia.get("/sharing")
    amelia.send(f"{ENTRY}/change", {"act": "usual", "with": target}, page=ENTRY)
    assert practice.open(READ).status_code == 200

    assert stranger.open(WORRY_READ).status_code == 404
    assert "with=Practitioner/priya-raman" in amelia.get(f"{WORRY}?q=Raman")
    shown = amelia.send(f"{WORRY}/change", {"act": "show", "with": "Practitioner/priya-raman"}, page=WORRY)
    assert shown.location.endswith("done=show")
    assert stranger.open(WORRY_READ).status_code == 200
    assert stranger.open(f"{WORRY_READ}/files/0").status_code == 200, "the file goes with its letter"
    assert "Only 1 entry" in amelia.get("/sharing")
    amelia.send(f"{WORRY}/change", {"act": "usual", "with": "Practitioner/priya-raman"}, page=WORRY)
    assert stranger.open(WORRY_READ).status_code == 404

    assert amelia.send(f"{ENTRY}/label", {"label": "none"}, page=ENTRY).status_code == 400
    news.tell_due(server.store, server.clock(), timedelta())
    server.clock.advance(hours=1)
    amelia, practice = Person(server, AMELIA), Person(server, GP)
    assert amelia.send(f"{ENTRY}/label", {"label": "mental-health"}, page=ENTRY).location.endswith("done=label")
    assert news.tell_due(server.store, server.clock(), timedelta()) == 0, "what she changes herself is not new to her"
    assert "Mental health (you chose this)" in amelia.get(ENTRY)
    assert practice.open(READ).status_code == 404
    log = amelia.get("/sharing/history")
    assert "one exception undone" in log
    assert "Began to share one entry with" in log
    for path in ("/sharing/entry/DocumentReference/nothing", "/sharing/entry/Consent/consent-amelia-hart-practice"):
        assert amelia.open(path).status_code == 404
    assert amelia.open(f"{ENTRY}/change?act=show&with=Practitioner/nobody").status_code == 404
    assert amelia.open(f"{ENTRY}/change?act=wrong&with={target}").location == ENTRY
