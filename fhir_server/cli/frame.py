"""What every command shares: lazy commands, settings, store and context, progress.

A user's mistake is one sentence and exit code 1 (2 for wrong usage and settings), never a traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from fhir_server.settings import Settings, SettingsError, load
from fhir_server.spec.outcome import FhirError

if TYPE_CHECKING:
    from rich.progress import Progress

    from fhir_server.interactions.model import Context

Commands = Mapping[str, tuple[str, str]]
"""Name → (`module:attribute` below this package, one line for the list of commands)."""


class Group(click.Group):
    """A group whose commands are imported when they run and tell a refusal in one sentence."""

    def __init__(self, *args: Any, commands_by_name: Commands, **options: Any) -> None:
        """Make a group of these commands."""
        super().__init__(*args, **options)
        self._lazy = commands_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the registry."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import and return a command, None for a name that is none."""
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"fhir_server.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the list of commands from the registry, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; exit with 1 on a refusal."""
        try:
            return super().invoke(ctx)
        except FhirError as error:
            raise click.ClickException(f"{error.status}: {error.diagnostics}") from error


def settings() -> Settings:
    """Return the settings of the environment, or exit with 2 and every mistake."""
    try:
        return load(os.environ)
    except SettingsError as error:
        click.echo(f"The settings cannot be used:\n{error}", err=True)
        sys.exit(2)


@contextmanager
def opened() -> Iterator[tuple[Settings, Context]]:
    """Open the store for one command.

    Raises:
        click.ClickException: The database cannot be reached, or has no schema yet.
    """
    from sqlalchemy import inspect

    from fhir_server.assembly import configure_logging, make_context
    from fhir_server.store.database import Store

    found = settings()
    configure_logging(found)
    with database_errors():
        store = Store(found.database_url)
        try:
            if not inspect(store.engine).has_table("resource"):
                raise click.ClickException("The database has no schema yet; make it with: fhir-server init")
            context = make_context(found, store)
            yield found, replace(context, definitions=context.live() if context.live else context.definitions)
        finally:
            store.close()


@contextmanager
def database_errors() -> Iterator[None]:
    """Tell what the database says in one sentence, without the statement."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        said = str(error.orig).strip().partition("\n")[0]
        raise click.ClickException(f"The database cannot be used: {said}") from error


def progress() -> Progress:
    """Return a progress display on standard error, which shows nothing unless that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
