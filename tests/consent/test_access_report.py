"""`$access-report`: who can see what now, counted by the gate of each."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.consent.shares import ACTORS, consents, denial, named, part, share_only, token_of
from tests.consent.world import ANN, BOB, CARER, CONSULTANT, GP, PRACTICE, TRUST, Json, World, consent, ref, staff_token

_FEW = settings(
    max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
_SEARCHES = {
    "Patient": "Patient?_id=ann&_summary=count",
    "Provenance": "Provenance?target=DocumentReference/a-doc,DocumentReference/a-doc-mh&_summary=count",
} | {
    kind: f"Patient/ann/{kind}?_summary=count"
    for kind in ("RelatedPerson", "Encounter", "Observation", "DocumentReference", "Consent")
}
_DENY = "https://profiles.ihe.net/ITI/PCF/Policy-deny"
_BREAK_GLASS_ONLY = "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only"


def _report(world: World, token: str = "", query: str = "") -> Json:
    found: Json = world.server.get(f"Patient/ann/$access-report{query}", token or world.ann)
    return found


def _entries(body: Json) -> dict[str, Json]:
    """Return the entries by the reference of their actor, "" for anyone."""
    return {part(entry, "actor")[0].get("reference", ""): entry for entry in named(body, "access")}


def _counts(entry: Json) -> dict[tuple[str, str], int]:
    found = {}
    for each in entry["part"]:
        if each["name"] == "count":
            label = [coding["code"] for coding in part(each, "label")]
            found[part(each, "type")[0], (label or [""])[0]] = part(each, "total")[0]
    return found


def _codes(entry: Json, name: str) -> list[Any]:
    return [value["code"] if isinstance(value, dict) else value for value in part(entry, name)]


@_FEW
@given(bodies=st.lists(consents(), min_size=1, max_size=3))
def test_the_counts_are_those_of_the_actors_own_searches(world: World, bodies: list[Json]) -> None:
    share_only(world, bodies)
    # Ann cannot see the observation that names Bob, too, so the report does not tell her of it.
    shared = {"Observation": 1}
    for actor in ACTORS:
        (entry,) = named(_report(world, query=f"?actor={actor}"), "access")
        counted = dict.fromkeys(_SEARCHES, 0)
        for (kind, _), number in _counts(entry).items():
            if kind in counted:
                counted[kind] += number
        for kind, number in counted.items():
            own = world.server.get(_SEARCHES[kind], token_of(world, actor))["total"]
            extra = shared.get(kind, 0) if actor in {TRUST, CONSULTANT} else 0
            assert number == own - extra, (actor, kind, bodies)


def test_whom_a_consent_names_is_listed_with_it(world: World) -> None:
    share_only(world, [])
    world.share(consent(ANN, PRACTICE, period={"start": "2026-01-01", "end": "2027-01-31"}))
    entry = _entries(_report(world))[PRACTICE]
    assert _codes(entry, "reason") == ["consent"]
    assert part(entry, "consent") == [ref(f"Consent/{world.consents[-1]}")]
    assert _codes(entry, "label") == ["general"]
    assert _codes(entry, "purpose") == []
    assert part(entry, "period") == [{"start": "2026-01-01T00:00:00.000Z", "end": "2027-02-01T00:00:00.000Z"}]
    assert _counts(entry)["Observation", "general"] == 2
    assert ("Observation", "mental-health") not in _counts(entry)


def test_a_consent_for_several_labels_and_a_purpose_says_so(world: World) -> None:
    share_only(world, [])
    system = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    body = consent(ANN, GP, labels=("general", "mental-health"), purpose=[{"system": system, "code": "HRESCH"}])
    world.share(body)
    entry = _entries(_report(world))[GP]
    assert _codes(entry, "label") == ["general", "mental-health"]
    assert _codes(entry, "purpose") == ["HRESCH"]
    assert _counts(entry) == {}
    assert _counts(_entries(_report(world, query="?purpose=HRESCH"))[GP])["Observation", "mental-health"] == 1


def test_organisations_are_listed_by_what_they_wrote(world: World) -> None:
    entry = _entries(_report(world))[TRUST]
    assert _codes(entry, "reason") == ["own-data"]
    assert part(entry, "consent") == []
    assert _counts(entry)["Observation", "mental-health"] == 1


def test_the_patient_is_listed_first(world: World) -> None:
    first = named(_report(world), "access")[0]
    assert part(first, "actor") == [ref(ANN)]
    assert _codes(first, "reason") == ["owner"]
    assert _counts(first)["Consent", "general"] == 1


def test_anyone_is_listed_where_a_consent_names_nobody(world: World) -> None:
    share_only(world, [])
    body = consent(ANN)
    del body["provision"]["actor"]
    world.share(body)
    entry = _entries(_report(world))[""]
    assert part(entry, "actor") == [{"display": "Anyone who is signed in"}]
    assert _counts(entry)["Observation", "general"] == 2


def test_who_is_expired_stopped_or_denied_everything_sees_nothing(world: World) -> None:
    share_only(world, [])
    world.share(consent(ANN, GP, period={"end": "2026-11-22T10:00:00Z"}))
    assert GP in _entries(_report(world))
    world.server.clock.advance(hours=2)
    assert GP not in _entries(_report(world))
    world.share(consent(ANN, CARER, type="deny", labels=()))
    assert _counts(_entries(_report(world))[CARER]) == {}


def test_the_policy_is_told(world: World) -> None:
    assert named(_report(world), "policy") == [{"name": "policy", "valueUri": _BREAK_GLASS_ONLY}]
    share_only(world, [denial(_DENY)])
    assert named(_report(world), "policy") == [{"name": "policy", "valueUri": _DENY}]


def test_a_running_emergency_is_listed_with_its_end(world: World) -> None:
    system = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    parameters = [
        {"name": "reasonCode", "valueCoding": {"system": system, "code": "ETREAT"}},
        {"name": "reason", "valueString": "Found unconscious at home, needs the list of medicines"},
        {"name": "declaration", "valueBoolean": True},
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    world.server.post("Patient/ann/$break-glass", world.gp, body, 200)
    entry = _entries(_report(world))[GP]
    assert "emergency" in _codes(entry, "reason")
    assert part(entry, "emergency") == [{"start": "2026-11-22T09:00:00.000Z", "end": "2026-11-22T10:00:00.000Z"}]
    assert _counts(entry)["Observation", "mental-health"] == 1
    world.server.clock.advance(minutes=61)
    assert GP not in _entries(_report(world))


def _full_proxy(world: World) -> None:
    types = [{"system": "http://hl7.org/fhir/resource-types", "code": "Consent"}]
    actor = [{"role": {"coding": [{"code": "IRCP"}]}, "reference": ref(CARER)}]
    world.share(consent(ANN, CARER, labels=(), provision=[{"type": "permit", "class": types, "actor": actor}]))


def test_a_full_proxy_is_marked_and_may_ask(world: World) -> None:
    _full_proxy(world)
    entry = _entries(_report(world))[CARER]
    assert _codes(entry, "reason") == ["consent", "full-proxy"]
    assert _counts(_entries(_report(world, world.carer))[PRACTICE]) == _counts(_entries(_report(world))[PRACTICE])


def test_everybody_else_is_told_nothing(world: World) -> None:
    for token in (world.bob, world.carer, world.gp, world.practice, world.trust, world.consultant):
        refusals = set()
        for patient in ("ann", "nobody"):
            answer = world.server.call("GET", f"Patient/{patient}/$access-report", token)
            refusals.add((answer.status_code, answer.text.replace(f"Patient/{patient}", "")))
        (refusal,) = refusals
        assert refusal[0] in {403, 404}


def test_a_privacy_officer_learns_who_but_not_how_much(world: World) -> None:
    entries = _entries(_report(world, staff_token(world, "privacy-officer")))
    assert _codes(entries[PRACTICE], "reason") == ["consent"]
    assert _codes(entries[PRACTICE], "label") == ["general"]
    counted = {kind[0] for entry in entries.values() for kind in _counts(entry)}
    assert counted <= {"Consent"}, "an officer reads who may see a record, never the record"


def test_a_token_without_consents_is_refused(world: World) -> None:
    token = world.server.token(ANN, "patient/Patient.rs patient/Observation.rs")
    assert world.server.call("GET", "Patient/ann/$access-report", token).status_code == 403


def test_only_what_the_token_may_see_is_counted(world: World) -> None:
    token = world.server.token(ANN, "patient/Patient.rs patient/Consent.rs patient/Encounter.rs")
    assert {kind for kind, _ in _counts(_entries(_report(world, token))[PRACTICE])} == {"Patient", "Encounter"}


def test_what_is_withheld_from_the_patient_is_not_counted(world: World) -> None:
    before = _counts(_entries(_report(world))[PRACTICE])
    body: Json = world.server.get("Observation/a-1", world.operator)
    body["meta"]["security"].append({"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "NOPAT"})
    world.server.put(body, world.trust, 200)
    after = _counts(_entries(_report(world))[PRACTICE])
    assert after["Observation", "general"] == before["Observation", "general"] - 1


def test_asking_for_one_actor_answers_for_that_one_only(world: World) -> None:
    assert list(_entries(_report(world, query=f"?actor={CONSULTANT}"))) == [CONSULTANT]
    (entry,) = named(_report(world, query=f"?actor={BOB}"), "access")
    assert part(entry, "reason") == []
    assert _counts(entry) == {}
