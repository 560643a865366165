"""A change and its AuditEvent are one transaction, where a front door opens it and where `identity` does so for one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import fhir_server

_SOURCE = Path(fhir_server.__file__).parent
_ROOMS = ("signin", "portal", "smart", "admin", "web", "identity")
_RECORDERS = frozenset(
    {
        *("record_sign_in", "record_administration", "record_act", "record", "audit", "note", "_audit"),
        *("_entered", "_note_refusal", "noted"),
    }
)
_NEXT_STEP = "keeps what a form or a provider goes on with; nothing has been done yet"
_COUNTS = "counts tries; what comes of them is written where it is done"
_TELLS = "tells somebody of a write that has its own AuditEvent"
_IN_IT = "the AuditEvent is written by what runs inside"
_CLOCK = "the clock's, nobody's act: a message, sent once"
_OWN = "what somebody has looked at, for themselves alone"
_NO_ACT = {
    "admin/desk.py:_address": _COUNTS,
    "identity/account_changes.py:ask_new_mobile": _NEXT_STEP,
    "identity/ages.py:tell_due": _CLOCK,
    "identity/calendar_links.py:reader": "remembers when a calendar asked; what it gets has its own AuditEvent",
    "identity/carers.py:may_invite": _COUNTS,
    "identity/invitations.py:remind_due": _CLOCK,
    "identity/news.py:_tell": _CLOCK,
    "identity/news.py:tell_due": _CLOCK,
    "identity/passkeys.py:_asked": _NEXT_STEP,
    "identity/passkeys.py:begin": _NEXT_STEP,
    "identity/passkeys.py:prove": "counts a use of the key; session or refusal has its own AuditEvent",
    "identity/person_cases.py:propose": _COUNTS,
    "identity/reading.py:opened": _OWN,
    "identity/reading.py:stay": _OWN,
    "identity/reading.py:visit": _OWN,
    "identity/registration.py:choose_email": _NEXT_STEP,
    "identity/registration.py:choose_memorable": _NEXT_STEP,
    "identity/registration.py:choose_password": _NEXT_STEP,
    "identity/sign_in.py:prove_password": _COUNTS,
    "portal/views/account_proofs.py:_app_form": _NEXT_STEP,
    "portal/views/appointment_answers.py:_save": _TELLS,
    "portal/views/appointment_requests.py:_tell": _TELLS,
    "portal/views/desk_help.py:help_somebody": _COUNTS,
    "portal/views/developer.py:_count": _COUNTS,
    "portal/views/sharing.py:stop_sharing": "the Consent's AuditEvent says it; an invitation without it opens nothing",
    "portal/views/sharing.py:tell_family": _TELLS,
    "signin/ehr_launch.py:_keep": _NEXT_STEP,
    "signin/ehr_launch.py:accept_agreement": _NEXT_STEP,
    "signin/proof.py:_set_up_form": _NEXT_STEP,
    "signin/registration.py:enter_code": _COUNTS,
    "signin/relying_party.py:begin": _NEXT_STEP,
    "signin/relying_party.py:finish": "uses the step up; what comes of it is written where it is done",
    "smart/ehr_launch.py:start": _NEXT_STEP,
    "smart/rfc7591.py:register": _COUNTS,
    "smart/routes.py:_endpoint": _IN_IT,
    "web/proof.py:resolved": "remembers the number of a proof; the request it belongs to has its own AuditEvent",
    "web/session.py:_look_up": "remembers when a session was used",
    "web/session.py:end_others": _IN_IT,
}
"""Transactions without an AuditEvent, each with why nothing is done in it that somebody would look for on the log."""


def transactions() -> Iterator[tuple[str, bool]]:
    """Yield (file:function, whether an AuditEvent is written in it) of every write transaction."""
    for path in (path for room in _ROOMS for path in sorted((_SOURCE / room).rglob("*.py"))):
        for function in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)):
            for block in (node for node in ast.walk(function) if isinstance(node, ast.With)):
                if any(_name(item.context_expr) == "write" for item in block.items):
                    called = {_name(node) for node in ast.walk(block)}
                    yield f"{path.relative_to(_SOURCE).as_posix()}:{function.name}", bool(called & _RECORDERS)


def _name(node: ast.AST) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""


def test_what_is_changed_about_people_is_on_the_log_in_the_same_transaction() -> None:
    found = list(transactions())
    assert len(found) > 40, "the transactions are not found any more"
    without = {where for where, has_event in found if not has_event}
    assert without == set(_NO_ACT)
