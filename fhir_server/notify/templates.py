"""What each message says, in plain text.

A literal registry: adding a message is adding a row, and its text in the other languages to their catalogues
(`fhir_server/language`). Placeholders: `{brand}`, `{base_url}` and the row's own details.
"""

from __future__ import annotations

from enum import Enum

EMAIL = "email"
TEXT = "text"
ENDING = """

If you did not expect this message, you can ignore it. Never give a code or a password to anybody who calls or writes.

{brand}
{base_url}
"""


class Notice(Enum):
    """Every message the server sends: (kind, channel, subject, body)."""

    INVITATION = (
        "invitation",
        EMAIL,
        "Your invitation to {brand}",
        "Hello {given}\n\nYou are invited to open your account with {brand}.\n\n"
        "Use this link within 14 days. It works for you only:\n\n{base_url}/register/{token}\n\n"
        "You also need the code that we sent to your mobile phone, and your date of birth." + ENDING,
    )
    INVITATION_CODE = (
        "invitation-code",
        TEXT,
        "",
        "Your {brand} code is {code}. Use it with the link in our e-mail. Do not share it with anybody.",
    )
    INVITATION_REMINDER = (
        "invitation-reminder",
        EMAIL,
        "Your invitation to {brand} ends on {last_day}",
        "Hello {given}\n\nYou are invited to open your account with {brand}, and have not done it yet.\n\n"
        "Use this link until {last_day}. It works for you only:\n\n{base_url}/register/{token}\n\n"
        "You also need the code that we sent to your mobile phone, and your date of birth. If you have lost the code, "
        "ask the people who invited you to send the invitation again." + ENDING,
    )
    INVITATION_LETTER_CODE = (
        "invitation-letter-code",
        TEXT,
        "",
        "Your {brand} code is {code}. Keep it until our letter comes. Do not share it with anybody.",
    )
    INVITATIONS_DONE = (
        "invitations-done",
        EMAIL,
        "Your file of invitations is done",
        "The file of invitations that you uploaded is done. You can see here what came of each line:\n\n"
        "{base_url}/organisation/files/{batch}" + ENDING,
    )
    ACCOUNT_REQUESTED = (
        "account-requested",
        EMAIL,
        "We have your message",
        "Thank you. Our service desk has your message and will answer within 5 working days." + ENDING,
    )
    ACCOUNT_SET_UP = (
        "account-set-up",
        EMAIL,
        "Set up your account",
        "Hello {name}\n\nOur service desk has agreed to your request. Use this link within 7 days to set up your "
        "{brand} account. It works once:\n\n{base_url}/set-up/{token}" + ENDING,
    )
    ACCOUNT_REFUSED = (
        "account-refused",
        EMAIL,
        "About your request",
        "We could not agree to your request for a {brand} account. If you think that this is wrong, "
        "contact us: {base_url}/contact" + ENDING,
    )
    INVITATION_LOCKED = (
        "invitation-locked",
        EMAIL,
        "An invitation is locked",
        "Somebody entered wrong details five times for an invitation that you sent (reference {reference}).\n\n"
        "It is locked for 15 minutes. If the person needs help, check their details with them. "
        "You can see the invitation here:\n\n{base_url}/organisation" + ENDING,
    )
    CARER_INVITATION = (
        "carer-invitation",
        EMAIL,
        "Your invitation to {brand}",
        "Hello {name}\n\nSomebody you know invites you to see a record that they share with you on {brand}.\n\n"
        "Use this link within 14 days. It works for you only:\n\n{base_url}/carer/{token}\n\n"
        "You also need the code that we sent to your mobile phone." + ENDING,
    )
    PARENT_INVITATION = (
        "parent-invitation",
        EMAIL,
        "Your invitation to {brand}",
        "Hello {name}\n\nYou are invited to see a record on {brand}.\n\n"
        "Use this link within 14 days. It works for you only:\n\n{base_url}/carer/{token}\n\n"
        "You also need the code that we sent to your mobile phone." + ENDING,
    )
    CARER_CODE = (
        "carer-code",
        TEXT,
        "",
        "Your {brand} code is {code}. Use it with the link in our e-mail. Do not share it with anybody.",
    )
    CONFIRM_EMAIL = (
        "confirm-email",
        EMAIL,
        "Confirm your e-mail address",
        "Please confirm your e-mail address with this link. It works for 14 days:\n\n"
        "{base_url}/confirm-email/{token}\n\n"
        "Then sign in with your e-mail address and password." + ENDING,
    )
    RESET_PASSWORD = (
        "reset-password",
        EMAIL,
        "Choose a new password",
        "Somebody asked for a new password for this e-mail address. To choose one, use this link within 1 hour:\n\n"
        "{base_url}/reset-password/{token}\n\nYou also need a second proof, such as a code from your phone." + ENDING,
    )
    PASSWORD_CHANGED = (
        "password-changed",
        EMAIL,
        "Your password was changed",
        "The password of your {brand} account was changed just now. Every device was signed out.\n\n"
        "If this was not you, contact us at once: {base_url}/contact" + ENDING,
    )
    PROOF_CODE = (
        "proof-code",
        TEXT,
        "",
        "{code} is your {brand} code. It works for 10 minutes. Do not share it with anybody.",
    )
    SECURITY_CHANGED = (
        "security-changed",
        EMAIL,
        "A change to your account",
        "{what}\n\nIf this was you, there is nothing to do. If it was not, sign in and change your password, and "
        "contact us at once: {base_url}/contact" + ENDING,
    )
    SECOND_PROOF_FAILED = (
        "second-proof-failed",
        EMAIL,
        "Somebody could not finish signing in",
        "Somebody entered the password of your {brand} account, and then five wrong codes. They did not get in.\n\n"
        "If this was not you, somebody knows your password. Choose a new one: {base_url}/forgotten-password" + ENDING,
    )
    CONFIRM_NEW_EMAIL = (
        "confirm-new-email",
        EMAIL,
        "Confirm your new e-mail address",
        "Please confirm with this link that you want to use this e-mail address for your {brand} account. "
        "It works for 24 hours:\n\n{base_url}/confirm-new-email/{token}" + ENDING,
    )
    EMAIL_CHANGE_ASKED = (
        "email-change-asked",
        EMAIL,
        "Your e-mail address is about to change",
        "Somebody who is signed in to your {brand} account asked to change its e-mail address. This address stays in "
        "use until the new one is confirmed.\n\nIf this was not you, change your password now and contact us: "
        "{base_url}/contact" + ENDING,
    )
    EMAIL_CHANGED = (
        "email-changed",
        EMAIL,
        "Your e-mail address was changed",
        "Your {brand} account has another e-mail address now. We send nothing to this one any more.\n\n"
        "If this was not you, contact us at once: {base_url}/contact" + ENDING,
    )
    RESET_ASKED = (
        "reset-asked",
        EMAIL,
        "Our service desk was asked to help you sign in",
        "Somebody asked our service desk to open your {brand} account again. A second person has to agree.\n\n"
        "If this was not you, contact us at once: {base_url}/contact" + ENDING,
    )
    RESET_APPROVED = (
        "reset-approved",
        EMAIL,
        "Set up your sign-in again",
        "Our service desk checked who you are. Use this link within 24 hours to choose a new password:\n\n"
        "{base_url}/account-reset/{token}\n\nYou also need the code that the service desk told you." + ENDING,
    )
    RESET_DONE = (
        "reset-done",
        EMAIL,
        "Your sign-in was set up again",
        "The password of your {brand} account was changed with the help of our service desk. Every device was signed "
        "out, and authenticator app, passkeys and recovery codes were removed.\n\n"
        "If this was not you, contact us at once: {base_url}/contact" + ENDING,
    )
    ACCOUNT_READY = (
        "account-ready",
        EMAIL,
        "Your account is ready",
        "Your {brand} account is ready. Sign in here:\n\n{base_url}/sign-in" + ENDING,
    )
    ACCOUNT_JOINED = (
        "account-joined",
        EMAIL,
        "You have one account now",
        "You had two accounts with {brand}. They were joined, and the one with this e-mail address is closed. Sign in "
        "with your other one.\n\nIf you think that this is wrong, contact us: {base_url}/contact" + ENDING,
    )
    ACCOUNT_UNUSED = (
        "account-unused",
        EMAIL,
        "Do you still use your account?",
        "Nobody has signed in to your {brand} account for a long time. To keep it, sign in until {last_day}:\n\n"
        "{base_url}/sign-in\n\nAfter that it is closed. Nothing else is deleted." + ENDING,
    )
    ACCOUNT_CLOSED = (
        "account-closed",
        EMAIL,
        "Your account is closed",
        "Your {brand} account is closed, as nobody has signed in to it for a long time. Nothing else was deleted.\n\n"
        "To use it again, contact us: {base_url}/contact" + ENDING,
    )
    PROFESSIONAL_INVITED = (
        "professional-invited",
        EMAIL,
        "Set up your account",
        "Hello {name}\n\n{organization} invites you to {brand}. Use this link within 7 days to set up your account, or "
        "to say yes with the one that you have. It works once:\n\n{base_url}/set-up/{token}" + ENDING,
    )
    LOGIN_LINKED = (
        "login-linked",
        EMAIL,
        "A new way to sign in to your account",
        "Your {brand} account can now be opened with {provider}.\n\n"
        "If this was not you, contact us at once: {base_url}/contact" + ENDING,
    )
    LOGIN_UNLINKED = (
        "login-unlinked",
        EMAIL,
        "A way to sign in was removed",
        "Your {brand} account can no longer be opened with {provider}.\n\n"
        "If this was not you, contact us at once: {base_url}/contact" + ENDING,
    )
    LOGIN_CONFLICT = (
        "login-conflict",
        EMAIL,
        "A sign-in needs your help",
        "Somebody signed in with {provider}, but could not be linked to an account (reference {reference}). "
        "You can see why here:\n\n{base_url}/service-desk/sign-in-problems" + ENDING,
    )
    ACCESS_LOG = (
        "access-log",
        EMAIL,
        "A message from {brand}",
        "There is a new entry in your access log that you may want to see. Sign in to read it:\n\n{base_url}/access-log"
        + ENDING,
    )
    SHARED_RECORD = (
        "shared-record",
        EMAIL,
        "A message from {brand}",
        "There is a new entry in the access log of a record that is shared with you. You asked to be told of it. "
        "Please ask the person whose record it is.\n\n"
        "You can choose here not to get these messages: {base_url}/account/messages" + ENDING,
    )
    APP_APPROVED = (
        "app-approved",
        EMAIL,
        "Your app may use {brand}",
        "Our administrator has approved your app (client id {client_id}). People can connect it now.\n\n{reason}"
        + ENDING,
    )
    APP_REFUSED = (
        "app-refused",
        EMAIL,
        "About your app",
        "Our administrator could not approve your app (client id {client_id}).\n\n{reason}\n\n"
        "You can change its registration; it is then looked at again." + ENDING,
    )
    APP_SUSPENDED = (
        "app-suspended",
        EMAIL,
        "Your app is suspended",
        "Our administrator has suspended your app (client id {client_id}). Every permission that people gave it has "
        "ended.\n\n{reason}\n\nIf you think that this is wrong, contact us: {base_url}/contact" + ENDING,
    )
    APP_RESUMED = (
        "app-resumed",
        EMAIL,
        "Your app may be used again",
        "Our administrator has let your app in again (client id {client_id}). People have to connect it anew." + ENDING,
    )
    AGE_SOON = (
        "age-soon",
        EMAIL,
        "Something changes soon",
        "Somebody who shares with a parent on {brand} soon reaches the age from which they decide alone. What they "
        "share with their parent now ends on their birthday by itself; from then on they can share anew.\n\n"
        "You get this message because it concerns you. Sign in to see more:\n\n{base_url}/" + ENDING,
    )
    AGE_REACHED = (
        "age-reached",
        EMAIL,
        "Something has changed today",
        "Somebody who shared with a parent on {brand} has reached the age from which they decide alone. What they "
        "shared with their parent until then has ended. They can share anew.\n\n"
        "You get this message because it concerns you. Sign in to see more:\n\n{base_url}/" + ENDING,
    )
    NEWS = (
        "news",
        EMAIL,
        "A message from {brand}",
        "There is something new for you. Sign in to see it:\n\n{base_url}/" + ENDING,
    )

    RECORD_NEWS = (
        "record-news",
        EMAIL,
        "A message from {brand}",
        "There is something new for you. Sign in to see it:\n\n{base_url}/\n\n"
        "We send this at most once a day. You can choose here not to get these messages: "
        "{base_url}/account/messages" + ENDING,
    )

    @property
    def kind(self) -> str:
        """Return the name stored with a message and shown by the file transport."""
        return self.value[0]

    @property
    def channel(self) -> str:
        """Return `email` or `text`."""
        return self.value[1]
