"""A server, its operator, an administrator, and programs that call `/api/v1`."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fhir_server.store import accounts
from fhir_server.store.accounts import Account, Secrets
from tests.databases import SqliteDatabases
from tests.server import Server, build, create_schema


@dataclass(frozen=True)
class Desk:
    """What an operator's program sees of a server."""

    server: Server

    def call(self, method: str, path: str, token: str = "", body: Any = None, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        sent: Mapping[str, Any] = {"json": body} if body is not None else {}
        return self.server.app.test_client().open(path, method=method, headers=headers, **sent, **more)

    def operator(self, scope: str = "system/*.cruds") -> str:
        return self.server.token("system", scope, trusted=True)

    def account(self, role: str, reference: str = "") -> Account:
        made = Account(
            id=str(uuid.uuid4()),
            email=f"{uuid.uuid4()}@example.org",
            name="Sam Example",
            role=role,
            reference=reference,
            organization="",
            may_break_glass=False,
            active=True,
            created_at=self.server.clock(),
            mobile="07700 900000",
            memorable_question="First school?",
        )
        with self.server.store.write() as session:
            accounts.add(session, made, Secrets("the-password-hash", "the-answer-hash"))
        return made

    def administrator(self, scope: str = "user/*.cruds", role: str = "admin") -> str:
        account = self.account(role)
        return self.server.token(f"account:{account.id}", scope, account_id=account.id)

    def events(self, action: str) -> list[dict[str, Any]]:
        found = self.server.get(f"AuditEvent?subtype={action}", self.server.operator())
        return [entry["resource"] for entry in found.get("entry", [])]


@pytest.fixture
def desk(server: Server) -> Desk:
    """Return a desk before a server with an empty record, once for each kind of database."""
    return Desk(server)


@pytest.fixture
def one(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a desk before a server on SQLite, for what does not depend on storage."""
    templates = tmp_path_factory.getbasetemp() / "sqlite-templates"
    templates.mkdir(exist_ok=True)
    made = build(SqliteDatabases(tmp_path, templates).prepared("schema", create_schema), tmp_path)
    yield Desk(made)
    made.close()
