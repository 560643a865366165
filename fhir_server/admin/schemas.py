"""The shapes of `/api/v1` as marshmallow schemas: they check what comes in and describe everything in OpenAPI."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from fhir_server.admin.parsing import Asked
from fhir_server.identity.accounts import Role

_KINDS = ("public", "secret", "jwks")
_ADDRESS = validate.Length(max=2_000)
PAGE_LIMIT = 500


def _said(text: str) -> dict[str, str]:
    return {"description": text}


class Refusal(Schema):
    """An error."""

    code = fields.Integer(metadata=_said("HTTP status"))
    status = fields.String(metadata=_said("Kind of error"))
    message = fields.String(metadata=_said("What is wrong, naming the element"))


class NewClient(Asked):
    """A client to register."""

    name = fields.String(required=True, validate=validate.Length(1, 200), metadata=_said("Shown to people"))
    kind = fields.String(
        required=True,
        validate=validate.OneOf(_KINDS),
        metadata=_said("`public` (PKCE only), `secret` (a client secret) or `jwks` (private_key_jwt)"),
    )
    jwks = fields.Dict(metadata=_said("JWK Set of public keys, only with kind `jwks`"))
    jwks_uri = fields.String(load_default="", validate=_ADDRESS, metadata=_said("https address of one, instead"))
    redirect_uris = fields.List(
        fields.String(validate=_ADDRESS),
        load_default=list,
        validate=validate.Length(max=20),
        metadata=_said("Where an app is sent back to, compared to the letter; a backend service has none"),
    )
    launch_uri = fields.String(load_default="", validate=_ADDRESS, metadata=_said("Where an EHR launch opens the app"))
    scope = fields.String(load_default="", validate=_ADDRESS, metadata=_said("What may be granted at most"))
    organization = fields.String(load_default="", metadata=_said("`Organization/…` a backend service acts for"))
    trusted = fields.Boolean(
        load_default=False, metadata=_said("The operator's own backend service; only the operator may say so")
    )


class Client(Schema):
    """A registered client."""

    client_id = fields.String()
    name = fields.String()
    kind = fields.String(metadata=_said("`public`, `secret` or `jwks`"))
    jwks = fields.Raw(allow_none=True, metadata={"type": "object", **_said("Its public keys")})
    jwks_uri = fields.String()
    redirect_uris = fields.List(fields.String())
    launch_uri = fields.String()
    scope = fields.String()
    organization = fields.String()
    trusted = fields.Boolean()
    active = fields.Boolean(metadata=_said("An inactive client gets nothing, and its tokens are dead"))
    created_at = fields.DateTime()


class RegisteredClient(Schema):
    """What a registration answers."""

    client_id = fields.String()
    client_secret = fields.String(metadata=_said("Only with kind `secret`, shown this once"))


class Clients(Schema):
    """Every registered client, by name."""

    clients = fields.List(fields.Nested(Client))


class AccountQuery(Schema):
    """Which accounts to list."""

    role = fields.String(validate=validate.OneOf(tuple(Role)))
    after = fields.String(
        load_default="", validate=validate.Length(max=64), metadata=_said("`next` of the page before")
    )
    count = fields.Integer(load_default=100, validate=validate.Range(1, PAGE_LIMIT))


class Account(Schema):
    """A person who can sign in; neither password, memorable question nor telephone number."""

    id = fields.String()
    email = fields.String()
    name = fields.String()
    role = fields.String()
    reference = fields.String(metadata=_said("`Patient/…`, `Practitioner/…`, `RelatedPerson/…` or empty"))
    organization = fields.String()
    may_break_glass = fields.Boolean()
    active = fields.Boolean()
    created_at = fields.DateTime()
    email_confirmed_at = fields.DateTime(allow_none=True)


class Accounts(Schema):
    """A page of accounts, in the order of their ids."""

    accounts = fields.List(fields.Nested(Account))
    next = fields.String(metadata=_said("Value of `after` for the next page; absent on the last"))


class Checkpoint(Schema):
    """The newest signed state of the audit log."""

    size = fields.Integer(metadata=_said("Entries it covers"))
    signed_at = fields.DateTime()


class Status(Schema):
    """How the server is."""

    version = fields.String()
    schema_revision = fields.String()
    schema_revision_wanted = fields.String()
    messages_waiting_count = fields.Integer()
    checkpoint = fields.Nested(Checkpoint, allow_none=True)
