"""A Binary has the verdict of its security context, a Provenance that of its targets: whichever of them came first."""

from __future__ import annotations

import pytest

from tests.consent.labelling import GENERAL, MENTAL, is_seen, relabel
from tests.consent.world import ANN, BOB, TRUST, Json, World, document, observation, ref


def _provenance(logical_id: str, *targets: str) -> Json:
    return {
        "resourceType": "Provenance",
        "id": logical_id,
        "target": [ref(target) for target in targets],
        "recorded": "2026-03-01T09:00:00Z",
        "agent": [{"who": ref(TRUST)}],
    }


def _binary(logical_id: str, context: str) -> Json:
    return {
        "resourceType": "Binary",
        "id": logical_id,
        "contentType": "text/plain",
        "securityContext": ref(context),
        "data": "aGVsbG8=",
    }


@pytest.mark.parametrize(
    "late", [observation(ANN, "late", MENTAL), observation(BOB, "late")], ids=["sensitive", "of another patient"]
)
def test_a_target_that_comes_later_hides_the_provenance_that_was_there(world: World, late: Json) -> None:
    world.server.put(_provenance("early", "Observation/a-1", "Observation/late"), world.trust)
    assert is_seen(world, "Provenance/early", world.practice)
    world.server.put(late, world.trust)
    assert not is_seen(world, "Provenance/early", world.practice)
    assert "Provenance/early" not in world.server.ids("Provenance?_count=100", world.practice)


def test_what_came_before_what_it_points_at_goes_with_it(world: World) -> None:
    early = ("Provenance/early", "Binary/early")
    world.server.put(_provenance("early", "DocumentReference/late"), world.trust)
    world.server.put(_binary("early", "DocumentReference/late"), world.trust)
    assert not any(is_seen(world, path, world.ann) for path in early)
    world.server.put(document(ANN, "late", GENERAL, "Binary/early"), world.trust)
    assert all(is_seen(world, path, token) for path in early for token in (world.ann, world.practice))


def test_whoever_else_takes_the_id_that_a_file_points_at_does_not_see_it(world: World) -> None:
    early = ("Provenance/early", "Binary/early")
    world.server.put(_provenance("early", "DocumentReference/late"), world.trust)
    world.server.put(_binary("early", "DocumentReference/late"), world.trust)
    world.server.put(document(ANN, "late", GENERAL), world.practice)
    relabel(world, "DocumentReference/late", MENTAL)
    relabel(world, "DocumentReference/late", GENERAL)
    assert is_seen(world, "DocumentReference/late", world.practice)
    assert [path for path in early if is_seen(world, path, world.practice)] == []
    assert all(is_seen(world, path, world.trust) for path in early)


@pytest.mark.parametrize(
    "further",
    [
        _provenance("further", "Binary/a-bin"),
        _provenance("further", "Provenance/a-prov"),
        _binary("further", "Binary/a-bin"),
        _binary("further", "Provenance/a-prov"),
    ],
    ids=lambda body: (
        f"{body['resourceType']} of {(body.get('target') or [body.get('securityContext')])[0]['reference']}"
    ),
)
def test_what_points_at_what_follows_follows_too(world: World, further: Json) -> None:
    path = f"{further['resourceType']}/further"
    world.server.put(further, world.trust)
    assert is_seen(world, path, world.practice)
    relabel(world, "DocumentReference/a-doc", MENTAL)
    assert not is_seen(world, path, world.practice)
    relabel(world, "DocumentReference/a-doc", GENERAL)
    assert is_seen(world, path, world.practice)


def test_provenances_of_each_other_come_to_an_end(world: World) -> None:
    world.server.put(_provenance("one", "Provenance/other", "Observation/a-1"), world.trust)
    world.server.put(_provenance("other", "Provenance/one"), world.trust)
    relabel(world, "Observation/a-1", MENTAL)
    assert not any(is_seen(world, f"Provenance/{name}", world.practice) for name in ("one", "other"))


def test_a_file_whose_document_names_fewer_patients_is_theirs_alone(world: World) -> None:
    both = document(ANN, "both", GENERAL, "Binary/both")
    world.server.put(both | {"author": [ref(BOB)]}, world.trust)
    world.server.put(_binary("both", "DocumentReference/both"), world.trust)
    world.server.put(_provenance("both", "Binary/both"), world.trust)
    paths = ("Binary/both", "Provenance/both")
    assert [path for path in paths if is_seen(world, path, world.ann)] == []
    world.server.put(both, world.trust, 200)
    assert all(is_seen(world, path, world.ann) for path in paths)
