"""Rows that share another's verdict: a Binary that of its security context, a Provenance that of all its targets.

INVARIANT: whatever changes whose a row is or how sensitive, or brings a row about, changes what points at it in the
same transaction, and what points at that: a Provenance may be there before its target, and be of a file of a letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_server.access import labels
from fhir_server.access.ownership import linked_keys, own_confidentiality, own_label, patients_of
from fhir_server.interactions.job import Job
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import belonging, resources
from fhir_server.store.resources import NewVersion, Version

_LINKED: Final = frozenset({"Binary", "Provenance"})
_STEPS_LIMIT: Final = 8
"""Provenances may be of one another in a circle, which has no end."""


def settle(job: Job) -> None:
    """Give rows that share another's verdict its patients and label, now that all rows are there.

    Raises:
        FhirError: FORBIDDEN (403) for a Binary or Provenance that a person ties to what that person does not see.
    """
    written = job.pending.written
    linked = [new for new in written.values() if new.type in _LINKED and new.content is not None]
    for new in linked:
        body = json.decode(new.content or b"", len(new.content or b"") + 1)
        _check(job, body)
        _take_over(job, new, body)
    first = (new.key for new in written.values() if new.version == 1)
    leading = list(dict.fromkeys((*first, *(new.key for new in linked), *job.pending.moved)))
    for _ in range(_STEPS_LIMIT):
        leading = [key for each in belonging.leading(job.session, leading) for key in _lead(job, each)]


def _check(job: Job, body: Mapping[str, Any]) -> None:
    """Let people tie a Binary or Provenance to what they see only: else the answer would tell hidden from absent."""
    if not job.decision.writable.own_only:
        return
    if resources.outside(job.session, job.decision.readable, linked_keys(body, job.context.fhir_base)):
        raise FhirError(Kind.FORBIDDEN, "The caller may not write this resource for this patient")


def _take_over(job: Job, new: NewVersion, body: Mapping[str, Any]) -> None:
    linked = linked_keys(body, job.context.fhir_base)
    if not linked:
        return
    patients, label, level = belonging.owners(job.session, linked)
    belonging.take_over(job.session, new, patients, (label or new.label) | (new.label & labels.WITHHELD), level)
    belonging.hold_back(job.session, linked, key=new.key)


def _lead(job: Job, key: int) -> Sequence[int]:
    """Let what points at a row go with it; return the keys of what went."""
    files = belonging.adopt(job.session, key, *belonging.owners(job.session, (key,)))
    belonging.hold_back(job.session, (key,), context=key)
    found = (resources.current(job.session, "Provenance", each) for each in belonging.provenances_of(job.session, key))
    return [*files, *(_follow(job, each) for each in found if each is not None)]


def _follow(job: Job, stored: Version) -> int:
    content = stored.content or b""
    body = json.decode(content, len(content) + 1)
    own = NewVersion(
        stored.key, stored.type, stored.id, stored.version, stored.updated_at, stored.content,
        patients_of(job.definitions, body, job.context.fhir_base), own_label(body, None),
        own_confidentiality(body), stored.author,
    )  # fmt: skip
    _take_over(job, own, body)
    return stored.key
