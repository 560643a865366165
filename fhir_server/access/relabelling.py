"""The privacy label that a patient chose: who may choose, what changes with it, how it lasts (access.md §4).

A chosen label is marked `userSelected` in `meta.security`. Whoever wrote the resource may go on to update it; the
choice stays until the patient, or a full proxy, makes another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.access import labels
from fhir_server.access.verdict import Record, verdict
from fhir_server.access.visibility import Gate
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import grants
from fhir_server.store.database import Session
from fhir_server.store.keys import type_key

Json = Mapping[str, Any]

_CONSENT = type_key("Consent")
_SERVER_META = frozenset({"versionId", "lastUpdated", "security"})


def reach(readable: Gate) -> Gate:
    """Return what of a caller's readable rows are records of a patient: the directory and own data have no owner."""
    return replace(readable, directory=False, organizations=(), own_data_types=(), reviewed_types=(), emergencies=())


def may_choose(session: Session, writable: Gate, patients: Sequence[int]) -> bool:
    """Return whether the caller decides who sees the record of all these patients.

    That is whoever could write a Consent there with this token: the patient and full proxies. An app that may write
    measurements alone may not open, by way of a label, what its user keeps closed.

    Args:
        session: The transaction; the consents of the patients are read from it.
        writable: What the caller may bring about with the right to update.
        patients: Keys of the patients of a record.
    """
    if not patients or _CONSENT not in writable.managed_types:
        return False
    found = [] if writable.own else grants.of_patients(session, patients)
    imagined = (Record(_CONSENT, (patient,), labels.GENERAL, labels.NORMAL, author=0) for patient in patients)
    return all(verdict(writable, record, found).visible for record in imagined)


def is_chosen(resource: Json) -> bool:
    """Return whether the resource has a privacy label that is marked as the patient's choice."""
    return any(map(_is_chosen, _security(resource)))


def relabelled(old: Json, wanted: Json) -> dict[str, Any]:
    """Return the replaced version with the label that the wanted one has, and the standard codings in step with it.

    Args:
        old: The version to be replaced.
        wanted: What the caller sent, valid; `meta.versionId` and `meta.lastUpdated` are the server's and do not count.

    Raises:
        FhirError: FORBIDDEN (403) where anything but the label differs; INVALID_CONTENT (422) where there is not
            exactly one label to choose.
    """
    before, after = _security(old), _security(wanted)
    if _without_label(old) != _without_label(wanted) or _others(before) != _others(after):
        raise _only_the_label(old)
    code = _choice_between(before, after, str(old["resourceType"]))
    if {_name(each) for each in before} == {_name(each) for each in after}:
        # To confirm what is there takes no finer code away.
        found = [each for each in before if _is_label(each) and each.get("system") != labels.SYSTEM]
    else:
        found = _in_step(before, code)
    known = {_name(each) for each in (*before, *found)}
    if any(each.get("system") != labels.SYSTEM and _name(each) not in known for each in after):
        raise _only_the_label(old)
    return _with_security(old, [*_others(before), _chosen(code), *found])


def by_owner(old: Json | None, new: Json) -> dict[str, Any]:
    """Return what somebody who may choose wrote themselves, with a label in it marked as chosen.

    Without a label it keeps what the replaced version has.
    """
    security = _security(new)
    codes = _codes(security)
    if len(codes) != 1:
        kept = labels.kept(old, new) if old else []
        return _with_security(new, [*map(_unclaimed, security), *kept])
    code = codes.pop()
    return _with_security(new, [*_others(security), _chosen(code), *_in_step(security, code)])


