"""What a department's letters are built from: openings, findings and plans that go together in any combination.

Comes in: nothing. Goes out: the shape, and the openings most clinics share. Must not know: people, PDF, FHIR.
`{given}` is the patient's given name, `{when}` a spoken date, `{months}` a number of months.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LetterText:
    """Building blocks of one department's letters."""

    title: str
    openings: tuple[str, ...]
    findings: tuple[str, ...]
    plans: tuple[str, ...]


SEEN = (
    (
        "Thank you for coming to the clinic on {when}. It was good to meet you, {given}. This letter is a record of"
        " what we talked about, and a copy goes to your GP practice."
    ),
    (
        "I saw you for a follow-up on {when}. You told me how things have been since we last met, and we went "
        "through your recent test results together."
    ),
    (
        "We spoke by video on {when}. I am writing to you directly, {given}, so that you have the same information "
        "as your GP."
    ),
)
