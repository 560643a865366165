"""The shapes of registered apps in `/api/v1`."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from fhir_server.admin.parsing import Asked
from fhir_server.admin.schemas import PAGE_LIMIT
from fhir_server.identity.app_decisions import LONGEST_REASON, MOST_REQUESTS_PER_MINUTE, STEPS

_LINE = validate.Length(max=320)


def _said(text: str) -> dict[str, str]:
    return {"description": text}


class App(Schema):
    """A registered app, with everything that a decision needs."""

    client_id = fields.String()
    name = fields.String()
    state = fields.String(metadata=_said("`pending`, `approved`, `refused` or `suspended`"))
    kind = fields.String(metadata=_said("`public`, `secret` or `jwks`"))
    redirect_uris = fields.List(fields.String())
    launch_uri = fields.String()
    scope = fields.String()
    jwks_uri = fields.String()
    organization = fields.String()
    requests_per_minute = fields.Integer(allow_none=True, metadata=_said("Null: the setting's; 0: no limit"))
    about = fields.Dict(metadata=_said("What its maker said of it, as RFC 7591 names it"))
    changed = fields.List(fields.String(), metadata=_said("Fields changed since it was last approved"))
    looks_like = fields.List(fields.String(), metadata=_said("Names of other clients that people could take it for"))
    owner = fields.String(metadata=_said("Account of its developer; empty where it has none"))
    registered_at = fields.DateTime()
    decided_at = fields.DateTime(allow_none=True)
    decided_by = fields.String()
    reason = fields.String()


class OwnApp(App):
    """A developer's own app."""

    class Meta:
        """Who decided, and whose names it is like, is not the developer's to know."""

        exclude = ("decided_by", "looks_like", "owner")


class Apps(Schema):
    """A page of apps that wait for a decision, oldest first."""

    apps = fields.List(fields.Nested(App))
    next = fields.String(metadata=_said("Value of `after` for the next page; absent on the last"))


class OwnApps(Schema):
    """A developer's apps, oldest first."""

    apps = fields.List(fields.Nested(OwnApp))


class AppQuery(Schema):
    """Which page of a list."""

    after = fields.String(load_default="", validate=validate.Length(max=128))
    count = fields.Integer(load_default=100, validate=validate.Range(1, PAGE_LIMIT))


class NewDecision(Asked):
    """What an administrator decides."""

    step = fields.String(required=True, validate=validate.OneOf(STEPS))
    organization = fields.String(
        load_default="", validate=_LINE, metadata=_said("`Organization/…` a backend service acts for, with `approve`")
    )
    requests_per_minute = fields.Integer(
        load_default=None, allow_none=True, validate=validate.Range(0, MOST_REQUESTS_PER_MINUTE)
    )
    reason = fields.String(
        load_default="",
        validate=validate.Length(max=LONGEST_REASON),
        metadata=_said("What its maker is told; needed to `refuse` and to `suspend`"),
    )


class NewApp(Asked):
    """Metadata of RFC 7591 §2; what is not known is refused."""

    client_name = fields.Raw(required=True)
    description = fields.Raw()
    redirect_uris = fields.Raw()
    token_endpoint_auth_method = fields.Raw()
    token_endpoint_auth_signing_alg = fields.Raw()
    grant_types = fields.Raw()
    response_types = fields.Raw()
    application_type = fields.Raw()
    scope = fields.Raw()
    contacts = fields.Raw()
    initiate_login_uri = fields.Raw()
    client_uri = fields.Raw()
    logo_uri = fields.Raw()
    tos_uri = fields.Raw()
    policy_uri = fields.Raw()
    jwks = fields.Raw()
    jwks_uri = fields.Raw()
    software_id = fields.Raw()
    software_version = fields.Raw()
    id_token_signed_response_alg = fields.Raw()
    dpop_bound_access_tokens = fields.Raw()


class RegisteredApp(OwnApp):
    """What a registration answers."""

    client_secret = fields.String(metadata=_said("Only where it has one, shown this once"))
