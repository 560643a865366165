"""Acts about people and accounts: what each is called in the audit log, who is told of it, and which test holds both.

One literal table. `test_acts.py` drives the acts that name it, and holds docs/messages.md, which
`python -m tests.portal.acts` writes, to this table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from fhir_server.notify.templates import Notice

TARGET: Final = Path(__file__).resolve().parents[2] / "docs" / "messages.md"
HERE: Final = "portal/test_acts.py"
NEWS: Final = "news"


class Act(NamedTuple):
    """One act.

    Attributes:
        code: Of the AuditEvent's subtype.
        what: In words.
        told: Message and who gets it, none where nobody has to know more than whoever acts sees.
        test: Where it is driven, below tests/.
    """

    code: str
    what: str
    told: tuple[tuple[str, str], ...] = ()
    test: str = HERE


_MINE: Final = (("security-changed", "whose account it is"),)
_ORGANISATION: Final = "portal/test_organisation.py"
_API: Final = "admin/test_invitations_api.py"
_DESK_API: Final = "admin/test_desk_and_teams.py"
_HELPING_API: Final = "admin/test_helping.py"
_CANCELLING: Final = "admin/test_cancelling_professionals.py"
_APPS_API: Final = "admin/test_apps.py"
_APPS: Final = "portal/test_app_registry.py"
_TEAMS: Final = "portal/test_care_teams.py"

ACTS: Final = (
    Act("invite", "A coordinator invites a patient",
        (("invitation", "who is invited"), ("invitation-code", "their phone"))),
    Act("resend-invitation", "The invitation is sent again",
        (("invitation", "who is invited"), ("invitation-code", "their phone"))),
    Act("cancel-invitation", "The invitation is cancelled"),
    Act("print-invitation", "The letter of an invitation is made", (("invitation-letter-code", "their phone"),)),
    Act("renew-invitation", "The invited person asks for a new link",
        (("invitation", "who is invited"), ("invitation-code", "their phone"))),
    Act("upload-invitations", "A coordinator uploads a file of people",
        (("invitations-done", "the coordinator, when the file is done"),), _ORGANISATION),
    Act("fetch-invitations-report", "What came of a file is fetched"),
    Act("confirm-email", "The e-mail address of a new account is confirmed", (), "signin/test_registration.py"),
    Act("invite-parent", "A coordinator invites the parent of a child",
        (("parent-invitation", "the parent"), ("carer-code", "the parent's phone"),
         (NEWS, "who was let into that record before"))),
    Act("list-parent-invitations", "A program lists invitations of parents"),
    Act("resend-parent-invitation", "The parent's invitation is sent again",
        (("parent-invitation", "the parent"), ("carer-code", "the parent's phone"))),
    Act("end-parent-access", "What a parent sees is ended", ((NEWS, "the parent, with an account"),),
        "portal/test_parents.py"),
    Act("invite-carer", "A patient invites family or a carer",
        (("carer-invitation", "the carer"), ("carer-code", "the carer's phone"))),
    Act("resend-carer-invitation", "The carer's invitation is sent again",
        (("carer-invitation", "the carer"), ("carer-code", "the carer's phone"))),
    Act("take-up-carer-invitation", "The carer or parent takes the invitation up, or tries with a wrong code",
        ((NEWS, "the patient, when it is taken up"),)),
    Act("choose-messages", "A patient or carer chooses which messages to get"),
    Act("leave-record", "A carer stops seeing a record", ((NEWS, "the patient"),)),
    Act("ask-for-access", "A professional asks a person for access", ((NEWS, "the patient, where there is one"),)),
    Act("grant-access-request", "The patient says yes, and shares", ((NEWS, "the professional"),)),
    Act("decline-access-request", "The patient says no", ((NEWS, "the professional"),)),
    Act("ask-for-account", "A professional asks for an account", (("account-requested", "who asks"),)),
    Act("send-contact-message", "Somebody writes to the service desk", (("account-requested", "who writes"),)),
    Act("close-contact-message", "The service desk has dealt with a message"),
    Act("check-account-request", "The service desk keeps what it checked"),
    Act("approve-account-request", "Somebody else agrees to a request", (("account-set-up", "who asked"),)),
    Act("refuse-account-request", "A request is turned down", (("account-refused", "who asked"),)),
    Act("invite-professional", "A coordinator invites a professional",
        (("professional-invited", "the professional"),)),
    Act("resend-set-up", "The professional's link is sent again", (("professional-invited", "the professional"),)),
    Act("cancel-set-up", "The professional's invitation is cancelled, or nobody used it: link and role end",
        (("account-refused", "who had asked the service desk for the account"),), _CANCELLING),
    Act("join-organisation", "A professional with an account says yes to work for one more organisation",
        (("security-changed", "whose account it is"),), "portal/test_inviting_colleagues.py"),
    Act("professional-leaves", "A professional leaves an organisation", (("security-changed", "the professional"),)),
    Act("choose-organisation", "A professional chooses for which of several organisations they work", (),
        "portal/test_working_for.py"),
    Act("make-team", "A coordinator makes a care team"),
    Act("rename-team", "A care team gets another name"),
    Act("change-team-members", "Somebody is added to a care team, or taken out", (), HERE),
    Act("add-team-member", "A program is refused to add somebody to a care team"),
    Act("remove-team-member", "A program is refused to take somebody out of one"),
    Act("end-team", "A care team ends"),
    Act("resend-messages", "The service desk sends again what waits for an address",
        (("invitation", "who waits for it"), ("confirm-email", "who waits for it"),
         ("account-set-up", "who waits for it")), _DESK_API),
    Act("unlock-account", "The service desk gives tries back", (("security-changed", "who has an account there"),)),
    Act("ask-account-reset", "The service desk asks to let somebody in again", (("reset-asked", "the known address"),)),
    Act("approve-account-reset", "An administrator agrees", (("reset-approved", "the address to be used"),),
        "signin/test_resets.py"),
    Act("refuse-account-reset", "An administrator turns it down: nothing changes"),
    Act("propose-person-case", "The service desk proposes to join two records, or a death"),
    Act("approve-person-case", "Somebody else agrees; sharing is paused, or accounts are closed",
        (("account-joined", "whose second account closes"), (NEWS, "whose record it is, of a join")),
        "portal/test_person_cases.py"),
    Act("refuse-person-case", "Somebody else turns it down: nothing changes"),
    Act("confirm-sharing", "The person shares again after a join", (), "portal/test_person_cases.py"),
    Act("close-accounts", "A death closes accounts: messages that wait are not sent"),
    Act("reopen-accounts", "A death that was recorded wrongly is taken back"),
    Act("close-unused-accounts", "An account that nobody uses closes",
        (("account-unused", "whose account it is, a month before"), ("account-closed", "whose account it is")),
        _DESK_API),
    Act("close-sign-in-problem", "The service desk has dealt with a sign-in that could not be linked", (),
        "signin/test_nhs_login.py"),
    Act("link-nhs-login", "NHS login is linked to an account", (("login-linked", "whose account it is"),),
        "signin/test_nhs_login.py"),
    Act("unlink-nhs-login", "NHS login is removed from an account", (("login-unlinked", "whose account it is"),),
        "signin/test_nhs_login.py"),
    Act("accept-agreement", "Somebody accepts a new agreement", (), "signin/test_agreement.py"),
    Act("choose-language", "Somebody chooses a language"),
    Act("change-password", "The password is changed", (("password-changed", "whose account it is"),),
        "signin/test_account.py"),
    Act("change-memorable-question", "The memorable question is changed", _MINE),
    Act("ask-new-email", "A new e-mail address is asked for",
        (("confirm-new-email", "the new address"), ("email-change-asked", "the address in use"))),
    Act("ask-new-password", "Somebody asks for a link to choose a new password",
        (("reset-password", "whose account it is, where there is one"),)),
    Act("send-proof-code", "A code is sent by text message, for a second proof",
        (("proof-code", "the phone"),)),
    Act("change-mobile", "The mobile phone number is changed", _MINE, "signin/test_account.py"),
    Act("remove-mobile", "The mobile phone number is removed", _MINE),
    Act("want-text-codes", "Codes by text message are switched on", _MINE),
    Act("stop-text-codes", "Codes by text message are switched off", _MINE),
    Act("add-authenticator", "An authenticator app is added", _MINE, "signin/test_second_proof.py"),
    Act("remove-authenticator", "The authenticator app is removed", _MINE, "signin/test_second_proof.py"),
    Act("add-passkey", "A passkey is added", _MINE, "signin/test_passkeys.py"),
    Act("rename-passkey", "A passkey gets another name"),
    Act("remove-passkey", "A passkey is removed", _MINE, "signin/test_passkeys.py"),
    Act("renew-recovery-codes", "New recovery codes are made", _MINE),
    Act("end-session", "One session is ended"),
    Act("forget-device", "A device is remembered no more"),
    Act("sign-out-everywhere", "Every session is ended", _MINE),
    Act("make-calendar-link", "An address for a calendar is made", _MINE),
    Act("stop-calendar-link", "The address for a calendar is stopped"),
    Act("disconnect-app", "Somebody removes an app that they connected", (), "portal/test_tasks.py"),
    Act("add-organisation", "An administrator adds an organisation"),
    Act("register-app", "A developer registers an app", (), _APPS),
    Act("change-app", "An app is changed"),
    Act("new-app-secret", "A new secret of an app is made", _MINE),
    Act("remove-app", "An app is removed"),
    Act("approve-app", "An administrator approves an app", (("app-approved", "the developer"),), _APPS),
    Act("refuse-app", "An app is refused", (("app-refused", "the developer"),)),
    Act("suspend-app", "An app is suspended", (("app-suspended", "the developer"),), _APPS),
    Act("resume-app", "An app is let in again", (("app-resumed", "the developer"),), _APPS),
    Act("limit-app", "An app is limited"),
    Act("decide-app", "A program decides about an app", (("app-approved", "the developer"),), _APPS_API),
    Act("list-apps", "A program lists apps"),
    Act("read-app", "A program reads an app"),
    Act("list-own-apps", "A developer's program lists apps"),
    Act("read-own-app", "A developer's program reads an app"),
    Act("list-clients", "A program lists clients"),
    Act("register-client", "A program registers a client", (), "admin/test_clients.py"),
    Act("read-client", "A program reads a client"),
    Act("deactivate-client", "A program deactivates a client", (), "admin/test_clients.py"),
    Act("list-accounts", "A program lists accounts"),
    Act("read-status", "A program reads the state of the server"),
    Act("list-invitations", "A program lists invitations"),
    Act("read-invitation", "A program reads an invitation"),
    Act("read-invitations-file", "A program reads how far a file is"),
    Act("list-account-requests", "A program lists requests for an account"),
    Act("list-contact-messages", "A program lists messages to the service desk"),
    Act("list-person-cases", "A program lists joined records and deaths"),
    Act("list-teams", "A program lists care teams"),
    Act("read-team", "A program reads a care team"),
    Act("list-professionals", "A program lists professionals"),
    Act("list-invited-professionals", "A program lists invited professionals", (), _DESK_API),
    Act("list-account-resets", "A program lists requests to let somebody in again", (), _HELPING_API),
    Act("list-sign-in-problems", "A program lists sign-ins that could not be linked", (), _HELPING_API),
    Act("load-resources", "An operator loads resources from files", (), "cli/test_data.py"),
)  # fmt: skip

OTHERWISE: Final = (
    ("invitation-reminder", "who was invited a week ago and has no account", "portal/test_organisation.py"),
    ("invitation-locked", "the coordinator, after five wrong tries", "signin/test_registration.py"),
    ("confirm-email", "who has registered", "signin/test_registration.py"),
    ("password-changed", "who has chosen a new one with the link", "signin/test_recovery.py"),
    ("second-proof-failed", "whose password somebody knows", "signin/test_second_proof.py"),
    ("email-changed", "the old address, when the new one is confirmed", "signin/test_account.py"),
    ("reset-done", "the old address, when a reset is finished", "signin/test_resets.py"),
    ("account-ready", "whose account is open now, by a link, NHS login or a hospital's system",
     "signin/test_nhs_login.py"),
    ("login-conflict", "the service desk, of a sign-in that it has to look at", "signin/test_nhs_login.py"),
    ("access-log", "the patient, of an emergency access", "stories/test_tour.py"),
    ("shared-record", "family and carers who wish it, of an emergency access", "portal/test_emergency.py"),
    ("age-soon", "parent and child, before the age at which sharing ends", "identity/test_ages.py"),
    ("age-reached", "parent and child, on that day", "identity/test_ages.py"),
    ("record-news", "who may see that something is new in a record and did not say no, once a day at most",
     "identity/test_news.py"),
    (NEWS, "whom a share, an answer of the privacy officer or of a hospital concerns",
     "portal/test_carers.py"),
)  # fmt: skip
"""Messages that follow from a sign-in, from the clock, or from what is on the patient's own access log."""


