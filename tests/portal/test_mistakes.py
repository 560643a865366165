"""One rule for every form: who filled it in wrongly gets it back with what is wrong, and 400."""

from __future__ import annotations

import re
from http import HTTPStatus

from fhir_server.portal.routes import PAGES
from tests.portal.test_acts import Quick
from tests.portal.test_pages import EXAMPLES, WHO
from tests.server import Server

_VARIABLE = re.compile(r"<(?:[^:<>]+:)?([a-z_]+)>")
_NO_FORMS = ("/fhir", "/api/", "/oauth/", "/sign-out", "/session/", "/assets/")
SUMMARY = "nhsuk-error-summary"
PROOFS = {"/sign-in/passkey": HTTPStatus.FORBIDDEN}
"""Where nothing is typed: a proof that does not hold is refused."""
ELSE = {200, 204, 302, 303, 400, 403, 404, 409, 410}
"""Done, gone on, or nothing that a page offers (a button that is not there, an id that is not known)."""


def forms(server: Server, role: str) -> list[str]:
    """Return where a role can send forms, the sign-in's and registration's for whoever is not signed in."""
    ours = {page.path: page.roles for page in PAGES}
    rules = sorted({rule.rule for rule in server.app.url_map.iter_rules() if "POST" in (rule.methods or ())})
    wanted = [rule for rule in rules if not rule.startswith(_NO_FORMS) and role in (ours.get(rule) or ("",))]
    return [_VARIABLE.sub(lambda match: EXAMPLES.get(match[1], "unknown"), rule) for rule in wanted]


def test_a_mistake_in_a_form_is_400_on_every_page(server: Server) -> None:
    told, wrong = set(), []
    for role in ("", *WHO):
        person = Quick(server, WHO.get(role, ""))
        for path in forms(server, role):
            answer = person.send(path, {})
            has_summary = answer.mimetype == "text/html" and SUMMARY in answer.text
            if has_summary:
                told.add(path)
            expected = {PROOFS.get(path, HTTPStatus.BAD_REQUEST)} if has_summary else ELSE
            if answer.status_code not in expected:
                wrong.append((role, path, answer.status_code))
    assert not wrong
    assert len(told) > 30, "the forms are not found any more"