def by_author(old: Json | None, new: Json) -> dict[str, Any]:
    """Return what anybody else wrote: a label that the patient chose stays, and nobody else marks one as chosen.

    Args:
        old: The version to be replaced, None for a new resource.
        new: What was sent, valid.
    """
    security = [_unclaimed(each) for each in _security(new)]
    if old is None:
        return _with_security(new, security)
    if not is_chosen(old):
        return _with_security(new, [*security, *labels.kept(old, new)])
    chosen = [each for each in _security(old) if _is_label(each)]
    # An author who says nothing of labels says nothing of withholding either.
    withheld = (
        [] if labels.sent(new) else [each for each in _security(old) if labels.withheld_from_patient(_of([each]))]
    )
    added = [each for each in withheld if each not in security]
    return _with_security(new, [*_others(security), *added, *chosen])


def _choice_between(before: Sequence[Json], after: Sequence[Json], kind: str) -> str:
    codes = _codes(after)
    if len(codes) > 1:
        # A label added beside the one that is there.
        codes -= _codes(before)
    if len(codes) == 1 and codes <= labels.BY_CODE.keys():
        return codes.pop()
    where = f"{kind}.meta.security"
    allowed = f"exactly one of {', '.join(labels.BY_CODE)} of {labels.SYSTEM}"
    raise FhirError(Kind.INVALID_CONTENT, f"{where} must name {allowed}", (where,))


def _in_step(stated: Sequence[Json], code: str) -> list[Json]:
    """Return the standard codings of a label: finer codes that belong to it stay, and so does `V`; the rest goes."""
    whole = labels.covered_by(labels.SYSTEM, code)
    standard = [each for each in labels.codings_for(labels.BY_CODE.get(code, 0), {}) if each["system"] != labels.SYSTEM]
    if labels.confidentiality(_of(stated)) >= labels.HIGHEST:
        standard = [each for each in standard if each["system"] != labels.CONFIDENTIALITY]
        standard.append({"system": labels.CONFIDENTIALITY, "code": "V"})
    names = {_name(each) for each in standard}
    finer = [
        each
        for each in stated
        if each.get("system") == labels.ACT_CODE and _is_label(each) and not _mask(each) & ~whole
        and _name(each) not in names
    ]  # fmt: skip
    return [*standard, *finer]


def _without_label(resource: Json) -> dict[str, Any]:
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in _SERVER_META}
    return {**resource, "meta": meta}


def _with_security(resource: Json, security: Sequence[Json]) -> dict[str, Any]:
    meta = {name: value for name, value in resource.get("meta", {}).items() if name != "security"}
    if security:
        meta["security"] = list(security)
    if meta:
        return {**resource, "meta": meta}
    return {name: value for name, value in resource.items() if name != "meta"}


def _security(resource: Json) -> list[Json]:
    return list(resource.get("meta", {}).get("security", ()))


def _of(security: Sequence[Json]) -> Json:
    return {"meta": {"security": security}}


def _others(security: Sequence[Json]) -> list[Json]:
    """Return the codings that are no label, `NOPAT` among them: they are the author's."""
    return [each for each in security if not _is_label(each)]


def _codes(security: Sequence[Json]) -> set[str]:
    return {str(each.get("code", "")) for each in security if each.get("system") == labels.SYSTEM}


def _name(coding: Json) -> tuple[str, str]:
    return coding.get("system", ""), coding.get("code", "")


def _mask(coding: Json) -> int:
    return labels.mask_of_coding(*_name(coding)) or 0


def _is_label(coding: Json) -> bool:
    return bool(_mask(coding)) or coding.get("system") == labels.CONFIDENTIALITY


def _is_chosen(coding: Json) -> bool:
    return coding.get("system") == labels.SYSTEM and coding.get("userSelected") is True


def _chosen(code: str) -> Json:
    return {"system": labels.SYSTEM, "code": code, "userSelected": True}


def _unclaimed(coding: Json) -> Json:
    return {name: value for name, value in coding.items() if name != "userSelected"} if _is_chosen(coding) else coding


def _only_the_label(old: Json) -> FhirError:
    text = "Of what somebody else wrote, only the privacy label may be changed; the codings beside it follow"
    return FhirError(Kind.FORBIDDEN, text, (f"{old['resourceType']}.meta.security",))
