"""audit verify, audit check, audit checkpoint, audit public-key, audit grants."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path

import click

from fhir_server.assembly import audit_signer
from fhir_server.cli.frame import opened, progress
from fhir_server.cli.frame import settings as load_settings
from fhir_server.interactions.audit_proof_check import Checked, ProofError
from fhir_server.interactions.audit_proof_check import check as check_proof
from fhir_server.settings import Settings
from fhir_server.store import checkpoints, job_runs
from fhir_server.store.audit_verification import verify as verify_log
from fhir_server.store.checkpoints import Checkpoint, Signer
from fhir_server.store.database_role import grants

_KEY_BYTES = 32


@click.group()
def audit() -> None:
    """Verify the tamper-evident audit log, sign checkpoints of it."""


@audit.command("checkpoint", epilog="Example: fhir-server audit checkpoint > checkpoint-2026-11-22.txt")
def checkpoint() -> None:
    """Print the newest signed checkpoint, sealing what is new first; keep it elsewhere and verify with it later."""
    with opened() as (found, context):
        newest = checkpoints.sign_all(context.store, _signer(found), context.now())
    if newest is None:
        raise click.ClickException("The audit log is empty.")
    click.echo(newest.note(), nl=False)


@audit.command("verify", epilog="Example: fhir-server audit verify --checkpoint checkpoint-2026-11-22.txt")
@click.option(
    "--checkpoint",
    "kept",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint that `audit checkpoint` printed and that was kept elsewhere.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the finding as JSON.")
def verify(*, kept: Path | None, as_json: bool) -> None:
    """Recompute the audit log; if anything was changed, removed or reordered, name the first bad entry, exit with 1."""
    with opened() as (found, context), progress() as shown:
        public_key = _signer(found).public_key
        expected = _kept(kept, public_key) if kept else None
        task = shown.add_task("Verifying", total=None)
        with context.store.read() as session:
            finding = verify_log(
                session,
                public_key=public_key,
                checkpoint=expected,
                progress=lambda done, total: shown.update(task, completed=done, total=total),
            )
        with context.store.write() as session:
            told = f"{finding.verified} entries are those that were signed" if finding.ok else finding.reason
            job_runs.note(session, job_runs.AUDIT_VERIFY, context.now(), failed=not finding.ok, detail=told)
    if as_json:
        described = {"ok": finding.ok, "verified": finding.verified}
        bad = {} if finding.ok else {"first_bad_entry": finding.first_bad_seq, "reason": finding.reason}
        click.echo(json.dumps(described | bad))
    elif finding.ok:
        click.echo(f"The audit log is intact: {finding.verified} entries are those that were signed.")
    if not finding.ok:
        where = "" if finding.first_bad_seq is None else f" at entry {finding.first_bad_seq}"
        click.echo(f"The audit log is NOT intact{where}: {finding.reason}.", err=True)
        raise click.exceptions.Exit(1)


@audit.command("public-key", epilog="Example: fhir-server audit public-key")
def public_key() -> None:
    """Print the public key of this server's checkpoints, in base64; publish it where patients trust you."""
    click.echo(b64encode(_signer(load_settings()).public_key).decode())


@audit.command("grants", epilog='Example: fhir-server audit grants fhir_web | psql "$OWNER_URL"')
@click.argument("role")
def grants_for(role: str) -> None:
    """Print the SQL that lets a PostgreSQL role serve, adding to the audit log but never changing it."""
    try:
        statements = grants(role)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ROLE") from error
    click.echo("".join(f"{statement};\n" for statement in ("BEGIN", *statements, "COMMIT")), nl=False)


@audit.command("check", epilog="Example: fhir-server audit check my-access-log.json --older last-year.json")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--older",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint, or an older file, that you kept: also show that nothing of then was changed or removed.",
)
@click.option("--public-key", "key", help="The server's key in base64, as its operator publishes it.")
@click.option("--json", "as_json", is_flag=True, help="Print the finding as JSON.")
def check(*, files: tuple[Path, ...], older: Path | None, key: str | None, as_json: bool) -> None:
    """Check access logs downloaded with $access-log-proof, without server or database; exit with 1 if one is wrong."""
    trusted = _public_key(key) if key else None
    for path in files:
        try:
            found = check_proof(path.read_bytes(), public_key=trusted, older=older.read_bytes() if older else None)
        except ProofError as error:
            if as_json:
                click.echo(json.dumps({"file": str(path), "ok": False, "reason": str(error)}))
            click.echo(f"{path} does NOT hold: {error}.", err=True)
            raise click.exceptions.Exit(1) from error
        click.echo(json.dumps(_described(path, found)) if as_json else _told(path, found, trusted is not None))


def _told(path: Path, found: Checked, trusted: bool) -> str:  # noqa: FBT001 - said by its name at the one call
    log = f"the log of {found.origin}, {found.size} entries when signed at {found.signed_at.isoformat()}"
    lines = [f"{path}: {found.proved_count} entries are in {log}, unaltered."]
    if found.pending_count:
        lines.append(
            f"  {found.pending_count} entries are newer than that; download again in a minute to have them proved."
        )
    if found.extends is not None:
        lines.append(
            f"  It extends the log of {found.extends} entries that you kept: nothing of then is changed or removed."
        )
    if found.next_url:
        lines.append(f"  This is one page; the rest is at {found.next_url}")
    if not trusted:
        key = b64encode(found.public_key).decode()
        lines.append(f"  Signed with {key}: compare it with the key that the operator publishes.")
    return "\n".join(lines)


def _described(path: Path, found: Checked) -> dict[str, object]:
    return {
        "file": str(path),
        "ok": True,
        "origin": found.origin,
        "public_key": b64encode(found.public_key).decode(),
        "signed_at": found.signed_at.isoformat(),
        "size": found.size,
        "proved": found.proved_count,
        "pending": found.pending_count,
        "extends": found.extends,
        "next": found.next_url or None,
    }


def _public_key(text: str) -> bytes:
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise click.BadParameter("is 32 bytes in base64, as `audit public-key` prints them", param_hint="--public-key")
    return key


def _signer(found: Settings) -> Signer:
    try:
        return audit_signer(found)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"The key of the audit log cannot be used: {error}") from error


def _kept(path: Path, public_key: bytes) -> Checkpoint:
    try:
        return checkpoints.parse_note(path.read_text(encoding="utf-8"), public_key)
    except ValueError as error:
        raise click.ClickException(f"{path}: {error}") from error
