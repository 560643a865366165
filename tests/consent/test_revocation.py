"""Taking a right away holds from the next statement on: nothing that is under way outlives it (access.md §2).

Each test takes the right in the middle of something: between two pages, between two entries of a batch, between a
queued message and its delivery. Nobody's clock moves meanwhile, so none of this can be an expiry.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fhir_server.access import tokens
from fhir_server.notify.outbox import deliver_due, queue
from fhir_server.notify.rendering import Letterhead
from fhir_server.notify.templates import Notice
from fhir_server.notify.transports import Delivery
from fhir_server.store import accounts, oauth_clients
from tests.consent.callers import in_emergency
from tests.consent.pages import Visitor
from tests.consent.world import ANN, BOB, CARER, GP, PRACTICE, TRUST, Json, World, consent, observation, ref
from tests.databases import Databases
from tests.server import START, Clock, build, create_schema

_READS = 8


class Interrupting(Clock):
    """A clock that, at one of its ticks, lets something else happen first: the server asks it once a statement."""

    def __init__(self) -> None:
        """Begin without a plan."""
        super().__init__(START)
        self._ticks, self._then = 0, None  # type: tuple[int, Callable[[], object] | None]

    def after(self, ticks: int, then: Callable[[], object]) -> None:
        """Do something at this tick from now on."""
        self._ticks, self._then = ticks, then

    def __call__(self) -> datetime:
        """Return now."""
        then, self._ticks = self._then, self._ticks - 1
        if then is not None and self._ticks == 0:
            self._then = None
            # In a thread of its own, as another request would: this one's transaction is left alone.
            other = threading.Thread(target=then)
            other.start()
            other.join()
        return self.at


@pytest.fixture
def world(databases: Databases, tmp_path: Path) -> Iterator[World]:
    made = build(databases.prepared("schema", create_schema), tmp_path, Interrupting())
    yield World(made).build()
    made.close()


def _withdraw(world: World, number: int = 0) -> None:
    body = consent(ANN, PRACTICE, status="inactive") | {"id": world.consents[number]}
    world.server.put(body, world.ann)


def _next(bundle: Json) -> str:
    return str(next(link["url"] for link in bundle["link"] if link["relation"] == "next"))


# ---------------------------------------------------------------- page links


@pytest.mark.parametrize("shape", ["", "&_total=accurate", "&_include=*", "&_revinclude=*", "&_sort=-date"])
def test_a_page_link_shows_nothing_once_the_consent_is_withdrawn(world: World, shape: str) -> None:
    link = _next(world.server.get(f"Observation?_count=1{shape}", world.practice))
    _withdraw(world)
    page = world.server.get(link, world.practice)
    assert "entry" not in page
    assert page.get("total", 0) == 0


def test_a_page_link_shows_the_rest_of_what_is_still_shared(world: World) -> None:
    for number in range(3):
        world.server.put(observation(ANN, f"more-{number}", day=10 + number), world.trust)
    link = _next(world.server.get("Observation?_count=1&_sort=date", world.practice))
    world.server.put(observation(ANN, "more-0", "mental-health", day=10), world.trust)
    seen = []
    while link:
        page = world.server.get(link, world.practice)
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        link = next((each["url"] for each in page["link"] if each["relation"] == "next"), "")
    assert seen == ["a-1", "more-1", "more-2"]


# ---------------------------------------------------------------- an open batch


def _batch(world: World, token: str, ticks: int, then: Callable[[], object]) -> list[str]:
    """Return the status of each entry of a batch of reads during which something happens."""
    entries = [{"request": {"method": "GET", "url": "Observation/a-1"}}] * _READS
    clock = world.server.clock
    assert isinstance(clock, Interrupting)
    clock.after(ticks, then)
    answer = world.server.call("POST", "", token, {"resourceType": "Bundle", "type": "batch", "entry": entries})
    if answer.status_code != 200:
        return [str(answer.status_code)] * _READS
    found: Any = answer.get_json()["entry"]
    return [entry["response"]["status"][:3] for entry in found]


@pytest.mark.parametrize("ticks", [4, 7, 11])
def test_a_batch_goes_on_without_what_was_withdrawn_during_it(world: World, ticks: int) -> None:
    statuses = _batch(world, world.practice, ticks, lambda: _withdraw(world))
    assert statuses[0] == "200"
    assert statuses[-1] == "404"
    assert statuses == sorted(statuses), "what was withdrawn came back"


def test_an_emergency_access_that_ends_during_a_batch_ends_for_its_other_entries(world: World) -> None:
    token = in_emergency(world, ANN)
    _withdraw(world)
    over = f"{ANN}/$end-break-glass"
    statuses = _batch(world, token, 7, lambda: world.server.call("POST", over, token, {"resourceType": "Parameters"}))
    assert statuses[0] == "200"
    assert statuses[-1] == "404"
    assert statuses == sorted(statuses)


@pytest.mark.parametrize("how", ["token", "role"])
def test_who_asks_is_looked_up_again_for_the_entries_of_a_batch(world: World, how: str) -> None:
    token = world.server.token(GP)

    def end() -> None:
        if how == "role":
            role = world.server.get("PractitionerRole/role-0", world.operator)
            world.server.put(role | {"active": False}, world.operator)
            return
        with world.server.store.write() as session:
            tokens.revoke(session, token, START)

    statuses = _batch(world, token, 7, end)
    assert statuses[0] == "200"
    assert statuses[-1] in {"401", "404"}


# ---------------------------------------------------------------- who somebody is


def test_a_revoked_token_is_refused_at_once(world: World) -> None:
    assert world.server.call("GET", "Observation/a-1", world.practice).status_code == 200
    with world.server.store.write() as session:
        tokens.revoke(session, world.practice, world.server.clock())
    answer = world.server.call("GET", "Observation/a-1", world.practice)
    assert answer.status_code == 401
    assert "a-1" not in answer.text


def test_a_disabled_client_is_refused_with_every_token_it_holds(world: World) -> None:
    with world.server.store.write() as session:
        oauth_clients.add_client(session, _client("epr"), secret=None)
    held = [world.server.token(TRUST, client_id="epr"), world.server.token(ANN, client_id="epr")]
    assert [world.server.call("GET", "Observation/a-1", token).status_code for token in held] == [200, 200]
    with world.server.store.write() as session:
        oauth_clients.set_client_active(session, "epr", active=False)
    assert [world.server.call("GET", "Observation/a-1", token).status_code for token in held] == [401, 401]


def _client(client_id: str) -> oauth_clients.Client:
    return oauth_clients.Client(client_id, client_id, "public", (), "system/*.rs", START)


@pytest.mark.parametrize(
    "change", [{"active": False}, {"period": {"end": "2026-11-01"}}, {"practitioner": ref("Practitioner/x")}]
)
def test_a_role_that_ends_takes_what_it_opened(world: World, change: Json) -> None:
    assert world.server.call("GET", "Observation/a-1", world.gp).status_code == 200
    link = _next(world.server.get("Observation?_count=1", world.gp))
    role = world.server.get("PractitionerRole/role-0", world.operator)
    world.server.put(role | change, world.operator)
    assert world.server.call("GET", "Observation/a-1", world.gp).status_code == 404
    assert "entry" not in world.server.get(link, world.gp)


def test_a_mandate_that_ends_takes_the_record_from_a_carer(world: World) -> None:
    shared = world.share(consent(ANN, CARER))
    link = _next(world.server.get("Observation?_count=1", world.carer))
    world.server.call("DELETE", f"Consent/{shared}", world.ann)
    assert world.server.call("GET", "Observation/a-1", world.carer).status_code == 404
    assert "entry" not in world.server.get(link, world.carer)


def test_an_ended_emergency_access_is_over_for_pages_and_reads(world: World) -> None:
    token = in_emergency(world)
    link = _next(world.server.get("Observation?_count=1&patient=Patient/bob", token))
    world.server.post("Patient/bob/$end-break-glass", token, {"resourceType": "Parameters"}, 200)
    assert world.server.call("GET", "Observation/b-1", token).status_code == 404
    assert "entry" not in world.server.get(link, token)


def test_switching_sharing_off_ends_a_running_emergency_access(world: World) -> None:
    token = in_emergency(world)
    assert world.server.call("GET", "Observation/b-1", token).status_code == 200
    world.share(consent(BOB, GP, type="deny", labels=(), policy="https://profiles.ihe.net/ITI/PCF/Policy-deny"))
    assert world.server.call("GET", "Observation/b-1", token).status_code == 404


# ---------------------------------------------------------------- pages of the portal


def test_a_page_of_the_portal_is_gone_once_the_consent_is_withdrawn(world: World) -> None:
    gp = Visitor(world, "professional")
    assert gp.open("/patients/ann/results").status_code == 200
    _withdraw(world)
    assert gp.open("/patients/ann/results").status_code == 404
    assert "Ann" not in gp.open("/patients").text


def test_a_session_ends_with_its_account(world: World) -> None:
    gp = Visitor(world, "professional")
    assert gp.open("/patients").status_code == 200
    with world.server.store.write() as session:
        accounts.set_active(session, gp.account.id, active=False, now=world.server.clock())
    answer = gp.open("/patients/ann/results")
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in")


def test_a_token_ends_with_its_account(world: World) -> None:
    gp = Visitor(world, "professional")
    token = world.server.token(GP, account_id=gp.account.id)
    assert world.server.call("GET", "Observation/a-1", token).status_code == 200
    with world.server.store.write() as session:
        accounts.set_active(session, gp.account.id, active=False, now=world.server.clock())
    assert world.server.call("GET", "Observation/a-1", token).status_code == 401


# ---------------------------------------------------------------- what is queued


class _Postbox:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Delivery] = []

    def send(self, delivery: Delivery) -> None:
        """Keep a message."""
        self.sent.append(delivery)


def test_a_message_that_was_queued_before_says_nothing_of_the_record(world: World) -> None:
    world.share(consent(ANN, CARER))
    with world.server.store.write() as session:
        queue(session, Notice.ACCESS_LOG, "carer@example.org", world.server.clock())
    _withdraw(world)
    postbox = _Postbox()
    letterhead = Letterhead("Record", "http://localhost")
    deliver_due(world.server.store, {Notice.ACCESS_LOG.channel: postbox}, letterhead, world.server.clock)
    assert [message.to for message in postbox.sent] == ["carer@example.org"]
    text = f"{postbox.sent[0].subject} {postbox.sent[0].body}"
    for word in ("Ann", "999", "Observation", "Haemoglobin", PRACTICE, "mental"):
        assert word not in text
