"""seed: the invented people of `seed_data/`, loaded down the road as the organisations that wrote them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import click
from joserfc.jwk import ECKey

import seed_data
from fhir_server.access import tokens
from fhir_server.cli.frame import opened, progress
from fhir_server.identity.accounts import create_account
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.operations.end_break_glass import record_expired
from fhir_server.smart.registry import register_client
from fhir_server.spec import json as fhir_json
from fhir_server.store import accounts, notice_choices
from seed_data import Account, PastEmergency, Seed

_BATCH = 100


@click.command(epilog="Example: fhir-server seed --patients 60 --json")
@click.option("--patients", default=60, show_default=True, type=click.IntRange(60, 1_000_000), help="How many people.")
@click.option("--json", "as_json", is_flag=True, help="Print the demo sign-ins as JSON.")
def seed(*, patients: int, as_json: bool) -> None:
    """Load the demo data, all invented, and print the demo sign-ins."""
    with opened() as (settings, context):
        if settings.environment != "demo":
            raise click.ClickException("Demo data and accounts are only for FHIR_SERVER_ENVIRONMENT=demo.")
        data = seed_data.generate(context.now().date(), patients)
        _load(context, data, patients)
        _add_people(context, data, settings.key_directory)
        base_url = settings.base_url
    if as_json:
        click.echo(json.dumps({"accounts": [_described(account) for account in data.accounts]}))
        return
    click.echo("Demo sign-ins (all invented):")
    for account in data.accounts:
        click.echo(f"  {account.role:16} {account.name:20} {account.email:32} {account.password}")
    click.echo(f"Sign in at {base_url}/sign-in")
    click.echo("First request, from another terminal:")
    click.echo("  TOKEN=$(.venv/bin/fhir-server token issue --as Patient/amelia-hart --scope 'patient/*.rs')")
    click.echo(
        f"  curl -H \"Authorization: Bearer $TOKEN\" '{base_url}/fhir/Observation?code=59261-8&_sort=-date&_count=3'"
    )


def _load(context: Context, data: Seed, patients: int) -> None:
    operator = tokens.operator(context.now())
    with progress() as shown:
        task = shown.add_task("Loading people", total=patients)
        for start in range(0, len(data.directory), _BATCH):
            perform(_transaction(data.directory[start : start + _BATCH]), operator, context)
        seen: set[str] = set()
        for authored in data.bundles:
            with context.store.read() as session:
                author = tokens.feed(session, authored.author, context.now(), "seed")
            perform(
                Interaction(Code.TRANSACTION, resource=fhir_json.decode(fhir_json.encode(authored.bundle), 2**30)),
                author,
                context,
            )
            people = {
                entry["resource"]["id"]
                for entry in authored.bundle["entry"]
                if entry["resource"]["resourceType"] == "Patient"
            }
            shown.advance(task, len(people - seen))
            seen |= people
        for start in range(0, len(data.consents), _BATCH):
            perform(_transaction(data.consents[start : start + _BATCH]), operator, context)


def _transaction(resources: tuple[dict[str, object], ...]) -> Interaction:
    entries = [
        {"resource": item, "request": {"method": "PUT", "url": f"{item['resourceType']}/{item['id']}"}}
        for item in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return Interaction(Code.TRANSACTION, resource=fhir_json.decode(fhir_json.encode(bundle), 2**30))


def _add_people(context: Context, data: Seed, key_directory: str) -> None:
    now = context.now()
    jwks = _demo_key(Path(key_directory))
    with context.store.write() as session:
        for account in data.accounts:
            made = create_account(
                session,
                role=account.role,
                email=account.email,
                name=account.name,
                password=account.password,
                reference=account.reference or "",
                organization=account.organization or "",
                may_break_glass=account.may_break_glass,
                now=now,
            )
            if account.role == "carer":
                notice_choices.choose(session, made.id, notice_choices.EMERGENCIES, wanted=True, now=now)
        for client in data.clients:
            register_client(
                session,
                name=client.name,
                kind="public" if client.kind == "public" else "jwks",
                jwks="" if client.kind == "public" else jwks,
                redirect_uris=client.redirect_uris,
                scope=client.scope,
                organization=client.organization or "",
                trusted=False,
                now=now,
                client_id=client.client_id,
            )
    for emergency in data.emergencies:
        _replay(context, emergency)


def _demo_key(folder: Path) -> str:
    """Make the key that the demo's backend services sign with, keep it for scripts, return the public JWK Set."""
    key = ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384"}, private=True, auto_kid=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "demo-clients.jwk"
    path.touch(mode=0o600)
    path.write_text(json.dumps(key.as_dict(private=True)))
    return json.dumps({"keys": [key.as_dict(private=False)]})


def _replay(context: Context, emergency: PastEmergency) -> None:
    """Perform a past emergency access as it would have been then: start, one look, end, verdict."""
    started = replace(context, now=lambda: emergency.started_at)
    with context.store.read() as session:
        professional = tokens.professional(
            session,
            emergency.practitioner,
            emergency.organization or "",
            emergency.started_at,
            f"seed-{context.new_id()}",
        )
    patient_id = emergency.patient.removeprefix("Patient/")
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "reasonCode",
                "valueCoding": {
                    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                    "code": emergency.reason_code,
                },
            },
            {"name": "reason", "valueString": emergency.reason},
            {"name": "declaration", "valueBoolean": True},
        ],
    }
    on_patient = Interaction(Code.OPERATION, "Patient", patient_id, operation="break-glass", resource=parameters)
    perform(on_patient, professional, started)
    soon = replace(context, now=lambda: emergency.started_at + timedelta(seconds=40))
    perform(Interaction(Code.READ, "Patient", patient_id), professional, soon)
    ended = replace(context, now=lambda: emergency.ended_at)
    if emergency.ended_at < emergency.started_at + timedelta(minutes=context.break_glass_minutes):
        perform(replace(on_patient, operation="end-break-glass", resource=None), professional, ended)
    else:
        record_expired(ended)
    if emergency.reviewed_at is not None:
        _review(context, emergency, emergency.reviewed_at)


def _review(context: Context, emergency: PastEmergency, now: datetime) -> None:
    """Close the review of a past emergency access as a privacy officer would have, within its time."""
    context = replace(context, now=lambda: now)
    with context.store.read() as session:
        officer = accounts.with_role(session, "privacy-officer")[0]
        principal = tokens.for_account(session, officer, now, f"seed-{context.new_id()}", now)
    waiting = perform(
        Interaction(Code.SEARCH, "Task", query=(("patient", emergency.patient), ("status", "requested"))),
        principal,
        context,
    )
    for entry in json.loads(waiting.content).get("entry", ()):
        parameters = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "outcome", "valueCode": emergency.verdict},
                {"name": "note", "valueString": emergency.note},
            ],
        }
        closing = Interaction(
            Code.OPERATION, "Task", entry["resource"]["id"], operation="close-emergency-review", resource=parameters
        )
        perform(closing, principal, context)


def _described(account: Account) -> dict[str, str | None]:
    return {
        "role": account.role,
        "name": account.name,
        "email": account.email,
        "password": account.password,
        "reference": account.reference,
    }
