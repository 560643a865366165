"""Let what must not be told apart leave at the same moment: answers wait for a whole tick.

Looking up an account, queueing its message and writing its AuditEvent take some milliseconds longer than finding none.
Waiting costs no CPU.
"""

from __future__ import annotations

import time
from typing import Final

TICK_S: Final = 0.1
"""Much longer than the difference, so that both nearly always fall into the same one."""


def started() -> float:
    """Return the instant that `wait` counts from, in seconds."""
    return time.monotonic()


def wait(since: float) -> None:
    """Wait for the next whole tick."""
    time.sleep(-(time.monotonic() - since) % TICK_S)
