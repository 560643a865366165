"""Every act about people and accounts has its AuditEvent, and whoever should know its message: one table says it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from fhir_server.interactions.audit_parts import ACCOUNT_ACTIONS, ADMINISTRATION_ACTIONS
from fhir_server.notify.templates import Notice
from fhir_server.store import accounts
from tests.portal import acts
from tests.portal.acts import ACTS, HERE, NEWS, OTHERWISE
from tests.portal.conftest import (
    ADMIN,
    AMELIA,
    BASE_URL,
    CONSULTANT,
    COORDINATOR,
    DESK,
    DEVELOPER,
    THOMAS,
    Person,
)
from tests.portal.test_app_registry import FORM as APP
from tests.portal.test_app_registry import registered
from tests.portal.test_carers import JOAN, PASSWORD, code, link
from tests.portal.test_organisation import INVITED
from tests.portal.test_organisation_desk import ASKED, CHECK, MESSAGE, ask
from tests.portal.test_parents import FORM as PARENT
from tests.portal.test_parents import MARY
from tests.portal.test_sharing_requests import AMELIA_IS, request_of
from tests.server import Server

TESTS = Path(__file__).parents[1]
_NEWEST = "SELECT (SELECT max(seq) FROM audit_event), (SELECT max(rowid) FROM message)"
CODES = {*ADMINISTRATION_ACTIONS, *ACCOUNT_ACTIONS}
CSV = "given,family,birth_date,nhs_number,email,mobile\nAnn,Example,1980-02-01,9434765919,a@example.org,07700900982\n"
APP_JSON = {
    "client_name": "Chart",
    "redirect_uris": ["https://app.example/callback"],
    "scope": "patient/Observation.rs",
}
ADA = {"given": "Ada", "family": "Okoro", "email": "ada.okoro@example.org", "job": "Nurse", "number": "555021935107"}


def test_the_table_has_every_act_and_every_message_and_names_tests_that_hold_them() -> None:
    assert sorted(act.code for act in ACTS) == sorted(CODES)
    kinds = {kind for act in ACTS for kind, _ in act.told} | {kind for kind, _, _ in OTHERWISE}
    assert kinds == {notice.kind for notice in Notice}
    elsewhere = [(act.code, {act.code, *(kind for kind, _ in act.told)}, act.test) for act in ACTS if act.test != HERE]
    silent = [
        (name, test)
        for name, words, test in (*elsewhere, *((kind, {kind}, test) for kind, _, test in OTHERWISE))
        if not any(re.search(rf"(?<![\w-]){word}(?![\w-])", (TESTS / test).read_text("utf-8")) for word in words)
    ]
    assert not silent
    assert acts.TARGET.read_text("utf-8") == acts.document(), "run python -m tests.portal.acts"


class Quick(Person):
    """Somebody whose forms all carry the token of the first page: one request for each act."""

    token = ""

    def send(self, path: str, form: Mapping[str, Any], *, page: str = "/contact") -> TestResponse:
        """Send a form."""
        if self.token and page == "/contact":
            return self.client.post(path, data={**form, "csrf_token": self.token}, base_url=BASE_URL)
        answer = super().send(path, form, page=page)
        self.token = self.get("/contact").partition('name="csrf_token" value="')[2].partition('"')[0]
        return answer


class Stage:
    """A server whose log and outbox are watched."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.driven: set[str] = set()

    @contextmanager
    def does(self, act: str, *told: tuple[str, str]) -> Iterator[None]:
        """Hold that what runs inside is this act, with one AuditEvent and these messages, and no other."""
        [(event, message)] = self._all(_NEWEST)
        yield
        logged = self._all("SELECT content FROM audit_event WHERE seq > :after ORDER BY seq", after=event)
        codes = [str(orjson.loads(bytes(content))["subtype"][0]["code"]) for (content,) in logged]
        assert [code for code in codes if code in CODES] == [act], act
        sent = self._all("SELECT kind, recipient FROM message WHERE rowid > :after", after=message or 0)
        assert sorted((kind, to) for kind, to in sent) == sorted(told), act
        expected = {kind for one in ACTS if one.code == act for kind, _ in one.told}
        assert {kind for kind, _ in told} <= expected, act
        assert told or not expected, f"{act}: the table says that somebody is told"
        self.driven.add(act)

    def _all(self, statement: str, **values: int) -> Any:
        with self.server.store.read() as session:
            return session.connection.execute(text(statement), values).all()

    def account(self, email: str) -> accounts.Account:
        with self.server.store.read() as session:
            found = accounts.by_email(session, email)
        assert found is not None
        return found


