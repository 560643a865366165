"""The stand-in for NHS CIS2: the code exchange of the one for NHS login, with professionals and their roles instead.

What differs: the scopes, no vectors of trust but an assurance level, and a page where person and role are chosen.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, jsonify, render_template_string, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server.cli.nhs_login_stand_in_pages import (
    HEAD,
    HIDDEN,
    back,
    check_once,
    metadata,
    read_asked,
    stranger_page,
    token,
    userinfo,
)
from fhir_server.cli.nhs_login_stand_in_tokens import ACCESS_TOKEN_S, ID_TOKEN_S, Asked, Granted, Issuer
from fhir_server.cli.stand_in_client import RefusedError
from seed_data.cis2 import Cis2Person
from seed_data.nhs_login import NhsLoginPerson

SCOPES = ("openid", "profile", "nhsperson", "nationalrbacaccess", "associatedorgs", "selectedrole")
_NOBODY = NhsLoginPerson("", "P9", "", "", "", "", "", "", "")
_HEAD = HEAD.replace("NHS login stand-in", "NHS CIS2 stand-in")
_CHOOSE = (
    _HEAD
    + HIDDEN
    + """<fieldset><legend>Who are you, and in which role?</legend><ul>
{% for person in people %}{% for role in person.roles %}
<li><label><input type="radio" name="role" value="{{ person.user_id }}~{{ role.id }}">
{{ person.name }}: {{ role.name }}</label></li>{% endfor %}{% endfor %}
</ul></fieldset>
<p><button name="act" value="continue">Continue</button> <button name="act" value="cancel">Cancel</button></p>
</form></body></html>"""
)


@dataclass(slots=True)
class Cis2Issuer(Issuer):
    """Everything the stand-in remembers.

    Attributes:
        staff: Who may be chosen.
        level: `authentication_assurance_level` of every sign-in.
    """

    staff: Sequence[Cis2Person] = ()
    level: str = "3"
    _chosen: dict[str, tuple[Cis2Person, str]] = field(default_factory=dict)

    def code_for(self, asked: Asked, chosen: str) -> str:
        """Return a code for who was chosen, as `user id~role id`.

        Raises:
            RefusedError: Nobody has that id and role.
        """
        user_id, _, role_id = chosen.partition("~")
        for person in self.staff:
            if person.user_id == user_id and any(role.id == role_id for role in person.roles):
                code = self.code(asked, _NOBODY, "P9")
                self._chosen[code] = (person, role_id)
                return code
        raise RefusedError("invalid_request", "No such person with that role")

    def _tokens_for(self, code: str, found: Granted) -> dict[str, Any]:
        now, (person, role_id) = int(self.clock()), self._chosen.pop(code)
        subject = hashlib.sha256(person.user_id.encode()).hexdigest()[:32]
        common = {
            "iss": self.url,
            "sub": subject,
            "aud": self.client.client_id,
            "iat": now,
            "auth_time": now,
            "authentication_assurance_level": self.level,
        }
        id_token = self._signed(
            common | {"exp": now + ID_TOKEN_S, "jti": secrets.token_hex(16), "nonce": found.asked.nonce}
        )
        access_token = self._signed(common | {"exp": now + ACCESS_TOKEN_S, "jti": secrets.token_hex(16)})
        claims = {"sub": subject, **_claims(person, role_id, found.asked.scopes)}
        self._remember(code, access_token, claims)
        return {
            "access_token": access_token,
            "token_type": "bearer",
            "expires_in": ACCESS_TOKEN_S,
            "scope": " ".join(found.asked.scopes),
            "id_token": id_token,
        }


def application(issuer: Cis2Issuer) -> Flask:
    """Return the stand-in as a WSGI application."""
    app = Flask("cis2-stand-in", static_folder=None)
    described = metadata(issuer) | {"scopes_supported": SCOPES}
    app.add_url_rule("/.well-known/openid-configuration", "discovery", lambda: jsonify(described))
    app.add_url_rule("/.well-known/jwks.json", "keys", lambda: jsonify({"keys": [issuer.key.as_dict(private=False)]}))
    app.add_url_rule("/authorize", "authorize", lambda: _authorize(issuer), methods=["GET", "POST"])
    app.add_url_rule("/token", "token", lambda: token(issuer), methods=["POST"])
    app.add_url_rule("/userinfo", "userinfo", lambda: userinfo(issuer), methods=["GET", "POST"])
    return app


def _authorize(issuer: Cis2Issuer) -> BaseResponse | str | tuple[str, int]:
    values = request.form if request.method == "POST" else request.args
    sent = values.to_dict()
    target = sent.get("redirect_uri", "")
    if (stranger := stranger_page(issuer, sent)) is not None:
        return stranger
    try:
        check_once(values)
        asked = read_asked(sent, SCOPES)
        if request.method == "POST":
            return back(target, {"code": _decided(issuer, asked, sent)}, sent)
    except RefusedError as error:
        return back(target, {"error": error.code, "error_description": error.description}, sent)
    return render_template_string(_CHOOSE, title="Sign in", asked=sent, people=issuer.staff)


def _decided(issuer: Cis2Issuer, asked: Asked, sent: Mapping[str, str]) -> str:
    if sent.get("act") == "cancel":
        raise RefusedError("access_denied", "The person did not go on")
    return issuer.code_for(asked, sent.get("role", ""))


def _claims(person: Cis2Person, role_id: str, scopes: Sequence[str]) -> Mapping[str, Any]:
    """Return what userinfo says of somebody, each scope its own part."""
    said: dict[str, dict[str, Any]] = {
        "profile": {"name": person.name, "nhsid_useruid": person.user_id},
        "nationalrbacaccess": {
            "nhsid_nrbac_roles": [
                {"person_roleid": role.id, "org_code": role.org_code, "role_name": role.name} for role in person.roles
            ]
        },
        "selectedrole": {"selected_roleid": role_id},
    }
    found: dict[str, Any] = {}
    for scope in scopes:
        found |= said.get(scope, {})
    return found
