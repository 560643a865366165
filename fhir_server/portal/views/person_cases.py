"""Two records of one person, a death, and taking either back: the service desk proposes, somebody else decides."""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import person_cases
from fhir_server.identity.person_cases import LONGEST_EVIDENCE, SHORTEST_EVIDENCE, CaseKind, Proposal, Typed
from fhir_server.operations import deciding_cases
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.views.account_acts import Actor, actor
from fhir_server.spec.outcome import FhirError, Kind


class Words(NamedTuple):
    """What a kind of case is called: on the list, as a heading, and what agreeing to it does."""

    name: str
    heading: str
    effect: str


WORDS: Final = {
    CaseKind.MERGE: Words(
        "Two records of one person",
        "Join two records of one person",
        "Everything in the record that ends moves to the one that stays. One account is left. Sharing stops until the "
        "person has looked at the joined record.",
    ),
    CaseKind.UNMERGE: Words(
        "Take a join back",
        "Take the join of two records back",
        "What was moved goes back, and so do the accounts. What was added since stays where it is.",
    ),
    CaseKind.DEATH: Words(
        "A death",
        "Record a death",
        "The person's account closes at once, and so does what family and carers see. The record and its access log "
        "are kept.",
    ),
    CaseKind.ALIVE: Words(
        "A death recorded wrongly",
        "Correct a death that was recorded wrongly",
        "The accounts open again, and family and carers see what they saw before.",
    ),
}
_REFUSED: Final = frozenset({Kind.INVALID_VALUE, Kind.BUSINESS_RULE, Kind.CONFLICT, Kind.THROTTLED})
_FIELD: Final = {"other": "other-number"}


def cases() -> str:
    """List what waits for a decision."""
    who = actor()
    with who.context.store.read() as session:
        waiting = person_cases.open_cases(session)
    return render_template(
        "portal/desk/cases.html",
        waiting=[(case, WORDS[case.kind], moment_of(case.proposed_at)) for case in waiting],
        kinds=WORDS,
        may_propose=who.account.role == "service-desk",
        done=request.args.get("done", ""),
    )


@web.require_fresh()
def propose_case(case_kind: str) -> str | Response:
    """Ask which record it is about and how it was established; nothing happens before somebody else agrees."""
    who, kind = actor(), CaseKind(case_kind)
    if request.method == "GET":
        return _form(kind, ())
    typed = _typed(kind)
    if not isinstance(typed, Proposal):
        return make_response(_form(kind, typed), 400)
    try:
        person_cases.propose(
            who.context.store,
            who.account,
            typed,
            who.now,
            lambda session, case: who.record(session, "propose-person-case", case.about),
        )
    except FhirError as error:
        with who.context.store.write() as session:
            who.record(session, "propose-person-case", str(kind), status=error.status)
        if error.kind not in _REFUSED:
            raise
        return make_response(_form(kind, _problems(error)), web.page_status(error))
    return redirect("/service-desk/cases?done=proposed", 303)


@web.require_fresh()
def one_case(case_id: str) -> Response:
    """Show one proposal; agree to it, or turn it down."""
    who = actor()
    if request.method == "GET":
        return _case(who, case_id)
    decision = request.form.get("decision")
    if decision not in {"approve", "refuse"}:
        abort(400)
    approved = decision == "approve"
    try:
        deciding_cases.decide(who.context, who.person.principal, who.account, case_id, approved=approved)
    except FhirError as error:
        with who.context.store.write() as session:
            who.record(session, f"{decision}-person-case", f"case {case_id[:36]}", status=error.status)
        if error.kind not in _REFUSED:
            raise
        return _case(who, case_id, _problems(error), web.page_status(error))
    return redirect(f"/service-desk/cases?done={decision}", 303)


def _case(who: Actor, case_id: str, errors: tuple[Problem, ...] = (), status: int = 200) -> Response:
    with who.context.store.read() as session:
        case = person_cases.found(session, case_id)
        name = person_cases.proposer(session, case)
    page = render_template(
        "portal/desk/case.html",
        case=case,
        words=WORDS[case.kind],
        proposer=name,
        since=moment_of(case.proposed_at),
        may_decide=case.state == "open" and case.proposed_by != who.account.id,
        errors=errors,
    )
    return make_response(page, status)


def _typed(kind: CaseKind) -> Proposal | tuple[Problem, ...]:
    """Return what the form says, or everything that is wrong with it."""
    answers = [("number", "born")] + ([("other-number", "other-born")] if kind is CaseKind.MERGE else [])
    problems, records = [], []
    for number, born in answers:
        typed, day = request.form.get(number, "").strip(), day_answer(request.form, born, "the date of birth")
        if not typed:
            problems.append(Problem("Enter the NHS number, or the record's id", f"#{number}"))
        if isinstance(day, Problem):
            problems.append(day)
        else:
            records.append(Typed(typed, day.isoformat()))
    died: date | Problem | None = None
    if kind is CaseKind.DEATH:
        died = day_answer(request.form, "day", "the day of death")
        problems += [died] if isinstance(died, Problem) else []
    evidence = " ".join(request.form.get("evidence", "").split())
    if not SHORTEST_EVIDENCE <= len(evidence) <= LONGEST_EVIDENCE:
        text = f"Say how you established it, in {SHORTEST_EVIDENCE} to {LONGEST_EVIDENCE:,} characters"
        problems.append(Problem(text, "#evidence"))
    if problems:
        return tuple(problems)
    on = died.isoformat() if isinstance(died, date) else ""
    return Proposal(kind, records[0], records[1] if len(records) > 1 else None, on, evidence)


def _problems(error: FhirError) -> tuple[Problem, ...]:
    found = ((issue.diagnostics, issue.expression[0] if issue.expression else "") for issue in error.issues)
    return tuple(Problem(text, f"#{_FIELD.get(name, name)}" if name else "") for text, name in found)


def _form(kind: CaseKind, errors: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/desk/propose.html",
        kind=kind,
        words=WORDS[kind],
        answers=request.form,
        errors=errors,
        shortest=SHORTEST_EVIDENCE,
    )
