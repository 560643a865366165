"""Alembic's entry: run the migrations on the database that `schema.upgrade` was asked for."""

from __future__ import annotations

from alembic import context

from fhir_server.store.database import Store
from fhir_server.store.metadata import metadata


def run() -> None:
    """Run the migrations on a connection of our own engine, so that its pragmas and types hold."""
    store = Store(context.config.attributes["url"])
    try:
        with store.engine.begin() as connection:
            context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
            context.run_migrations()
    finally:
        store.close()


run()
