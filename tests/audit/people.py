"""Who asks for the access log over HTTP: those who may read it and those who may not."""

from pathlib import Path

from fhir_server.store import accounts, checkpoints
from fhir_server.store.accounts import Account, Secrets
from fhir_server.store.checkpoints import Checkpoint, load_signer
from tests.consent.world import TRUST, World
from tests.server import START, Server

STAFF = ("coordinator", "service-desk", "admin")
STRANGERS = ("gp", "consultant", "carer", "practice", "trust", *STAFF)
"""Everybody who reads nobody's log: professionals with and without a Consent, a carer, organisations, other staff."""


def staff(world: World, role: str) -> str:
    """Return the token of a member of staff."""
    account = Account(
        id=role, email=f"{role}@example.org", name=role, role=role, reference="", organization=TRUST,
        may_break_glass=False, active=True, created_at=START, email_confirmed_at=START,
    )  # fmt: skip
    with world.server.store.write() as session:
        accounts.add(session, account, Secrets("", ""))
    return world.server.token(f"account:{role}", account_id=role, organization=TRUST)


def token_of(world: World, who: str) -> str:
    """Return the token of one of the world's people or of staff."""
    token: str = staff(world, who) if who in {*STAFF, "privacy-officer"} else getattr(world, who)
    return token


def seal(server: Server, folder: Path) -> Checkpoint:
    """Sign the log as the worker does every minute."""
    checkpoint = checkpoints.sign_all(server.store, load_signer(folder / "keys", "localhost/audit"), server.clock())
    assert checkpoint is not None
    return checkpoint
