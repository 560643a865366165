"""What every page says about the end of the session: a note for all, a warning in time where scripts run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from fhir_server.spec.outcome import FhirError
from fhir_server.web.extension import context
from fhir_server.web.language import say
from fhir_server.web.session import WARN_BEFORE, signed_in

_LONDON = ZoneInfo("Europe/London")
_SECOND = timedelta(seconds=1)
_NOON = 12


@dataclass(frozen=True, slots=True)
class SessionNote:
    """The end of the session.

    Attributes:
        ends: Time of day, such as `2:05pm`.
        left_s: Seconds until then.
        warn_s: So many seconds before it a warning is due.
        is_final: Whether only a new proof can put it off.
        csrf_token: Value of the form field of that name.
    """

    ends: str
    left_s: int
    warn_s: int
    is_final: bool
    csrf_token: str


def session_note() -> SessionNote | None:
    """Return what a page says about the end of the session, None where nobody is signed in."""
    try:
        person = signed_in()
    except FhirError:
        # The page may be about that very failure.
        person = None
    if person is None:
        return None
    return SessionNote(
        ends=clock_time(person.ends_at),
        left_s=(person.ends_at - context().now()) // _SECOND,
        warn_s=WARN_BEFORE // _SECOND,
        is_final=person.is_final,
        csrf_token=person.csrf_token,
    )


def clock_time(at: datetime) -> str:
    """Return a time of day in the United Kingdom as the NHS writes it: `9am`, `2:05pm`."""
    local = at.astimezone(_LONDON)
    minutes = f":{local.minute:02d}" if local.minute else ""
    return f"{(local.hour - 1) % _NOON + 1}{minutes}{say('am' if local.hour < _NOON else 'pm')}"