@pytest.fixture
def stage(server: Server) -> Stage:
    return Stage(server)


def within(page: str, before: str, after: str) -> str:
    """Return what stands between the last `before` ahead of `after`, and the next quotation mark."""
    return page.partition(after)[0].rpartition(before)[2].partition('"')[0]


def done(answer: Any) -> None:
    assert answer.status_code in {200, 201, 202, 204, 303}, answer.text.partition("<main")[2][:2_000]


def test_each_act_that_the_table_has_driven_here_leaves_its_event_and_its_messages(stage: Stage) -> None:
    """In the order in which people come: patient and carer, strangers, desk, coordinator, developer, administrator."""
    amelia = Quick(stage.server, AMELIA)
    own_account(stage, amelia)
    carers_and_calendar(stage, amelia)
    asking_for_access(stage, amelia)
    with stage.does("sign-out-everywhere", ("security-changed", AMELIA)):
        done(amelia.send("/account/devices", {"action": "everywhere"}))
    strangers_and_desk(stage)
    invitations(stage)
    colleagues(stage)
    apps_and_organisations(stage)
    programs(stage)
    deaths(stage)
    leave = f"/organisation/team/{stage.account(CONSULTANT).id}/leave"
    with stage.does("professional-leaves", ("security-changed", CONSULTANT)):
        done(Quick(stage.server, COORDINATOR).send(leave, {"understood": "yes"}))
    assert stage.driven == {act.code for act in ACTS if act.test == HERE}


def own_account(stage: Stage, amelia: Quick) -> None:
    mine = ("security-changed", AMELIA)
    with stage.does("choose-language"):
        done(amelia.send("/language", {"language": "en"}))
    with stage.does("change-memorable-question", mine):
        question = "What was the name of your first pet?"
        done(amelia.send("/account/memorable", {"question": question, "answer": "Rex"}))
    new = ("confirm-new-email", "amelia.new@example.org")
    with stage.does("ask-new-email", new, ("email-change-asked", AMELIA)):
        done(amelia.send("/account/email", {"new-email": new[1]}))
    with stage.server.store.write() as session:
        accounts.set_mobile(session, stage.account(AMELIA).id, "+447700900111")
    for act, wanted in (("want-text-codes", "yes"), ("stop-text-codes", "no")):
        with stage.does(act, mine):
            done(amelia.send("/account/text-codes", {"wanted": wanted}))
    with stage.does("send-proof-code", ("proof-code", "+447700900222")):
        done(amelia.send("/account/mobile", {"mobile": "07700 900222"}))
    with stage.does("remove-mobile", mine):
        done(amelia.send("/account/mobile", {"action": "remove"}))
    with stage.does("renew-recovery-codes", mine):
        done(amelia.send("/account/recovery-codes", {}))
    with stage.does("end-session"):
        done(amelia.send("/account/devices", {"action": "end", "id": "some-session"}))
    with stage.does("rename-passkey"):
        done(amelia.send("/account/passkeys", {"action": "rename", "passkey": "none", "name": "Phone"}))
    with stage.does("forget-device"):
        done(amelia.send("/account/devices", {"action": "forget", "id": "some-device"}))
    with stage.does("make-calendar-link", mine):
        done(amelia.send("/record/appointments/calendar", {"step": "make", "detail": "time"}))
    with stage.does("stop-calendar-link"):
        done(amelia.send("/record/appointments/calendar", {"step": "stop"}))


