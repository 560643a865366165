"""client add, waiting, decide."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fhir_server.access import tokens
from fhir_server.cli.frame import opened
from fhir_server.identity import app_decisions, app_registry
from fhir_server.identity.app_decisions import MOST_REQUESTS_PER_MINUTE, STEPS, Decision
from fhir_server.interactions.perform import record_administration
from fhir_server.smart.keys import DEFAULT_ALGORITHM
from fhir_server.smart.registry import register_client


@click.group()
def client() -> None:
    """OAuth clients: apps and backend services."""


@client.command(
    "add",
    epilog="Example: fhir-server client add --name 'Trust feed' --jwks keys.json --organization Organization/rxh "
    "--scope 'system/*.cruds'",
)
@click.option("--name", required=True, help="Shown to people who are asked to connect it.")
@click.option("--public", is_flag=True, help="An app that can keep no secret (PKCE only).")
@click.option("--secret", is_flag=True, help="An app with a client secret, printed this once.")
@click.option(
    "--jwks", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File with a JWK Set of public keys."
)
@click.option("--jwks-uri", default="", help="https address of a JWK Set.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where an app is sent back to; may be repeated.")
@click.option("--launch-uri", default="", help="Where an EHR launch opens the app.")
@click.option("--scope", default="", help="The most that may be granted, separated by spaces.")
@click.option("--organization", default="", help="Organization/ID a backend service acts for.")
@click.option("--trusted", is_flag=True, help="The operator's own backend service: consent does not filter it.")
@click.option("--id-token-alg", default=DEFAULT_ALGORITHM, help="What its ID tokens are signed with: RS256 or ES256.")
@click.option("--dpop-bound", is_flag=True, help="It gets only tokens that are bound to a key of its own (DPoP).")
def add(  # noqa: PLR0913 - one parameter per option
    *,
    name: str,
    public: bool,
    secret: bool,
    jwks: Path | None,
    jwks_uri: str,
    redirect_uris: tuple[str, ...],
    launch_uri: str,
    scope: str,
    organization: str,
    trusted: bool,
    id_token_alg: str,
    dpop_bound: bool,
) -> None:
    """Register a client; print its id, and its secret this once, as JSON."""
    kinds = [kind for kind, chosen in (("public", public), ("secret", secret), ("jwks", jwks or jwks_uri)) if chosen]
    if len(kinds) != 1:
        raise click.UsageError("Say exactly one of --public, --secret, and --jwks or --jwks-uri.")
    with opened() as (_, context), context.store.write() as session:
        client_id, shown_once = register_client(
            session,
            name=name,
            kind=kinds[0],
            now=context.now(),
            jwks=_text_of(jwks) if jwks else "",
            jwks_uri=jwks_uri,
            redirect_uris=redirect_uris,
            launch_uri=launch_uri,
            scope=scope,
            organization=organization,
            trusted=trusted,
            id_token_alg=id_token_alg,
            dpop_bound=dpop_bound,
        )
    click.echo(json.dumps({"client_id": client_id} | ({"client_secret": shown_once} if shown_once else {})))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{path} is not a text file") from error


@client.command("waiting", epilog="Example: fhir-server client waiting")
def waiting() -> None:
    """List the apps that wait for a decision, as JSON, oldest first."""
    with opened() as (_, context), context.store.read() as session:
        found = app_registry.waiting(session)
    shown = [
        {
            "client_id": one.client.client_id,
            "name": one.client.name,
            "redirect_uris": list(one.client.redirect_uris),
            "scope": one.client.scope,
            "about": dict(one.app.about) if one.app else {},
        }
        for one in found
    ]
    click.echo(json.dumps(shown))


@client.command(
    "decide",
    epilog="Example: fhir-server client decide 1b4e28ba-2fa1-11d2-883f-0016d3cca427 approve --requests-per-minute 600",
)
@click.argument("client_id")
@click.argument("step", type=click.Choice(STEPS))
@click.option("--organization", default="", help="Organization/ID a backend service acts for, with approve.")
@click.option(
    "--requests-per-minute",
    type=click.IntRange(0, MOST_REQUESTS_PER_MINUTE),
    help="With approve and limit: how often it may ask; 0 sets no limit, without it the setting counts.",
)
@click.option("--reason", default="", help="What its maker is told; needed to refuse and to suspend.")
def decide(*, client_id: str, step: str, organization: str, requests_per_minute: int | None, reason: str) -> None:
    """Approve, refuse, suspend, resume or limit a client; its maker is told by e-mail."""
    decision = Decision(step, "system", organization, requests_per_minute, reason, is_operator=True)
    with opened() as (_, context), context.store.write() as session:
        app_decisions.decide(session, client_id, decision, context.now())
        operator = tokens.operator(context.now())
        record_administration(context, session, operator, action=f"{step}-app", description=f"client {client_id}")
    click.echo(json.dumps({"client_id": client_id, "decided": step}))
