"""Sharing: a Consent in words, and the Consent that a choice on the pages makes.

One active Consent per patient and grantee; an edit is a new version of it, "stop sharing" sets it inactive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from fhir_server.interactions.suspension import SYSTEM as SUSPENSION
from fhir_server.interactions.suspension import Suspended
from fhir_server.portal.models import exceptions
from fhir_server.portal.models.exceptions import Exemption
from fhir_server.portal.models.labels import BY_CODE, LABELS, SYSTEM, Label, in_order
from fhir_server.portal.models.words import Json, Moment, display, first, items, moment, reference

BREAK_GLASS_ONLY: Final = "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only"
DENY: Final = "https://profiles.ihe.net/ITI/PCF/Policy-deny"
_HL7: Final = "http://terminology.hl7.org/CodeSystem/"
_SCOPE: Final = "patient-privacy"
_KIND: Final = {
    "Organization": "Organisation",
    "Practitioner": "Professional",
    "PractitionerRole": "Professional",
    "CareTeam": "Team",
    "RelatedPerson": "Family or carer",
}
_WRITING: Final = ("collect", "correct")
_DAY: Final = timedelta(days=1)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
NOW, LATER, ENDED, STOPPED = "now", "later", "ended", "stopped"


@dataclass(frozen=True, slots=True)
class Share:
    """One Consent that lets somebody see the record.

    Attributes:
        id: Logical id.
        version: Version id, for `If-Match`.
        grantee: Literal reference of who it is for.
        name: Their name as the Consent has it.
        kind: Organisation, professional, or family or carer.
        labels: Kinds of information they see.
        hidden: Kinds they do not see.
        since: Start, None where open.
        until: End, None where open.
        state: `now`, `later`, `ended` or `stopped`.
        may_act: Whether they may also add to the record in the person's place.
        only: The entries that alone are shared, none where it goes by kinds.
        exempt: Entries that are shown or hidden against the rule.
    """

    id: str
    version: str
    grantee: str
    name: str
    kind: str
    labels: tuple[Label, ...]
    hidden: tuple[Label, ...]
    since: Moment | None
    until: Moment | None
    state: str
    may_act: bool = False
    only: tuple[str, ...] = ()
    exempt: tuple[Exemption, ...] = ()

    @property
    def is_family(self) -> bool:
        """Return whether it is for family or a carer."""
        return self.grantee.startswith("RelatedPerson/")

    @property
    def all_labels(self) -> bool:
        """Return whether every kind is shared; only then is information without a label, too."""
        return not self.hidden


@dataclass(frozen=True, slots=True)
class Overview:
    """The sharing of one record.

    Attributes:
        now: Who can see it now.
        later: Who will.
        before: Who no longer can, newest first.
        disabled_id: Id of the Consent that switches all sharing off, "" while sharing is on.
        disabled_version: Its version.
        disabled_since: Since when.
        is_paused: Whether nobody sees it until the patient has looked at a record that two were joined to.
    """

    now: tuple[Share, ...]
    later: tuple[Share, ...]
    before: tuple[Share, ...]
    disabled_id: str
    disabled_version: str
    disabled_since: Moment | None
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class Grantee:
    """Somebody a record can be shared with."""

    reference: str
    name: str
    detail: str = ""


def overview(consents: Iterable[Json], now: datetime) -> Overview:
    """Sort the privacy Consents of a patient into who sees the record now, later and no more."""
    privacy = [consent for consent in consents if _is_privacy(consent)]
    found = sorted(
        (entry for consent in privacy for entry in shares(consent, now)), key=lambda entry: entry.name.casefold()
    )
    denying = next((consent for consent in privacy if consent.get("status") == "active" and _denies_all(consent)), None)
    before = [entry for entry in found if entry.state in {ENDED, STOPPED}]
    return Overview(
        now=tuple(entry for entry in found if entry.state == NOW),
        later=tuple(entry for entry in found if entry.state == LATER),
        before=tuple(sorted(before, key=lambda entry: entry.until.iso if entry.until else "", reverse=True)),
        disabled_id=str(denying.get("id", "")) if denying else "",
        disabled_version=_version(denying) if denying else "",
        disabled_since=moment(denying.get("dateTime")) if denying else None,
        is_paused=any(is_pause(consent) for consent in privacy),
    )


def is_pause(consent: Json) -> bool:
    """Return whether a Consent is the one with which this service pauses sharing after two records were joined."""
    named = (identifier for identifier in items(consent, "identifier") if identifier.get("system") == SUSPENSION)
    return consent.get("status") == "active" and any(each.get("value") == Suspended.MERGE for each in named)


def shares(consent: Json, now: datetime) -> list[Share]:
    """Return what a Consent shares, one entry for each person or organisation it names."""
    provision = consent.get("provision")
    if not isinstance(provision, dict) or provision.get("type") != "permit" or _denies_all(consent):
        return []
    labels = _permitted(provision)
    period = provision.get("period")
    since, until = (moment(period.get(end)) if isinstance(period, dict) else None for end in ("start", "end"))
    state = _state(consent, since, until, now)
    found = []
    for actor in items(provision, "actor"):
        target = reference(actor.get("reference"))
        found.append(
            Share(
                id=str(consent.get("id", "")),
                version=_version(consent),
                grantee=target,
                name=first((display(actor.get("reference")), target)),
                kind=_KIND.get(target.partition("/")[0], "Other"),
                labels=labels,
                hidden=tuple(label for label in LABELS if label not in labels),
                since=since,
                until=until,
                state=state,
                may_act=_may_act(provision),
                only=exceptions.only(consent),
                exempt=exceptions.exceptions(consent),
            )
        )
    return found


def _may_act(provision: Json) -> bool:
    """Return whether a provision permits writing; one that names no action permits everything."""
    codes = {str(coding.get("code")) for concept in items(provision, "action") for coding in items(concept, "coding")}
    return not codes or not codes.isdisjoint(_WRITING)


def _permitted(provision: Json) -> tuple[Label, ...]:
    named = {str(tag.get("code")) for tag in items(provision, "securityLabel") if tag.get("system") == SYSTEM}
    permitted = named or set(BY_CODE)
    for child in items(provision, "provision"):
        if child.get("type") == "deny":
            permitted -= {str(tag.get("code")) for tag in items(child, "securityLabel")}
    return in_order(permitted)


def _state(consent: Json, since: Moment | None, until: Moment | None, now: datetime) -> str:
    if consent.get("status") != "active":
        return STOPPED
    if until and _last_instant(until) <= now:
        return ENDED
    return LATER if since and since.at > now else NOW


def _last_instant(until: Moment) -> datetime:
    """Return the end of a period: a day without a time lasts until its end (https://hl7.org/fhir/R4/datatypes.html#Period)."""
    if until.time:
        return until.at
    # "Without end" is often written as the last day there is, which no day comes after.
    return until.at + _DAY if until.at <= _LAST - _DAY else _LAST


def _is_privacy(consent: Json) -> bool:
    scope = consent.get("scope")
    return isinstance(scope, dict) and any(coding.get("code") == _SCOPE for coding in items(scope, "coding"))


def _denies_all(consent: Json) -> bool:
    return any(policy.get("uri") == DENY for policy in items(consent, "policy"))


def _version(consent: Json) -> str:
    meta = consent.get("meta")
    return str(meta.get("versionId", "")) if isinstance(meta, dict) else ""


def permit(
    *,
    patient: Json,
    grantee: Grantee,
    labels: Collection[str],
    until: date | None,
    now: datetime,
    existing: Json | None = None,
    may_act: bool = False,
) -> dict[str, Any]:
    """Return the Consent that shares these kinds of information with one grantee.

    Args:
        patient: Reference to the patient.
        grantee: Who will see it.
        labels: Codes of the kinds of information; a permit covers only what is listed.
        until: Last day, None for no end.
        now: Start of a new permission, aware UTC.
        existing: The Consent in force for the same grantee, of which this becomes the next version.
        may_act: Whether family may also add to the record; nobody else is asked that.
    """
    period = {"start": _kept_start(existing, now)}
    if until:
        period["end"] = until.isoformat()
    actor = {
        "role": _concept("v3-ParticipationType", "IRCP", "information recipient"),
        "reference": {"reference": grantee.reference, "display": grantee.name},
    }
    provision: dict[str, Any] = {"type": "permit", "period": period, "actor": [actor]}
    if grantee.reference.startswith("RelatedPerson/"):
        codes = ("access", *(_WRITING if may_act else ()))
        provision["action"] = [_concept("consentaction", code, code.capitalize()) for code in codes]
    else:
        provision["purpose"] = [{"system": f"{_HL7}v3-ActReason", "code": "TREAT", "display": "treatment"}]
    provision["securityLabel"] = [
        {"system": SYSTEM, "code": label.code, "display": label.name} for label in in_order(labels)
    ]
    if children := exceptions.kept(existing):
        provision["provision"] = children
    return _consent(patient, BREAK_GLASS_ONLY, provision, now, existing)


def deny_all(*, patient: Json, now: datetime) -> dict[str, Any]:
    """Return the Consent that switches all sharing off, emergency access included."""
    return _consent(patient, DENY, {"type": "deny"}, now, None)


def stopped(consent: Json) -> dict[str, Any]:
    """Return the next version of a Consent, no longer in force."""
    return {**consent, "status": "inactive"}


def without_actor(consent: Json, reference_: str) -> dict[str, Any]:
    """Return the next version of a Consent that permits one person less; it ends where that leaves nobody.

    A permit inside a deny, or for one person of a nested provision, ends as a whole: less is seen, never more.
    """
    provision = consent.get("provision")
    if isinstance(provision, dict) and provision.get("type") == "permit" and not provision.get("provision"):
        others = [actor for actor in items(provision, "actor") if reference(actor.get("reference")) != reference_]
        if others:
            return {**consent, "provision": {**provision, "actor": others}}
    return stopped(consent)


def _kept_start(existing: Json | None, now: datetime) -> str:
    provision = existing.get("provision") if existing else None
    period = provision.get("period") if isinstance(provision, dict) else None
    start = moment(period.get("start")) if isinstance(period, dict) else None
    return start.iso if start and start.at <= now else now.astimezone(UTC).isoformat(timespec="seconds")


def _consent(patient: Json, policy: str, provision: Json, now: datetime, existing: Json | None) -> dict[str, Any]:
    consent: dict[str, Any] = {"resourceType": "Consent"}
    if existing:
        consent["id"] = existing["id"]
    return consent | {
        "status": "active",
        "scope": _concept("consentscope", _SCOPE, "Privacy Consent"),
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0", "display": "Consent Document"}]}],
        "patient": dict(patient),
        "dateTime": now.astimezone(UTC).isoformat(timespec="seconds"),
        "performer": [dict(patient)],
        "policy": [{"uri": policy}],
        "provision": dict(provision),
    }


def _concept(system: str, code: str, shown: str) -> dict[str, Any]:
    return {"coding": [{"system": f"{_HL7}{system}", "code": code, "display": shown}]}
