"""The schema of a database: created and upgraded by Alembic migrations, compared with the tables' metadata in tests."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(url: str) -> None:
    """Create the schema or bring it to this version; idempotent."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    command.upgrade(configuration(url), "head")


def configuration(url: str) -> Config:
    """Return Alembic's configuration for this database."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["url"] = url
    return config
