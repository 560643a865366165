"""`$preview-consent`: what a Consent would change is what it then changes, and nothing is kept of the question."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.consent.shares import ACTORS, consents, denial, named, part, share_only
from tests.consent.world import ANN, BOB, CARER, GP, PRACTICE, Json, World, consent, ref

_FEW = settings(
    max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
Counts = dict[tuple[str, str], int]


def _body(body: Json, actor: str, **more: Any) -> Json:
    parameters = [{"name": "consent", "resource": body}, {"name": "actor", "valueReference": ref(actor)}]
    return {"resourceType": "Parameters", "parameter": [*parameters, *more.get("parameters", ())]}


def _preview(world: World, body: Json, actor: str, token: str = "") -> tuple[Counts, Counts]:
    """Return what the actor sees before and after, without what is nothing."""
    found = world.server.post("Patient/ann/$preview-consent", token or world.ann, _body(body, actor), 200)
    sides: tuple[Counts, Counts] = ({}, {})
    for each in named(found, "count"):
        label = ([coding["code"] for coding in part(each, "label")] or [""])[0]
        for side, name in zip(sides, ("before", "after"), strict=True):
            side[part(each, "type")[0], label] = part(each, name)[0]
    return ({kind: rows for kind, rows in sides[0].items() if rows}, {kind: n for kind, n in sides[1].items() if n})


def _reported(world: World, actor: str) -> Counts:
    body = world.server.get(f"Patient/ann/$access-report?actor={actor}", world.ann)
    counted: Counts = {}
    for each in named(body, "access")[0]["part"]:
        if each["name"] == "count":
            label = ([coding["code"] for coding in part(each, "label")] or [""])[0]
            counted[part(each, "type")[0], label] = part(each, "total")[0]
    return counted


def _without_consents(counted: Counts) -> Counts:
    """Return the counts but of Consents: a saved one is itself a row more, of which a preview cannot know."""
    return {kind: rows for kind, rows in counted.items() if kind[0] != "Consent"}


@_FEW
@given(before=st.lists(consents(), max_size=2), proposed=consents(), way=st.sampled_from(("POST", "PUT")))
def test_what_is_previewed_is_what_is_seen_once_it_is_saved(
    world: World, before: list[Json], proposed: Json, way: str
) -> None:
    made = share_only(world, before)
    if way == "PUT" and made:
        proposed = {**proposed, "id": made[0]}
    asked = world.server.call("POST", "Patient/ann/$preview-consent", world.ann, _body(proposed, GP))
    previews = {actor: _preview(world, proposed, actor) for actor in ACTORS} if asked.status_code == 200 else {}
    reported = {actor: _reported(world, actor) for actor in ACTORS}
    method, path = ("PUT", f"Consent/{proposed['id']}") if "id" in proposed else ("POST", "Consent")
    saved = world.server.call(method, path, world.ann, proposed)
    assert (saved.status_code in {200, 201}) is (asked.status_code == 200), (asked.text, saved.text)
    for actor, (was, becomes) in previews.items():
        assert was == reported[actor], (actor, proposed)
        assert _without_consents(becomes) == _without_consents(_reported(world, actor)), (actor, proposed)


def test_a_new_share_opens_what_it_lists(world: World) -> None:
    was, becomes = _preview(world, consent(ANN, CARER, labels=("mental-health",)), CARER)
    assert was == {}
    assert becomes["Observation", "mental-health"] == 1
    assert ("Observation", "general") not in becomes


def test_an_edit_and_an_end_are_previewed_in_place_of_what_they_replace(world: World) -> None:
    stored: Json = world.server.get(f"Consent/{world.consents[0]}", world.ann)
    was, becomes = _preview(world, {**consent(ANN, PRACTICE, labels=("mental-health",)), "id": stored["id"]}, PRACTICE)
    assert ("Observation", "general") in was
    assert {label for kind, label in becomes if kind != "Patient"} == {"mental-health"}
    assert _preview(world, {**stored, "status": "inactive"}, GP)[1] == {}


def test_nothing_is_stored_but_the_question_on_the_log(world: World) -> None:
    grants = _reported(world, CARER)
    _preview(world, consent(ANN, CARER), CARER)
    assert _reported(world, CARER) == grants
    assert world.server.get("Consent?patient=ann&_summary=count", world.ann)["total"] == 1
    assert world.server.get("Observation?_summary=count", world.carer)["total"] == 0
    found = world.server.get("AuditEvent?patient=ann&subtype=operation", world.ann)["entry"]
    assert len(found) == 3


def test_what_saving_would_refuse_is_refused_alike(world: World) -> None:
    unknown = consent(ANN, CARER)
    unknown["provision"]["actor"][0]["role"]["coding"][0]["code"] = "AUT"
    invalid = {**consent(ANN, CARER), "status": "perhaps"}
    twice = consent(ANN, PRACTICE)
    for body, status in ((unknown, 422), (invalid, 422), (twice, 409)):
        previewed = world.server.call("POST", "Patient/ann/$preview-consent", world.ann, _body(body, GP))
        saved = world.server.call("POST", "Consent", world.ann, body)
        assert previewed.status_code == saved.status_code == status, previewed.text


def test_it_is_about_the_patient_of_the_url(world: World) -> None:
    answer = world.server.call("POST", "Patient/ann/$preview-consent", world.ann, _body(consent(BOB, GP), GP))
    assert answer.status_code == 422
    assert "Consent.patient" in answer.text


def test_another_patients_consent_is_not_replaced(world: World) -> None:
    bobs = world.share(consent(BOB, GP))
    answer = world.server.call(
        "POST", "Patient/ann/$preview-consent", world.ann, _body({**consent(ANN, GP), "id": bobs}, GP)
    )
    assert answer.status_code == 200
    assert world.server.get("Observation/b-1", world.gp)["id"] == "b-1"


def test_only_the_patient_and_a_full_proxy_may_ask(world: World) -> None:
    body = _body(consent(ANN, GP), GP)
    for token in (world.bob, world.carer, world.gp, world.practice, world.trust):
        refusals = set()
        for patient in ("ann", "nobody"):
            answer = world.server.call("POST", f"Patient/{patient}/$preview-consent", token, body)
            refusals.add((answer.status_code, answer.text.replace(f"Patient/{patient}", "")))
        (refusal,) = refusals
        assert refusal[0] in {403, 404}
    types = [{"system": "http://hl7.org/fhir/resource-types", "code": "Consent"}]
    actor = [{"role": {"coding": [{"code": "IRCP"}]}, "reference": ref(CARER)}]
    world.share(consent(ANN, CARER, labels=(), provision=[{"type": "permit", "class": types, "actor": actor}]))
    assert _preview(world, consent(ANN, GP), GP, world.carer) == _preview(world, consent(ANN, GP), GP)


def test_a_token_that_may_not_write_consents_is_refused(world: World) -> None:
    token = world.server.token(ANN, "patient/*.rs")
    answer = world.server.call("POST", "Patient/ann/$preview-consent", token, _body(consent(ANN, GP), GP))
    assert answer.status_code == 403


def test_it_needs_a_body(world: World) -> None:
    assert world.server.call("GET", f"Patient/ann/$preview-consent?actor={GP}", world.ann).status_code == 405
    answer = world.server.call("POST", f"Patient/ann/$preview-consent?actor={GP}", world.ann)
    assert answer.status_code == 400
    assert "consent" in answer.text


def test_a_record_that_two_patients_share_needs_both(world: World) -> None:
    share_only(world, [])
    world.share(consent(BOB, CARER, labels=()))
    was, becomes = _preview(world, consent(ANN, CARER, labels=()), CARER, world.operator)
    assert was == {}
    assert becomes["Observation", "general"] == 3
    assert _preview(world, consent(ANN, CARER, labels=()), CARER)[1]["Observation", "general"] == 2


def test_switching_everything_off_is_previewed(world: World) -> None:
    off = denial("https://profiles.ihe.net/ITI/PCF/Policy-deny")
    was, becomes = _preview(world, off, GP)
    assert was
    assert becomes == {}


def test_a_consent_of_many_rows_is_previewed_like_a_small_one(world: World) -> None:
    codes = [{"coding": [{"code": code}]} for code in ("718-7", *(f"x{number}" for number in range(600)))]
    body = consent(ANN, CARER, code=codes)
    was, becomes = _preview(world, body, CARER)
    assert was == {}
    assert becomes["Observation", "general"] > 0
    assert becomes == _preview(world, consent(ANN, CARER, code=codes[:1]), CARER)[1]
    world.server.post("Consent", world.ann, body)
    assert becomes == _reported(world, CARER)
