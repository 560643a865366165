"""What is shared of a joined record: no more with anybody than of each of the two records before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.access.consent import is_privacy
from fhir_server.access.visibility import Gate
from fhir_server.interactions import writing
from fhir_server.interactions.job import Job
from fhir_server.search import run
from fhir_server.spec import json
from fhir_server.store import resources

_MOST = 1_000
Json = dict[str, Any]


def narrow(job: Job, survivor: str, former: Iterable[Mapping[str, Any]], moved: set[str]) -> None:
    """Reduce the Consents of the record that stays to what the duplicate's said of the same grantees.

    A pair of plain permits is reduced to the kinds of information that both name; where either has more to say (an
    exception, a time, a code), the Consent ends: less is seen, never more. Whom the duplicate's said nothing of keeps
    what they have.

    Args:
        job: Of the service itself.
        survivor: Logical id of the Patient that stays.
        former: Consents of the duplicate as they were.
        moved: `Consent/…` that came from the duplicate and are not looked at.
    """
    said = [consent for consent in former if _is_permit(consent)]
    if not said:
        return
    job.pending.flush(job.session)
    found = run.find(
        job.session,
        Gate(0, everything=True),
        "Consent",
        (("patient", f"Patient/{survivor}"), ("status", "active")),
        definitions=job.definitions,
        fhir_base=job.context.fhir_base,
        limit=_MOST,
    )
    for each in found:
        old = resources.current(job.session, "Consent", each.id)
        if f"Consent/{each.id}" in moved or old is None or old.content is None:
            continue
        consent: Json = json.decode(old.content, len(old.content) + 1)
        others = [other for other in said if _actors(other) & _actors(consent)]
        if _is_permit(consent) and others:
            writing.replace_version(job, old, _reduced(consent, others))


def _reduced(consent: Json, others: list[Mapping[str, Any]]) -> Json:
    if not all(_is_plain(each) and _actors(each) == _actors(consent) for each in (consent, *others)):
        return {**consent, "status": "inactive"}
    labels = [
        label
        for label in consent["provision"]["securityLabel"]
        if all(_code(label) in {_code(each) for each in other["provision"]["securityLabel"]} for other in others)
    ]
    if not labels:
        return {**consent, "status": "inactive"}
    return {**consent, "provision": {**consent["provision"], "securityLabel": labels}}


def _is_permit(consent: Mapping[str, Any]) -> bool:
    return (
        consent.get("status") == "active"
        and is_privacy(consent)
        and consent.get("provision", {}).get("type") == "permit"
    )


def _is_plain(consent: Mapping[str, Any]) -> bool:
    """Return whether a permit says who, why, what to do and which kinds of information, and nothing else."""
    provision = consent["provision"]
    period = provision.get("period", {})
    known = {"type", "period", "actor", "purpose", "action", "securityLabel"}
    return set(provision) <= known and "end" not in period and bool(provision.get("securityLabel"))


def _actors(consent: Mapping[str, Any]) -> frozenset[str]:
    found = consent.get("provision", {}).get("actor", ())
    return frozenset(str(actor.get("reference", {}).get("reference", "")) for actor in found)


def _code(label: Mapping[str, Any]) -> tuple[Any, Any]:
    return label.get("system"), label.get("code")
