"""user add."""

from __future__ import annotations

import json
import sys

import click

from fhir_server.cli.frame import opened
from fhir_server.identity.accounts import Role, create_account


@click.group()
def user() -> None:
    """Accounts of people."""


@user.command(
    "add",
    epilog="Example: fhir-server user add --role professional --practitioner 12 --email a@example.org "
    "--password-stdin < password.txt",
)
@click.option("--role", required=True, type=click.Choice([str(role) for role in Role]), help="What the account is for.")
@click.option("--email", required=True, help="Address to sign in with.")
@click.option("--password-stdin", is_flag=True, required=True, help="Read the password from standard input.")
@click.option("--name", default="", help="Name shown in the portal; the e-mail address where absent.")
@click.option("--patient", default="", metavar="ID", help="Patient it belongs to (roles patient and carer).")
@click.option("--practitioner", default="", metavar="ID", help="Practitioner it belongs to (professionals and staff).")
@click.option("--related-person", default="", metavar="ID", help="RelatedPerson it belongs to (role carer).")
@click.option("--organization", default="", metavar="ID", help="Organization it works for (staff).")
@click.option("--may-break-glass", is_flag=True, help="Role allows emergency access (professionals).")
def add(  # noqa: PLR0913 - one parameter per option
    *,
    role: str,
    email: str,
    password_stdin: bool,
    name: str,
    patient: str,
    practitioner: str,
    related_person: str,
    organization: str,
    may_break_glass: bool,
) -> None:
    """Make an account that can sign in at once; print its id as JSON."""
    people = (("Patient", patient), ("Practitioner", practitioner), ("RelatedPerson", related_person))
    named = [f"{kind}/{_id_of(kind, value)}" for kind, value in people if value]
    if len(named) > 1:
        raise click.UsageError("Say one of --patient, --practitioner and --related-person.")
    if may_break_glass and role != Role.PROFESSIONAL:
        raise click.UsageError("--may-break-glass is for the role professional only.")
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else ""
    if not password:
        raise click.UsageError("The password must be the first line of standard input.")
    with opened() as (_, context), context.store.write() as session:
        account = create_account(
            session,
            role=role,
            email=email,
            name=name or email,
            password=password,
            now=context.now(),
            reference=named[0] if named else None,
            organization=f"Organization/{_id_of('Organization', organization)}" if organization else None,
            may_break_glass=may_break_glass,
            accepted=None,
        )
    click.echo(json.dumps({"id": account.id, "email": account.email, "role": account.role}))


def _id_of(kind: str, value: str) -> str:
    """Return a logical id, given bare or as a reference."""
    return value.removeprefix(f"{kind}/")