def document() -> str:
    """Return docs/messages.md."""
    subjects = {notice.kind: (notice.value[2] or "(text message)", notice.channel) for notice in Notice}
    lines = [
        "# Acts and messages",
        "",
        "Written by `python -m tests.portal.acts` from the table that the tests hold; change that.",
        "",
        "Each act about people and accounts has one AuditEvent in its transaction, and the messages are queued in it.",
        "No message says anything of a health record, nor of what it is about.",
        "",
        "## Acts",
        "",
        "| AuditEvent | Act | Who is told |",
        "|---|---|---|",
        *(f"| `{act.code}` | {act.what} | {_told(act)} |" for act in ACTS),
        "",
        "## Messages",
        "",
        "| Message | Subject | Who gets it |",
        "|---|---|---|",
        *(f"| `{kind}` | {subject} | {_who(kind)} |" for kind, (subject, _) in subjects.items()),
        "",
    ]
    return "\n".join(lines)


def _told(act: Act) -> str:
    return "; ".join(f"{who} (`{kind}`)" for kind, who in act.told) or "nobody"


def _who(kind: str) -> str:
    named = [who for act in ACTS for each, who in act.told if each == kind]
    named += [who for each, who, _ in OTHERWISE if each == kind]
    return "; ".join(dict.fromkeys(named))


if __name__ == "__main__":
    TARGET.write_text(document(), "utf-8")
