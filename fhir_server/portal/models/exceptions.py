"""Exceptions for one entry of a record: hide this letter from somebody who sees the others, or show them this one.

In the Consent an exception is a provision inside the one for the grantee, about one instance; whoever sees nothing else
has a Consent about single instances. A change of what is shared by kind keeps both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.portal.models.labels import LABELS, SYSTEM
from fhir_server.portal.models.words import Json, items, reference

_INSTANCE: Final = "instance"


@dataclass(frozen=True, slots=True)
class Exemption:
    """One entry that is shown or hidden against the rule.

    Attributes:
        reference: Literal reference of the entry.
        permit: Whether it is shown.
    """

    reference: str
    permit: bool


def exceptions(consent: Json) -> tuple[Exemption, ...]:
    """Return the exceptions of a Consent for one grantee."""
    provision = _provision(consent)
    children = [child for child in items(provision, "provision") if _instances(child)]
    return tuple(Exemption(target, child.get("type") == "permit") for child in children for target in _instances(child))


def only(consent: Json) -> tuple[str, ...]:
    """Return the entries that a Consent is about where it is about single ones; the Patient among them is not told."""
    return tuple(target for target in _instances(_provision(consent)) if not target.startswith("Patient/"))


def kept(consent: Json | None) -> list[Json]:
    """Return the provisions that the next version needs for the exceptions of this one."""
    if consent is None:
        return []
    provision = _provision(consent)
    alone = [_shown(target) for target in only(consent)]
    return [*alone, *items(provision, "provision")]


def hidden(consent: Json, target: str) -> dict[str, Any]:
    """Return the next version of a Consent, which no longer shows one entry."""
    base = usual(consent, target)
    if base.get("status") != "active" or only(base):
        return base
    return _with_child(base, {"type": "deny", "data": [_data(target)]})


def shown(consent: Json, target: str) -> dict[str, Any]:
    """Return the next version of a Consent, which shows one entry whatever kind of information it is."""
    base = usual(consent, target)
    if not only(consent):
        return _with_child(base, _shown(target))
    provision = {**_provision(consent), "data": [*_others(consent, target), _data(target)]}
    return {**consent, "provision": provision}


def usual(consent: Json, target: str) -> dict[str, Any]:
    """Return the next version of a Consent without an exception for one entry; of single ones, none left, it ends."""
    provision = dict(_provision(consent))
    if target in only(consent):
        provision["data"] = _others(consent, target)
        if not only({"provision": provision}):
            return {**consent, "status": "inactive"}
    children = [child for child in items(provision, "provision") if target not in _instances(child)]
    provision.pop("provision", None)
    return {**consent, "provision": provision | ({"provision": children} if children else {})}


def alone(consent: Json, patient: str, target: str) -> dict[str, Any]:
    """Return a Consent made for one grantee and every kind as one that shows one entry, and whose it is."""
    return {**consent, "provision": {**_provision(consent), "data": [_data(patient), _data(target)]}}


def _others(consent: Json, target: str) -> list[Json]:
    return [each for each in items(_provision(consent), "data") if reference(each.get("reference")) != target]


def _with_child(consent: Json, child: Json) -> dict[str, Any]:
    provision = _provision(consent)
    return {**consent, "provision": {**provision, "provision": [*items(provision, "provision"), child]}}


def _shown(target: str) -> dict[str, Any]:
    # Every kind: the exception holds whatever its label is, or will be.
    labels: Sequence[Json] = [{"system": SYSTEM, "code": label.code, "display": label.name} for label in LABELS]
    return {"type": "permit", "securityLabel": list(labels), "data": [_data(target)]}


def _data(target: str) -> dict[str, Any]:
    return {"meaning": _INSTANCE, "reference": {"reference": target}}


def _instances(provision: Json) -> tuple[str, ...]:
    named = (each for each in items(provision, "data") if each.get("meaning") == _INSTANCE)
    return tuple(reference(each.get("reference")) for each in named)


def _provision(consent: Json) -> Json:
    found = consent.get("provision")
    return found if isinstance(found, dict) else {}
