"""Let nothing found take as long as nothing there: such answers leave at whole ticks (access.md §8, timing).

Deciding that a row is hidden takes some microseconds more than finding none, and whoever asks often enough could tell.
Waiting for a tick costs no CPU; what is left is a chance of a few in a thousand that the two fall into different ones.
"""

from __future__ import annotations

import time
from typing import Final

from fhir_server.access.principal import Principal
from fhir_server.access.tokens import PORTAL
from fhir_server.interactions.model import Code, Trace
from fhir_server.spec.outcome import FhirError, Kind

TICK_S: Final = 0.005
_SILENT: Final = frozenset({Code.SEARCH, Code.SEARCH_SYSTEM, Code.DELETE})
"""Interactions that do not fail where nothing is found."""


def now() -> float:
    """Return the instant that `wait` counts from, in seconds."""
    return time.monotonic()


def refused(started: float, error: FhirError) -> None:
    """Wait for the next tick before a refusal that hidden and absent have in common."""
    if error.kind is Kind.NOT_FOUND:
        _wait(started)


def answered(started: float, code: Code, trace: Trace, principal: Principal) -> None:
    """Wait for the next tick before an answer to a search or deletion that found nothing.

    A page of the portal asks a dozen fixed questions about a record that the person has opened: it need not wait.
    """
    if code in _SILENT and not trace.entities and principal.client_id != PORTAL:
        _wait(started)


def _wait(started: float) -> None:
    time.sleep(-(now() - started) % TICK_S)
