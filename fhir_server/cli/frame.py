"""What every command shares: settings, store and context; a user's mistake is one sentence and exit code 1, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from fhir_server.app import make_context
from fhir_server.interactions.model import Context
from fhir_server.settings import Settings, SettingsError, load
from fhir_server.spec.outcome import FhirError
from fhir_server.store.database import Store


class Group(click.Group):
    """A group whose commands tell a refusal in one sentence."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
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
    """Open the store for one command."""
    found = settings()
    store = Store(found.database_url)
    try:
        yield found, make_context(found, store)
    finally:
        store.close()