def carers_and_calendar(stage: Stage, amelia: Quick) -> None:
    sent = (("carer-invitation", str(JOAN["email"])), ("carer-code", "+447700900456"))
    with stage.does("invite-carer", *sent):
        done(amelia.send("/sharing/carers/invite", JOAN | {"confirm": "yes"}))
    again = re.search(r'action="(/sharing/carers/[^"]+/resend)"', amelia.get("/sharing"))
    assert again is not None
    stage.server.clock.advance(seconds=1)
    with stage.does("resend-carer-invitation", *sent):
        done(amelia.send(again[1], {}))
    path = link(stage.server, str(JOAN["email"]))
    form = {"code": code(stage.server), "password": PASSWORD, "agreement": "yes"}
    with stage.does("take-up-carer-invitation", (NEWS, AMELIA)):
        done(Quick(stage.server).send(path, form, page=path))
    thomas = Quick(stage.server, THOMAS)
    with stage.does("choose-messages"):
        done(thomas.send("/account/messages", {"emergencies": "yes"}))
    leave = re.search(r'href="(/choose-record/leave/[^"]+)"', thomas.get("/choose-record"))
    assert leave is not None
    with stage.does("leave-record", (NEWS, AMELIA)):
        done(thomas.send(leave[1], {}))


def asking_for_access(stage: Stage, amelia: Quick) -> None:
    priya = Quick(stage.server, CONSULTANT)
    for act, answer in (("decline-access-request", "no"), ("grant-access-request", "yes")):
        with stage.does("ask-for-access", (NEWS, AMELIA)):
            done(priya.send("/patients/ask", AMELIA_IS))
        request = request_of(amelia.get("/sharing"))
        if answer == "no":
            with stage.does(act, (NEWS, CONSULTANT)):
                done(amelia.send(request, {"answer": answer}))
            stage.server.clock.advance(minutes=1)
            continue
        share = amelia.send(request, {"answer": answer}).location
        with stage.does(act, (NEWS, CONSULTANT)):
            done(amelia.send(share, {"labels": ["general"], "ends": "never", "confirm": "yes"}))


def strangers_and_desk(stage: Stage) -> None:
    desk, admin, stranger = Quick(stage.server, DESK), Quick(stage.server, ADMIN), Quick(stage.server)
    with stage.does("send-contact-message", ("account-requested", MESSAGE["email"])):
        done(stranger.send("/contact/message", MESSAGE, page="/contact/message"))
    with stage.does("ask-new-password", ("reset-password", AMELIA)):
        done(stranger.send("/forgotten-password", {"email": AMELIA}))
    message = re.search(r'action="(/service-desk/messages/[^"]+/close)"', desk.get("/service-desk/requests"))
    assert message is not None
    with stage.does("close-contact-message"):
        done(desk.send(message[1], {}))
    with stage.does("ask-for-account", ("account-requested", ASKED["email"])):
        path = ask(stage.server)
    with stage.does("check-account-request"):
        done(desk.send(path, CHECK))
    with stage.does("approve-account-request", ("account-set-up", ASKED["email"])):
        done(admin.send(path, {"step": "approve"}))
    path = ask(stage.server)
    with stage.does("refuse-account-request", ("account-refused", ASKED["email"])):
        done(admin.send(path, {"step": "refuse"}))
    with stage.does("unlock-account", ("security-changed", AMELIA)):
        done(desk.send("/service-desk/help", {"step": "unlock", "email": AMELIA}))
    lost = {"email": AMELIA, "reason": "Came to the desk with her passport, number checked"}
    with stage.does("ask-account-reset", ("reset-asked", AMELIA)):
        done(desk.send("/service-desk/account-resets", lost))
    found = re.search(r'name="id" value="([0-9a-f-]{36})"', admin.get("/service-desk/account-resets"))
    assert found is not None
    with stage.does("refuse-account-reset"):
        done(admin.send("/service-desk/account-resets", {"id": found[1], "decision": "refuse"}))
    death = {"number": "Patient/amelia-hart", "born-day": "14", "born-month": "3", "born-year": "1976",
             "day-day": "3", "day-month": "11", "day-year": "2026",
             "evidence": "The registrar wrote to us about it"}  # fmt: skip
    with stage.does("propose-person-case"):
        done(desk.send("/service-desk/cases/new/death", death))
    case = re.search(r'href="(/service-desk/cases/[0-9a-f-]{36})"', admin.get("/service-desk/cases"))
    assert case is not None
    with stage.does("refuse-person-case"):
        done(admin.send(case[1], {"decision": "refuse"}))


