"""The whole server in a test: real application, real database, a clock that the test moves, real access tokens."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from flask import Flask
from werkzeug.test import TestResponse

from fhir_server.access import tokens
from fhir_server.app import create_app
from fhir_server.assembly import make_context
from fhir_server.interactions.model import Context
from fhir_server.settings import Settings
from fhir_server.smart.keys import load_or_create
from fhir_server.store.database import Store
from tests import templates

templates.share()

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
EVERYTHING = "system/*.cruds user/*.cruds patient/*.cruds"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime = START) -> None:
        """Begin at an aware UTC instant."""
        self.at = start

    def __call__(self) -> datetime:
        """Return now."""
        return self.at

    def advance(self, **delta: float) -> None:
        """Move on, by the arguments of `timedelta`."""
        self.at += timedelta(**delta)


@dataclass(frozen=True)
class Server:
    """A server under test."""

    app: Flask
    store: Store
    clock: Clock
    is_plain: bool = False

    def close(self) -> None:
        """Close the database; an application with the settings of every test serves the next one."""
        self.store.close()
        if self.is_plain:
            _idle.append(self.app)

    def token(self, subject: str, scope: str = EVERYTHING, *, trusted: bool = False, **more: Any) -> str:
        """Return an access token, as `fhir-server token issue` mints it."""
        kind = subject.partition("/")[0]
        grant = tokens.TokenGrant(
            subject=subject,
            client_id=more.pop("client_id", "test"),
            scope=scope,
            auth_time=more.pop("auth_time", self.clock()),
            expires_in_s=more.pop("expires_in_s", 86_400),
            patient=more.pop("patient", subject if kind == "Patient" else ""),
            trusted=trusted,
            may_break_glass=more.pop("may_break_glass", kind == "Practitioner"),
            **more,
        )
        with self.store.write() as session:
            return tokens.issue(session, grant, self.clock())

    def operator(self) -> str:
        """Return a token of the record's operator."""
        return self.token("system", trusted=True)

    def call(
        self,
        method: str,
        path: str,
        token: str = "",
        body: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """Send one request to `/fhir` (a full URL is taken as it is)."""
        sent = {"Accept": "application/fhir+json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/fhir+json")
        base = f"{self.app.extensions['fhir'].base_url}/fhir"
        url = path.removeprefix(base)
        url = url if url.startswith(("?", "/")) or not url else f"/{url}"
        return self.app.test_client().open(f"/fhir{url}", method=method, data=data, headers=sent)

    def get(self, path: str, token: str, status: int = 200) -> Any:
        """Read something that must answer this status; return the parsed body."""
        answer = self.call("GET", path, token)
        assert answer.status_code == status, answer.text
        return orjson.loads(answer.data) if answer.data else None

    def post(self, path: str, token: str, body: Mapping[str, Any], status: int = 201) -> Any:
        """Post something that must answer this status; return the parsed body."""
        answer = self.call("POST", path, token, body)
        assert answer.status_code == status, answer.text
        return orjson.loads(answer.data) if answer.data else None

    def put(self, body: Mapping[str, Any], token: str, status: int | None = None) -> Any:
        """Put a resource under its own id; return the parsed body."""
        answer = self.call("PUT", f"{body['resourceType']}/{body['id']}", token, body)
        assert answer.status_code in ({status} if status else {200, 201}), answer.text
        return orjson.loads(answer.data) if answer.data else None

    def ids(self, path: str, token: str) -> set[str]:
        """Return `Type/id` of everything on the first page of a search, matches and includes."""
        entries = self.get(path, token).get("entry", [])
        return {f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in entries}


_idle: list[Flask] = []
"""Applications that were built with plain settings and whose test is over: routes take longer than most tests do."""


def build(url: str, folder: Path, clock: Clock | None = None, **settings: Any) -> Server:
    """Return a server over a database whose schema is there; messages go to the folder."""
    is_plain = clock is None and not settings
    clock = clock or Clock()
    found = Settings(
        database_url=url,
        base_url=settings.pop("base_url", "http://localhost"),
        key_directory=str(_found_keys() if is_plain else _keys(folder)),
        mail_url=f"file://{folder / 'outbox'}",
        sms_url=f"file://{folder / 'outbox'}",
        **settings,
    )
    store = Store(url)
    if is_plain and _idle:
        return Server(_again(_idle.pop(), make_context(found, store, now=clock)), store, clock, is_plain)
    app = create_app(found, store=store, now=clock)
    app.extensions["as built"] = dict(app.extensions)
    return Server(app, store, clock, is_plain)


def _again(app: Flask, context: Context) -> Flask:
    """Return an application as it was built, with the database and the clock of another test."""
    built = app.extensions["as built"]
    app.extensions.update(built, fhir=replace(built["fhir"], base=context))
    return app


def _keys(folder: Path) -> Path:
    """Return the folder of keys, with a signing key that took time to find only once a run."""
    keys = folder / "keys"
    if not keys.exists():
        shutil.copytree(_found_keys(), keys)
    return keys


@cache
def _found_keys() -> Path:
    found = Path(tempfile.mkdtemp(prefix="fhir-server-keys-"))
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    load_or_create(found)
    return found


def create_schema(url: str) -> None:
    """Create the schema as a deployment does."""
    from fhir_server.store.schema import upgrade  # noqa: PLC0415 - Alembic is slow to import

    upgrade(url)
