"""audit verify, audit checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fhir_server.assembly import audit_signer
from fhir_server.cli.frame import opened, progress
from fhir_server.settings import Settings
from fhir_server.store import checkpoints
from fhir_server.store.audit_verification import verify as verify_log
from fhir_server.store.checkpoints import Checkpoint, Signer


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
