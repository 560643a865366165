"""Consents in words, and the Consents that choices make."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from fhir_server.access import labels
from fhir_server.access.consent import compile_consent
from fhir_server.portal.models import sharing
from fhir_server.portal.models.sharing import Grantee
from fhir_server.store.instants import to_us
from fhir_server.store.keys import key_of_reference

Json = dict[str, Any]
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PATIENT = {"reference": "Patient/1", "display": "Ann"}
PRACTICE = Grantee("Organization/p", "Example Practice")


def permit(labels: tuple[str, ...] = ("general",), until: date | None = None, **more: Any) -> Json:
    made = sharing.permit(patient=PATIENT, grantee=PRACTICE, labels=labels, until=until, now=NOW)
    return made | {"id": "c", "meta": {"versionId": "3"}} | more


def test_a_choice_compiles_to_exactly_what_was_ticked() -> None:
    (grant,) = compile_consent(permit(("general", "social-care")), consent_key=7, types=())
    assert grant.permit
    assert grant.patient == key_of_reference("Patient/1")
    assert grant.actor == key_of_reference("Organization/p")
    assert grant.labels & labels.UNSET == labels.GENERAL | labels.SOCIAL_CARE
    assert grant.valid_from <= to_us(NOW)


def test_a_permission_works_from_the_moment_it_is_saved_until_the_end_of_its_last_day() -> None:
    (grant,) = compile_consent(permit(until=date(2026, 11, 30)), consent_key=7, types=())
    assert grant.valid_from == to_us(NOW)
    assert grant.valid_to == to_us(datetime(2026, 12, 1, tzinfo=UTC))


def test_what_lasts_until_the_last_day_there_is_is_shared_now() -> None:
    (share,) = sharing.overview([permit(until=date.max)], NOW).now
    assert share.until is not None
    assert share.until.iso == "9999-12-31"


def test_switching_off_refuses_emergency_access_too() -> None:
    grants = compile_consent(sharing.deny_all(patient=PATIENT, now=NOW), consent_key=7, types=())
    assert {grant.permit for grant in grants} == {False}
    assert any(grant.blocks_emergency for grant in grants)


def test_a_stopped_consent_grants_nothing() -> None:
    assert compile_consent(sharing.stopped(permit()), consent_key=7, types=()) == ()


def test_an_edit_keeps_the_id_and_the_start() -> None:
    before = permit()
    later = NOW + timedelta(days=10)
    after = sharing.permit(
        patient=PATIENT, grantee=PRACTICE, labels=["mental-health"], until=None, now=later, existing=before
    )
    assert after["id"] == "c"
    assert after["provision"]["period"] == before["provision"]["period"]


def test_the_overview_says_who_sees_what_until_when() -> None:
    found = sharing.overview([permit(("general", "social-care"), date(2027, 1, 31))], NOW)
    (share,) = found.now
    assert share.name == "Example Practice"
    assert share.kind == "Organisation"
    assert [label.code for label in share.labels] == ["general", "social-care"]
    assert [label.code for label in share.hidden] == ["mental-health", "sexual-health"]
    assert share.until is not None
    assert share.until.day == "31 January 2027"
    assert share.version == "3"


def test_a_permission_lasts_until_the_end_of_its_last_day_and_not_longer() -> None:
    consent = permit(until=date(2026, 11, 22))
    assert sharing.overview([consent], NOW.replace(hour=23)).now
    assert sharing.overview([consent], NOW + timedelta(days=1)).before[0].state == sharing.ENDED


def test_a_permission_of_the_future_is_not_one_of_now() -> None:
    found = sharing.overview([permit()], NOW - timedelta(days=1))
    assert not found.now
    assert found.later[0].state == sharing.LATER


def test_a_nested_deny_takes_kinds_away() -> None:
    consent = permit(("general", "sexual-health"))
    code = {"system": "https://fhir-server.example.org/CodeSystem/privacy-label", "code": "sexual-health"}
    consent["provision"]["provision"] = [{"type": "deny", "securityLabel": [code]}]
    assert [label.code for label in sharing.overview([consent], NOW).now[0].labels] == ["general"]


def test_sharing_that_is_off_is_seen_and_is_nobodys_share() -> None:
    off = sharing.deny_all(patient=PATIENT, now=NOW) | {"id": "off", "meta": {"versionId": "1"}}
    found = sharing.overview([off, permit()], NOW)
    assert (found.disabled_id, found.disabled_version) == ("off", "1")
    assert len(found.now) == 1


def test_consents_of_another_scope_play_no_part() -> None:
    other = permit(scope={"coding": [{"code": "research"}]})
    assert sharing.overview([other], NOW).now == ()
