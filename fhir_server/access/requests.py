"""What patients and family may say in an Appointment of theirs: they ask for one, or take the request back.

Whoever gives the care books it, in an Appointment of their own (access.md, who may write what).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.access.principal import Caller, Principal
from fhir_server.spec.outcome import FhirError, Kind

_FAMILY = frozenset({Caller.PATIENT, Caller.RELATED})
_FIRST = ("proposed",)
_LATER = ("proposed", "cancelled")
_UNANSWERED = "needs-action"


def check(principal: Principal, appointment: Mapping[str, Any], *, first: bool) -> None:
    """Refuse what only somebody else may say of an Appointment: that it is booked, or that they agree.

    Args:
        principal: Whoever writes it.
        appointment: The resource, valid R4, which is the writer's own.
        first: It is new, not the next version of a request.

    Raises:
        FhirError: FORBIDDEN (403) naming the element and what is allowed.
    """
    if principal.caller not in _FAMILY:
        return
    allowed = _FIRST if first else _LATER
    if appointment.get("status") not in allowed:
        raise _refusal("Appointment.status", f"must be {' or '.join(allowed)}: a patient asks for an appointment")
    for index, participant in enumerate(appointment.get("participant", ())):
        who = str(participant.get("actor", {}).get("reference", ""))
        own = who.startswith("Patient/") or who == principal.subject
        if participant.get("status") != _UNANSWERED and not own:
            where = f"Appointment.participant[{index}].status"
            raise _refusal(where, f"must be {_UNANSWERED} for everybody but the patient and whoever asks")


def _refusal(element: str, text: str) -> FhirError:
    return FhirError(Kind.FORBIDDEN, f"{element} {text}", (element,))