def invitations(stage: Stage) -> None:
    nadia, server = Quick(stage.server, COORDINATOR), stage.server
    email = str(INVITED["email"])
    sent = (("invitation", email), ("invitation-code", "+447700900982"))
    with stage.does("invite", *sent):
        done(nadia.send("/organisation/invite", INVITED))
    action = re.search(r'action="(/organisation/invitations/[^"]+)/resend"', nadia.get("/organisation"))
    assert action is not None
    with stage.does("resend-invitation", *sent):
        done(nadia.send(f"{action[1]}/resend", {}))
    with server.store.read() as session:
        rows = session.connection.execute(text("SELECT details FROM message WHERE kind = 'invitation'")).all()
    token = orjson.loads(rows[-1][0])["token"]
    server.clock.advance(days=15)
    nadia = Quick(server, COORDINATOR)
    with stage.does("renew-invitation", *sent):
        done(Quick(server).send(f"/register/{token}/new-link", {}, page=f"/register/{token}"))
    with stage.does("cancel-invitation"):
        done(nadia.send(f"{action[1]}/cancel", {}))
    done(nadia.send("/organisation/invite", {**INVITED, "email": ""}))
    letter = re.search(r'action="(/organisation/invitations/[^"]+/letter)"', nadia.get("/organisation"))
    assert letter is not None
    with stage.does("print-invitation", ("invitation-letter-code", "+447700900982")):
        done(nadia.send(letter[1], {}))
    parent = (("parent-invitation", MARY), ("carer-code", "+447700900321"))
    with stage.does("invite-parent", *parent):
        done(nadia.send("/organisation/parents/invite", PARENT))
    action = re.search(r'action="(/organisation/parents/[^"]+)/resend"', nadia.get("/organisation/parents"))
    assert action is not None
    with stage.does("resend-parent-invitation", *parent):
        done(nadia.send(f"{action[1]}/resend", {}))


def colleagues(stage: Stage) -> None:
    nadia = Quick(stage.server, COORDINATOR)
    sent = ("professional-invited", ADA["email"])
    with stage.does("invite-professional", sent):
        done(nadia.send("/organisation/team/invite", ADA))
    resend = within(nadia.get("/organisation/team"), 'action="', " to Ada Okoro")
    with stage.does("resend-set-up", sent):
        done(nadia.send(resend, {}))
    with stage.does("make-team"):
        path = nadia.send("/organisation/teams", {"name": "Heart failure clinic"}).location.partition("?")[0]
    with stage.does("rename-team"):
        done(nadia.send(path, {"step": "rename", "name": "Heart clinic"}))
    with stage.does("change-team-members"):
        done(nadia.send(path, {"step": "add", "member": stage.account(CONSULTANT).id}))
    with stage.does("end-team"):
        done(nadia.send(path, {"step": "end", "understood": "yes"}))


