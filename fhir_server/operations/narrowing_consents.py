"""What is shared of a joined record: no more with anybody than of each of the two records before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.access.consent import permits
from fhir_server.interactions import past_the_gate, writing
from fhir_server.interactions.job import Job
from fhir_server.spec.values import date_interval
from fhir_server.store.instants import to_us

_MOST = 1_000
_ANYBODY = ""
Json = dict[str, Any]


def narrow(job: Job, survivor: str, former: Iterable[Mapping[str, Any]], moved: set[str]) -> None:
    """Reduce the Consents of the record that stays to what the duplicate's said of the same grantees.

    A pair of plain permits is reduced to the kinds of information that both name; where either has more to say (an
    exception, a time, a code) or another purpose or action, the Consent ends: less is seen, never more. Whom the
    duplicate's said nothing of keeps what they have.

    Args:
        job: Of the service itself.
        survivor: Logical id of the Patient that stays.
        former: Consents of the duplicate as they were.
        moved: `Consent/…` that came from the duplicate and are not looked at.
    """
    said = [consent for consent in former if permits(consent)]
    if not said:
        return
    job.pending.flush(job.session)
    about = (("patient", f"Patient/{survivor}"), ("status", "active"))
    for old, consent in past_the_gate.current(job, "Consent", about, _MOST):
        if f"Consent/{old.id}" in moved:
            continue
        others = [other for other in said if _may_meet(_actors(other), _actors(consent))]
        if permits(consent) and others:
            writing.replace_version(job, old, _reduced(consent, others, to_us(job.context.now())))


def _reduced(consent: Json, others: list[Mapping[str, Any]], now_us: int) -> Json:
    ended = {**consent, "status": "inactive"}
    if not all(_is_plain(each, now_us) and _asked(each) == _asked(consent) for each in (consent, *others)):
        return ended
    named = [_labels(each) for each in (consent, *others)]
    common = frozenset.intersection(*named)
    # A kind of label that is not named limits nothing: each of those named has to stay.
    if any(_systems(common) != _systems(each) for each in named):
        return ended
    labels = [label for label in consent["provision"]["securityLabel"] if _code(label) in common]
    return {**consent, "provision": {**consent["provision"], "securityLabel": labels}}


def _is_plain(consent: Mapping[str, Any], now_us: int) -> bool:
    """Return whether a permit counts from now on and says who, why, what to do and which kinds, and nothing else."""
    provision = consent["provision"]
    if provision["type"] != "permit":
        return False
    period = provision.get("period", {})
    known = {"type", "period", "actor", "purpose", "action", "securityLabel"}
    if "start" in period and date_interval(str(period["start"]))[0] > now_us:
        return False
    return set(provision) <= known and "end" not in period and bool(provision.get("securityLabel"))


def _asked(consent: Mapping[str, Any]) -> tuple[object, ...]:
    """Return whom a plain permit names, for what and to do what: two that differ in it have no simple common part."""
    provision = consent["provision"]
    return _actors(consent), provision.get("purpose"), provision.get("action")


def _labels(consent: Mapping[str, Any]) -> frozenset[tuple[Any, Any]]:
    return frozenset(map(_code, consent["provision"]["securityLabel"]))


def _systems(labels: Iterable[tuple[Any, Any]]) -> set[Any]:
    return {system for system, _ in labels}


def _actors(consent: Mapping[str, Any]) -> frozenset[str]:
    """Return whom the permits of a Consent name, "" for a permit to anybody."""

    def walk(node: Mapping[str, Any], inherited: frozenset[str]) -> frozenset[str]:
        named = frozenset(str(each.get("reference", {}).get("reference", "")) for each in node.get("actor", ()))
        own = named or inherited
        below = (walk(child, own) for child in node.get("provision", ()))
        return frozenset().union(own if node.get("type") == "permit" else (), *below)

    return walk(consent.get("provision", {}), frozenset((_ANYBODY,)))


def _may_meet(some: frozenset[str], others: frozenset[str]) -> bool:
    return bool(some & others) or _ANYBODY in some | others


def _code(label: Mapping[str, Any]) -> tuple[Any, Any]:
    return label.get("system"), label.get("code")
