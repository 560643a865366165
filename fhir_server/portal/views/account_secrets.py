"""Change the password, and the memorable question and answer."""

from __future__ import annotations

from flask import redirect, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import account_changes, passwords
from fhir_server.identity.registration import QUESTIONS, SHORTEST_ANSWER
from fhir_server.portal.views.account_acts import actor, form


@web.require_fresh()
def change_password() -> Response:
    """Put a new password in place of the old one; every other device is signed out."""
    who = actor()
    if request.method == "GET":
        return form("password", email=who.account.email)
    password = request.form.get("password", "")
    wrong = passwords.problem(password, (who.account.name, who.account.email))
    if wrong:
        return form("password", {"password": wrong}, email=who.account.email)
    hashed = passwords.hashed(password)
    with who.act("change-password") as session:
        account_changes.replace_password(session, who.account, hashed, who.now, keep=who.person.session_id)
    return redirect("/account?done=password", 303)


@web.require_fresh()
def change_memorable() -> Response:
    """Put another memorable question and answer in place."""
    who = actor()
    if request.method == "GET":
        return form("memorable", questions=QUESTIONS, question=who.account.memorable_question)
    question, answer = request.form.get("question", ""), request.form.get("answer", "").strip()
    wrong = {}
    if question not in QUESTIONS:
        wrong["question"] = "Choose a question"
    if not SHORTEST_ANSWER <= len(answer) <= passwords.MAX_CHARACTERS:
        said = web.say("Enter an answer with %(shortest)s to %(longest)s characters")
        wrong["answer"] = said % {"shortest": SHORTEST_ANSWER, "longest": passwords.MAX_CHARACTERS}
    if wrong:
        return form("memorable", wrong, questions=QUESTIONS, question=question)
    hashed = account_changes.answer_hash(answer)
    with who.act("change-memorable-question") as session:
        account_changes.choose_memorable(session, who.account, question, hashed, who.now)
    return redirect("/account?done=memorable", 303)
