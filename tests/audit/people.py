"""Who asks for the access log over HTTP: those who may read it and those who may not."""

from pathlib import Path

from fhir_server.store import checkpoints
from fhir_server.store.checkpoints import Checkpoint, load_signer
from tests.consent.world import World, staff_token
from tests.server import Server

STAFF = ("coordinator", "service-desk", "admin")
STRANGERS = ("gp", "consultant", "carer", "practice", "trust", *STAFF)
"""Everybody who reads nobody's log: professionals with and without a Consent, a carer, organisations, other staff."""


def token_of(world: World, who: str) -> str:
    """Return the token of one of the world's people or of staff."""
    token: str = staff_token(world, who) if who in {*STAFF, "privacy-officer"} else getattr(world, who)
    return token


def seal(server: Server, folder: Path) -> Checkpoint:
    """Sign the log as the worker does every minute."""
    checkpoint = checkpoints.sign_all(server.store, load_signer(folder / "keys", "localhost/audit"), server.clock())
    assert checkpoint is not None
    return checkpoint
