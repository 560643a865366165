"""The passkeys of an account: add, name, remove."""

from __future__ import annotations

from flask import jsonify, redirect, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import account_changes, passkeys
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.views.account_acts import Actor, actor, form
from fhir_server.portal.views.account_proofs import protection_of

_LONGEST_CREDENTIAL = 100_000
_REFUSED = "This passkey could not be added. Try again"


@web.require_fresh()
def passkey_list() -> Response:
    """Show the passkeys, and change them."""
    who = actor()
    if request.method == "GET":
        return _page(who)
    credential_id = request.form.get("passkey", "")
    match request.form.get("action"):
        case "add":
            return _add(who)
        case "rename":
            with who.act("rename-passkey") as session:
                passkeys.rename(session, who.account.id, credential_id, request.form.get("name", ""))
            return redirect("/account/passkeys?done=renamed", 303)
        case "remove" if credential_id:
            with who.act("remove-passkey") as session:
                if passkeys.remove(session, who.account.id, credential_id):
                    account_changes.tell(session, who.account, "A passkey was removed from your account.", who.now)
            return redirect("/account/passkeys?done=removed", 303)
    return redirect("/account/passkeys", 303)


@web.require_fresh()
def passkey_options() -> tuple[Response, int]:
    """Answer with what the browser has to ask a device for, to make a new passkey (JSON)."""
    who = actor()
    asked = passkeys.begin(
        who.context.store,
        web.current().relying_party,
        account=who.account,
        address=who.context.address,
        now=who.now,
    )
    if asked is None:
        return jsonify(message="Too many tries. Wait 15 minutes and try again"), 429
    return jsonify(token=asked.token, options=asked.options), 200


def _add(who: Actor) -> Response:
    credential, token = request.form.get("credential", ""), request.form.get("token", "")
    new = len(credential) <= _LONGEST_CREDENTIAL and passkeys.made_by(
        who.context.store,
        web.current().relying_party,
        who.account,
        token,
        credential,
        name=request.form.get("name", "") or web.browser_name(),
        now=who.now,
    )
    if not new:
        return _page(who, {"name": _REFUSED}, status=403)
    with who.context.store.write() as session:
        is_added = passkeys.add(session, new)
        if is_added:
            account_changes.tell(session, who.account, "A passkey was added to your account.", who.now)
            who.record(session, "add-passkey")
    if not is_added:
        return _page(who, {"name": _REFUSED}, status=403)
    if protection_of(who).recovery_code_count:
        return redirect("/account/passkeys?done=added", 303)
    return redirect("/account/recovery-codes?added=passkey", 303)


def _page(who: Actor, errors: dict[str, str] | None = None, *, status: int = 0) -> Response:
    shown = [
        (key, moment_of(key.created_at), moment_of(key.last_used_at) if key.last_used_at else None)
        for key in protection_of(who).passkeys
    ]
    done = {"added": "Your passkey is added", "renamed": "The name is saved", "removed": "The passkey is removed"}
    notice = done.get(request.args.get("done", ""), "")
    return form("passkeys", errors, status=status, passkeys=shown, notice=notice, most=passkeys.MOST)
