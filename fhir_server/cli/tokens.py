"""token issue."""

from __future__ import annotations

import json

import click

from fhir_server.access import purposes, tokens
from fhir_server.cli.frame import opened

_SUBJECTS = ("Patient", "Practitioner", "RelatedPerson", "Organization", "Device")


@click.group()
def token() -> None:
    """Access tokens for scripts and load tests."""


@token.command("issue", epilog='Example: fhir-server token issue --as Practitioner/1 --scope "user/*.rs" --json')
@click.option("--as", "subject", required=True, help="TYPE/ID, such as Practitioner/1, or system.")
@click.option("--scope", required=True, help="SMART scopes, separated by spaces.")
@click.option("--trusted", is_flag=True, help="The operator's own system: consent does not filter it.")
@click.option("--purpose", default="TREAT", show_default=True, help="Codes of v3-ActReason.")
@click.option("--expires", default=3600, show_default=True, type=click.IntRange(1, 86400), help="Lifetime in seconds.")
@click.option("--client", "client_id", default="command-line", show_default=True, help="Client the token is issued to.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def issue(
    *, subject: str, scope: str, trusted: bool, purpose: str, expires: int, client_id: str, as_json: bool
) -> None:
    """Mint the access token that the authorization server would issue to this subject."""
    kind, _, logical_id = subject.partition("/")
    if subject != "system" and (kind not in _SUBJECTS or not logical_id):
        raise click.UsageError(f"--as must be TYPE/ID of {', '.join(_SUBJECTS)}, or system")
    if trusted and subject != "system":
        raise click.UsageError("--trusted is for the record's operator only: --as system")
    try:
        purposes.check(purpose)
    except ValueError as error:
        raise click.UsageError(f"--purpose {error}") from error
    with opened() as (_, context), context.store.write() as session:
        now = context.now()
        grant = tokens.TokenGrant(
            subject=subject,
            client_id=client_id,
            scope=scope,
            auth_time=now,
            expires_in_s=expires,
            purpose=purpose,
            patient=subject if kind == "Patient" else "",
            trusted=trusted,
            may_break_glass=kind == "Practitioner" and not trusted,
        )
        text = tokens.issue(session, grant, now)
    click.echo(json.dumps({"access_token": text, "expires_in": expires}) if as_json else text)
