"""One message on its way, and the receiver's word that it never will arrive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class UndeliverableError(Exception):
    """The receiver refused this message for good; trying again is pointless."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way.

    Attributes:
        id: The same for every try.
        to: E-mail address or mobile number.
        subject: "" for a text message.
        is_repeat: Whether an earlier try may have arrived, though its answer did not.
    """

    id: str
    to: str
    subject: str
    body: str
    kind: str
    sent_at: datetime
    is_repeat: bool = False
