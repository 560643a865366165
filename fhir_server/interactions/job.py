"""One interaction under way: its transaction, caller, decision and what is still to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.access.decide import Decision
from fhir_server.access.principal import Principal
from fhir_server.access.visibility import Gate
from fhir_server.interactions.model import Context, Trace
from fhir_server.spec.definitions import Definitions
from fhir_server.store import resources
from fhir_server.store.database import Session
from fhir_server.store.resources import NewVersion, Version


@dataclass(slots=True)
class Pending:
    """Writes of one transaction: creates wait here to be inserted together; all are checked at the end."""

    creates: list[NewVersion] = field(default_factory=list)
    written: dict[int, NewVersion] = field(default_factory=dict)
    gates: dict[int, Gate] = field(default_factory=dict)
    """What each written row has to pass: entries of one Bundle may need different rights."""
    moved: list[int] = field(default_factory=list)
    """Keys of rows that changed their patients, label or level."""
    lives: dict[str, bool] = field(default_factory=dict)
    """People whose Patient was changed and who may have accounts, by logical id: whether they are recorded as dead."""
    communications: list[tuple[Mapping[str, Any], NewVersion]] = field(default_factory=list)
    """Communications that were written, as they were sent, with their version."""
    withdrawn: list[Version] = field(default_factory=list)
    """Communications that were deleted, as they were."""
    bookings: list[tuple[Mapping[str, Any], NewVersion]] = field(default_factory=list)
    """Appointments that were changed."""
    unbooked: list[Version] = field(default_factory=list)
    """Appointments that were deleted, as they were."""
    authors: dict[int, Mapping[str, Any] | None] = field(default_factory=dict)
    """Organizations that write, by key, read once per transaction for the label by source."""

    def add(self, new: NewVersion, gate: Gate) -> None:
        """Queue a first version, which has to pass this gate in the end."""
        self.creates.append(new)
        self.replaced(new, gate)

    def replaced(self, new: NewVersion, gate: Gate) -> None:
        """Note a version that is stored already and has to pass this gate in the end."""
        self.written[new.key] = new
        self.gates[new.key] = gate

    def flush(self, session: Session) -> None:
        """Insert what is queued, so that searches in this transaction find it."""
        creates, self.creates = self.creates, []
        if len(creates) == 1:
            resources.put(session, creates[0])
        elif creates:
            resources.put_new(session, creates)


@dataclass(frozen=True, slots=True)
class Job:
    """What a verb needs to run."""

    session: Session
    principal: Principal
    context: Context
    decision: Decision
    trace: Trace
    pending: Pending

    @property
    def definitions(self) -> Definitions:
        """Return the R4 definitions."""
        return self.context.definitions
