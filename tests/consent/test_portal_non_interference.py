"""Non-interference of pages: what a person is shown, hidden rows change no byte of it (access.md §1)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fhir_server.access import tokens
from fhir_server.portal.views.whose import CHOSEN
from tests.consent.asking import LABELS
from tests.consent.comparison import Plain, plain
from tests.consent.pages import ROLES, Visitor, addresses, furnish
from tests.consent.removal import put_back, remove_hidden_from, restored, saved
from tests.consent.world import ANN, BOB, CARER, GP, PRACTICE, World, consent
from tests.pages import said

_EXAMPLES = 60 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 3
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


@st.composite
def _shares(draw: st.DrawFn) -> tuple[str, list[tuple[str, str, tuple[str, ...]]]]:
    one = st.tuples(
        st.sampled_from((ANN, BOB)),
        st.sampled_from((GP, CARER, PRACTICE)),
        st.lists(st.sampled_from(LABELS), max_size=4, unique=True).map(tuple),
    )
    return draw(st.sampled_from(sorted(ROLES))), draw(st.lists(one, max_size=3))


@settings(
    max_examples=_EXAMPLES * len(ROLES),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=_shares())
def test_hidden_rows_change_no_byte_of_any_page(
    world: World, drawn: tuple[str, list[tuple[str, str, tuple[str, ...]]]]
) -> None:
    role, shares = drawn
    with restored(world.server):
        furnish(world)
        for patient, grantee, labels in shares:
            token = world.ann if patient == ANN else world.bob
            world.server.call("POST", "Consent", token, consent(patient, grantee, labels=labels))
        visitor = Visitor(world, role)
        paths = list(addresses(world, role))
        whole = [_page(visitor, path) for path in paths]
        sent = [_sent(visitor, path, form) for path, form in _FORMS[role]]
        with world.server.store.write() as session:
            now = world.server.clock()
            principal = tokens.for_account(session, visitor.account, now, visitor.session_id, now)
            assert remove_hidden_from(session, world.server, principal)
            # What the visitor opened the first time is unread again: a mark is their own deed, not a row of a record.
            session.connection.exec_driver_sql("DELETE FROM entry_opened")
        for path, expected in zip(paths, whole, strict=True):
            assert _page(visitor, path) == expected, (role, path)
        for (path, form), expected in zip(_FORMS[role], sent, strict=True):
            assert _sent(visitor, path, form) == expected, (role, path, form)


def _page(visitor: Visitor, path: str) -> Plain:
    """Return what a page answers; a file, too, byte for byte."""
    answer = visitor.open(path)
    return plain(answer, body=said(answer.data.decode("latin-1")).encode())


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
