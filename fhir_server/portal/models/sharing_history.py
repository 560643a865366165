"""What became of sharing, in plain words: each version of each Consent beside the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fhir_server import web
from fhir_server.portal.models.labels import Label
from fhir_server.portal.models.sharing import DENY, STOPPED, Share, shares
from fhir_server.portal.models.words import Json, Moment, display, first, items, listed, moment, reference

_KINDS: Final = "every kind of information"


@dataclass(frozen=True, slots=True)
class Change:
    """One version.

    Attributes:
        at: When it began.
        text: What it changed.
        by: Who did it, "" for the patient.
    """

    at: Moment | None
    text: str
    by: str


def changes(versions: Iterable[Json], patient: str, now: datetime) -> tuple[Change, ...]:
    """Return what each version changed, newest first.

    Args:
        versions: Versions of the Consents of one patient, newest first.
        patient: Literal reference of the patient.
        now: Aware UTC.
    """
    found: list[Change] = []
    before: dict[str, Json] = {}
    for version in reversed(list(versions)):
        logical_id = str(version.get("id", ""))
        text = _text(version, before.get(logical_id), now)
        if text:
            meta = version.get("meta")
            at = moment(meta.get("lastUpdated")) if isinstance(meta, Mapping) else None
            found.append(Change(at, text, _by(version, patient)))
        before[logical_id] = version
    return tuple(reversed(found))


def _text(version: Json, before: Json | None, now: datetime) -> str:
    if any(policy.get("uri") == DENY for policy in items(version, "policy")):
        if version.get("status") == "active":
            is_new = before is None or before.get("status") != "active"
            return web.say("Switched all sharing off") if is_new else ""
        return web.say("Switched sharing on again") if before is not None and before.get("status") == "active" else ""
    shown = first_share(version, now)
    if shown is None:
        return ""
    known = first_share(before, now) if before is not None else None
    if shown.state == STOPPED:
        was_on = known is not None and known.state != STOPPED
        return web.say("Stopped sharing with %(name)s") % {"name": shown.name} if was_on else ""
    if known is None or known.state == STOPPED:
        return _began(shown)
    differences = _differences(known, shown)
    said = web.say("Changed what %(name)s sees: %(changes)s")
    return said % {"name": shown.name, "changes": listed(differences)} if differences else ""


def first_share(consent: Json, now: datetime) -> Share | None:
    """Return the first share of a Consent, None for one that shares nothing."""
    return next(iter(shares(consent, now)), None)


def _what(share: Share) -> str:
    if share.only:
        count = len(share.only)
        return web.say_many("one entry", "%(count)s entries", count) % {"count": count}
    return web.say(_KINDS) if share.all_labels else _named(share.labels)


def _named(labels: Iterable[Label]) -> str:
    return listed([f"“{web.say(label.name)}”" for label in labels])


def _began(share: Share) -> str:
    values = {"what": _what(share), "name": share.name}
    if share.until is None:
        return web.say("Began to share %(what)s with %(name)s") % values
    return web.say("Began to share %(what)s with %(name)s until %(day)s") % {**values, "day": share.until.day}


def _differences(known: Share, shown: Share) -> list[str]:
    found: list[str] = []
    added = [label for label in shown.labels if label not in known.labels]
    removed = [label for label in known.labels if label not in shown.labels]
    found += [web.say("added %(kinds)s") % {"kinds": _named(added)}] if added else []
    found += [web.say("removed %(kinds)s") % {"kinds": _named(removed)}] if removed else []
    if (known.until and known.until.iso) != (shown.until and shown.until.iso):
        end = shown.until
        found.append(web.say("until %(day)s") % {"day": end.day} if end else web.say("no end date"))
    if known.may_act is not shown.may_act:
        found.append(web.say("may act for you") if shown.may_act else web.say("may only look"))
    for each in shown.exempt:
        if each not in known.exempt:
            found.append(web.say("one entry shown") if each.permit else web.say("one entry hidden"))
    found += [web.say("one exception undone") for each in known.exempt if not _still(each.reference, shown)]
    if known.only != shown.only:
        found.append(web.say("now %(what)s") % {"what": _what(shown)})
    return found


def _still(target: str, share: Share) -> bool:
    return any(each.reference == target for each in share.exempt)


def _by(version: Json, patient: str) -> str:
    performers = items(version, "performer")
    if not performers or any(reference(each) == patient for each in performers):
        return ""
    return first((*(display(each) for each in performers), "The privacy officer"))
