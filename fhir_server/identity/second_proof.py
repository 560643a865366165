"""What is asked beside the password: who needs it, which ways an account has, and one proof from start to end.

A proof under way is a row named by a random token in the browser. It takes five answers in fifteen minutes; sent codes
work for ten. Limits are rows too, so they hold across workers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from fhir_server.identity import authenticator_app, codes, limits, recovery_codes
from fhir_server.identity.accounts import Role
from fhir_server.identity.vault import Vault
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.store import accounts, authenticators, passkeys, pending_proofs
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store
from fhir_server.store.pending_proofs import PendingProof

LASTS = timedelta(minutes=15)
CODE_LASTS = timedelta(minutes=10)
TRIES = 5
_MOST_TEXTS = 3
_OWN_RECORD = frozenset({Role.PATIENT, Role.CARER})


class Demand(StrEnum):
    """Of whom a second proof is demanded: those who set one up, staff as well, or everybody."""

    WHEN_SET_UP = "when-set-up"
    STAFF = "staff"
    EVERYBODY = "everybody"


class Way(StrEnum):
    """One way to give a second proof, the best first."""

    PASSKEY = "passkey"
    AUTHENTICATOR = "authenticator"
    TEXT = "text"
    RECOVERY = "recovery"


class Purpose(StrEnum):
    """What a proof under way is for; a token of one purpose is worth nothing for another."""

    SIGN_IN = "sign-in"
    STEP_UP = "step-up"
    RECOVER = "recover"
    MOBILE = "mobile"


class Result(Enum):
    """How an answer was taken; OVER covers everything that sends its person back to the start."""

    PROVED = "proved"
    WRONG = "wrong"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Need:
    """What a sign-in of an account needs beside the password.

    Attributes:
        demanded: Whether anything is.
        ways: What the account has, the best first; demanded but empty means that one must be set up now.
        may_remember: Whether a device may be remembered, so that it is not asked there for a while.
    """

    demanded: bool
    ways: tuple[Way, ...]
    may_remember: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of `answer`; `detail` is what the proof was about, "" unless PROVED."""

    result: Result
    detail: str = ""


def need(session: Session, account: Account, demand: Demand) -> Need:
    """Return what a sign-in of an account needs beside the password.

    What somebody set up is always asked for. Staff are never remembered: their accounts open other people's records.
    """
    is_staff = account.role not in _OWN_RECORD
    has_key = bool(passkeys.of_account(session, account.id))
    has_app = authenticators.of_account(session, account.id, confirmed=True) is not None
    is_wanted = has_key or has_app or account.text_codes_at is not None
    # A text message is the weakest way: it stands in where there is nothing better, or where its person wants it.
    has_text = bool(account.mobile) and (account.text_codes_at is not None or not (has_key or has_app))
    has_paper = recovery_codes.left(session, account.id) > 0
    has = {Way.PASSKEY: has_key, Way.AUTHENTICATOR: has_app, Way.TEXT: has_text, Way.RECOVERY: has_paper}
    demanded = is_wanted or demand is Demand.EVERYBODY or (demand is Demand.STAFF and is_staff)
    return Need(demanded, tuple(way for way in Way if has[way]), may_remember=not is_staff)


def begin(
    session: Session,
    account_id: str,
    purpose: Purpose,
    now: datetime,
    *,
    detail: str = "",
    token: str = "",
    lasts: timedelta = LASTS,
) -> str:
    """Begin a proof; return the token that names it, which only the browser may keep."""
    name = token or codes.new_token()
    hashed = codes.token_hash(name)
    pending_proofs.add(session, PendingProof(hashed, account_id, purpose.value, detail, now, now + lasts))
    return name


def under_way(session: Session, token: str, purpose: Purpose, now: datetime) -> PendingProof | None:
    """Return a proof that its person can still finish."""
    found = pending_proofs.live(session, codes.token_hash(token), purpose.value, now) if token else None
    return found if found is not None and found.failed_count < TRIES else None


def finish(session: Session, token: str, purpose: Purpose, now: datetime) -> bool:
    """Use a proof up that was given in another way; False where it is over, or another request was first."""
    found = under_way(session, token, purpose, now)
    return found is not None and pending_proofs.use(session, found.token_hash, now)


def send_text(
    store: Store,
    vault: Vault,
    token: str,
    purpose: Purpose,
    *,
    address: str,
    now: datetime,
    noted: Callable[[Session, Account], None],
) -> None:
    """Send a code to the account's phone, or to the number a proof is about; the caller answers the same in any case.

    At most three for one proof and six an hour to one number. `noted` writes the AuditEvent of a code that is sent, in
    its transaction.
    """
    with store.write() as session:
        found = under_way(session, token, purpose, now)
        account = accounts.by_id(session, found.account_id) if found else None
        if found is None or account is None:
            return
        number = found.detail if purpose is Purpose.MOBILE else account.mobile
        tries = ((limits.TEXT_CODE, number), (limits.TEXT_CODE_ADDRESS, address))
        if not number or not limits.allow(session, now, *tries):
            return
        code = codes.new_digits()
        hashed = vault.hashed(code, found.token_hash)
        if pending_proofs.send(session, found.token_hash, hashed, now + CODE_LASTS, _MOST_TEXTS):
            queue(session, Notice.PROOF_CODE, number, now, code=code)
            noted(session, account)


def answer(
    session: Session, vault: Vault, token: str, purpose: Purpose, *, way: Way, typed: str, now: datetime
) -> Answer:
    """Judge one answer; a right one uses the proof up, the fifth wrong one too, and its person is told.

    A wrong one is an answer too and no exception: its count has to be committed, with the AuditEvent of the caller.
    """
    found = under_way(session, token, purpose, now)
    account = accounts.by_id(session, found.account_id) if found else None
    if found is None or account is None or not account.active:
        return Answer(Result.OVER)
    # INVARIANT: counted before it is judged, in one transaction: guesses sent side by side wait for each other.
    count = pending_proofs.count_try(session, found.token_hash)
    try_ = (limits.SECOND_PROOF, account.id)
    if count > TRIES or not limits.allow(session, now, try_):
        return Answer(Result.OVER)
    current = pending_proofs.live(session, found.token_hash, purpose.value, now)
    if current is None:
        return Answer(Result.OVER)
    if _is_right(session, vault, current, way, typed, now):
        limits.give_back(session, try_)
        pending_proofs.use(session, current.token_hash, now)
        return Answer(Result.PROVED, current.detail)
    if count < TRIES:
        return Answer(Result.WRONG)
    if purpose is Purpose.SIGN_IN:
        queue(session, Notice.SECOND_PROOF_FAILED, account.email, now)
    return Answer(Result.OVER)


def _is_right(session: Session, vault: Vault, current: PendingProof, way: Way, typed: str, now: datetime) -> bool:
    match way:
        case Way.AUTHENTICATOR:
            return authenticator_app.verify(session, vault, current.account_id, typed, now)
        case Way.RECOVERY:
            return recovery_codes.use(session, vault, current.account_id, typed, now)
        case Way.TEXT:
            is_live = current.code_expires_at is not None and current.code_expires_at > now
            return vault.matches(current.code_hash, codes.plain_digits(typed), current.token_hash) and is_live
        case Way.PASSKEY:
            return False