def apps_and_organisations(stage: Stage) -> None:
    mina, admin = Quick(stage.server, DEVELOPER), Quick(stage.server, ADMIN)
    client_id = registered(mina)
    with stage.does("change-app"):
        done(mina.send(f"/developer/apps/{client_id}/change", {**APP, "description": "Draws charts"}))
    with stage.does("new-app-secret", ("security-changed", DEVELOPER)):
        done(mina.send(f"/developer/apps/{client_id}/secret", {}))
    with stage.does("refuse-app", ("app-refused", DEVELOPER)):
        done(admin.send(f"/administration/apps/{client_id}", {"step": "refuse", "reason": "Say what it is for"}))
    with stage.does("limit-app"):
        done(admin.send(f"/administration/apps/{client_id}", {"step": "limit", "requests_per_minute": "60"}))
    with stage.does("remove-app"):
        done(mina.send(f"/developer/apps/{client_id}/remove", {}))
    with stage.does("add-organisation"):
        form = {"name": "Hill Practice", "code": "Y00001", "type": "prov"}
        done(admin.send("/administration/organisations/add", form))


def programs(stage: Stage) -> None:
    """Of the administration API what pages have no act for; it is as much on the log as they are."""
    server = stage.server
    who = {email: stage.account(email) for email in (COORDINATOR, DESK, ADMIN, DEVELOPER)}
    tokens = {
        email: server.token(f"account:{one.id}", "user/*.cruds", account_id=one.id, organization=one.organization)
        for email, one in who.items()
    }
    tokens["operator"] = server.token("system", "system/*.cruds", trusted=True)

    def call(method: str, path: str, email: str, status: int = 0, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {tokens[email]}"}
        answer = server.app.test_client().open(f"/api/v1/{path}", method=method, headers=headers, **more)
        if answer.status_code != status:
            done(answer)
        return answer

    app = call("POST", "my-apps", DEVELOPER, json=APP_JSON).json["client_id"]
    team = call("POST", "teams", COORDINATOR, json={"name": "Renal"}).headers["Location"].removeprefix("/api/v1/")
    file = call("POST", "invitation-files", COORDINATOR, data=CSV, content_type="text/csv").json["id"]
    invited = call("GET", "invitations", COORDINATOR).json["invitations"][0]["id"]
    for act, path, email in (
        ("list-apps", "apps", ADMIN), ("read-app", f"apps/{app}", ADMIN),
        ("list-own-apps", "my-apps", DEVELOPER), ("read-own-app", f"my-apps/{app}", DEVELOPER),
        ("list-clients", "clients", "operator"), ("read-client", f"clients/{app}", "operator"),
        ("list-accounts", "accounts", "operator"), ("read-status", "status", "operator"),
        ("list-invitations", "invitations", COORDINATOR), ("read-invitation", f"invitations/{invited}", COORDINATOR),
        ("list-parent-invitations", "parent-invitations", COORDINATOR),
        ("read-invitations-file", f"invitation-files/{file}", COORDINATOR),
        ("fetch-invitations-report", f"invitation-files/{file}/report", COORDINATOR),
        ("list-account-requests", "account-requests", DESK),
        ("list-contact-messages", "contact-messages", DESK), ("list-person-cases", "person-cases", DESK),
        ("list-teams", "teams", COORDINATOR), ("read-team", team, COORDINATOR),
        ("list-professionals", "professionals", COORDINATOR),
    ):  # fmt: skip
        with stage.does(act):
            call("GET", path, email)
    with stage.does("add-team-member"):
        call("POST", f"{team}/members", COORDINATOR, status=404, json={"account_id": "nobody"})
    with stage.does("remove-team-member"):
        call("DELETE", f"{team}/members/PractitionerRole/nobody", COORDINATOR, status=404)


def deaths(stage: Stage) -> None:
    op = stage.server.operator()
    gone = stage.server.post("/Patient", op, {"resourceType": "Patient", "deceasedBoolean": False})
    for act, is_dead in (("close-accounts", True), ("reopen-accounts", False)):
        with stage.does(act):
            gone = stage.server.put({**gone, "deceasedBoolean": is_dead}, op)
