"""Non-interference of pages: what a person is shown, hidden rows change no byte of it (access.md §1)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fhir_server.access import tokens
from fhir_server.portal.routes import PAGES
from fhir_server.portal.views.whose import CHOSEN
from tests.consent.asking import LABELS
from tests.consent.comparison import Plain, plain
from tests.consent.pages import LEFT_OUT, ROLES, Ids, Visitor, addresses, furnish
from tests.consent.removal import put_back, remove_hidden_from, restored, saved
from tests.consent.world import ANN, BOB, CARER, GP, PRACTICE, World, consent
from tests.pages import said

_EXAMPLES = 60 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 3
_LATELY = re.compile(r"<h2[^>]*>Who looked lately.*?(?=<h2)", re.DOTALL)
_FORMS: Mapping[str, tuple[tuple[str, Mapping[str, str]], ...]] = {
    "professional": tuple(
        ("/patients/find", {"nhs-number": number, "born-day": "2", "born-month": "4", "born-year": year})
        for number, year in (("9990000018", "1980"), ("9990000002", "1981"), ("9434765919", "1970"))
    ),
    "carer": (("/choose-record", {"record": "ann"}), ("/choose-record", {"record": "bob"})),
    "patient": (
        ("/sharing/with/Practitioner/gp", {"labels": "general", "until": "always", "confirm": "yes"}),
        ("/record/measurements/add/weight", {"value": "70"}),
    ),
}


_SHARES = st.lists(
    st.tuples(
        st.sampled_from((ANN, BOB)),
        st.sampled_from((GP, CARER, PRACTICE)),
        st.lists(st.sampled_from(LABELS), max_size=4, unique=True).map(tuple),
    ),
    max_size=3,
)


def test_every_page_of_every_role_is_compared_or_left_out_for_a_reason() -> None:
    paths = {page.path for page in PAGES if "GET" in page.methods}
    assert {role for page in PAGES for role in page.roles} == set(ROLES)
    assert set(LEFT_OUT) < paths
    assert all(LEFT_OUT.values())


@pytest.mark.parametrize("role", ROLES)
@settings(
    max_examples=_EXAMPLES,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(shares=_SHARES)
def test_hidden_rows_change_no_byte_of_any_page(
    world: World, role: str, shares: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    with restored(world.server):
        ids = furnish(world)
        for patient, grantee, labels in shares:
            token = world.ann if patient == ANN else world.bob
            world.server.call("POST", "Consent", token, consent(patient, grantee, labels=labels))
        visitor = Visitor(world, role)
        paths = list(addresses(role, ids))
        whole = [_page(visitor, path) for path in paths]
        forms = list(_forms(role, ids))
        sent = [_sent(visitor, path, form) for path, form in forms]
        with world.server.store.write() as session:
            now = world.server.clock()
            principal = tokens.for_account(session, visitor.account, now, visitor.session_id, now)
            assert remove_hidden_from(session, world.server, principal)
            # What the visitor opened the first time is unread again: a mark is their own deed, not a row of a record.
            session.connection.exec_driver_sql("DELETE FROM entry_opened")
        for path, expected in zip(paths, whole, strict=True):
            assert _page(visitor, path) == expected, (role, path)
        for (path, form), expected in zip(forms, sent, strict=True):
            assert _sent(visitor, path, form) == expected, (role, path, form)


def _forms(role: str, ids: Ids) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield what a role sends: the fixed forms, and an answer to each question, whoever it is for."""
    yield from _FORMS.get(role, ())
    if role == "coordinator":
        for request_id in ids["request_id"]:
            yield f"/organisation/appointment-requests/{request_id}", {"verdict": "accepted", "message": "Yes"}


def _page(visitor: Visitor, path: str) -> Plain:
    """Return what a page answers; a file, too, byte for byte."""
    answer = visitor.open(path)
    body = said(answer.data.decode("latin-1"))
    return plain(answer, body=_LATELY.sub("", body).encode())


def _sent(visitor: Visitor, path: str, form: Mapping[str, str]) -> Plain:
    store = visitor.world.server.store
    with store.read() as session:
        before = saved(session)
    try:
        answer = visitor.send(path, form)
        return plain(answer, body=said(answer.data.decode("latin-1")).encode())
    finally:
        visitor.client.delete_cookie(CHOSEN)
        with store.write() as session:
            put_back(session, before)
