"""A signed checkpoint at every emergency access (access.md §7): soon after its start is committed, never within it.

So a failure to sign leaves the access as it is; the worker tries again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from fhir_server.interactions.model import Context
from fhir_server.store import emergencies
from fhir_server.store.checkpoints import Signer, sign_all
from fhir_server.store.instants import to_us

_LOOKS_BACK: Final = timedelta(minutes=10)
"""What is older was sealed by the checkpoint of every minute, or its failure is in the log of the worker."""


def sign_starts(context: Context, signer: Signer) -> int:
    """Sign the log where it has a start that no checkpoint covers yet; return 1 then, 0 otherwise."""
    with context.store.read() as session:
        if not emergencies.start_is_unsealed(session, to_us(context.now() - _LOOKS_BACK)):
            return 0
    sign_all(context.store, signer, context.now())
    return 1
