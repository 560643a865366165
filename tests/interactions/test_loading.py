"""What `load` stores is what a PUT of each resource stores: the same bytes, labels, owners, grants and index rows."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bench import data
from fhir_server import settings
from fhir_server.access import tokens
from fhir_server.assembly import make_context
from fhir_server.interactions import loading
from fhir_server.interactions.load_texts import Text
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.spec.json import decode, encode
from fhir_server.store import index_tables, tables
from fhir_server.store.database import Store
from fhir_server.store.load_parts import Part
from tests.databases import Databases
from tests.server import create_schema

_NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
_EXAMPLES = Path(__file__).parents[2] / "profiles" / "examples"
_REFUSED = frozenset({"AuditEvent", "Consent"})
"""Types of examples that nobody may write, or that name nobody who could be given anything."""
_TABLES = (
    tables.resource,
    tables.resource_patient,
    tables.consent_grant,
    tables.membership,
    *index_tables.ALL,
)


def _resources() -> list[dict[str, Any]]:
    """Return so many that PostgreSQL gets them by COPY, with what is odd to write among them."""
    odd = {
        "resourceType": "Patient",
        "id": "odd",
        "name": [{"family": 'O\\N\t"{Brien}",\\.', "given": ["Zoë", "\U0001f600"]}],
        "contained": [{"resourceType": "Organization", "id": "gp", "name": "Inside"}],
        "managingOrganization": {"reference": "#gp"},
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">It\'s \\x here</div>'},
    }
    shared = {
        "resourceType": "Appointment",
        "id": "shared",
        "status": "proposed",
        "participant": [
            {"actor": {"reference": f"Patient/{data.patient_id(number)}"}, "status": "accepted"} for number in range(2)
        ],
    }
    examples = [json.loads(path.read_text()) for path in sorted(_EXAMPLES.glob("*.json"))]
    return [odd, *data.resources(3, 60), shared, *(each for each in examples if each["resourceType"] not in _REFUSED)]


def _context(databases: Databases, tmp_path: Path) -> Context:
    environment = {
        "FHIR_SERVER_DATABASE_URL": databases.prepared("schema", create_schema),
        "FHIR_SERVER_KEY_DIRECTORY": str(tmp_path / "keys"),
    }
    store = Store(environment["FHIR_SERVER_DATABASE_URL"], pool_size=2)
    return make_context(settings.load(environment), store, now=lambda: _NOW)


def _rows(context: Context) -> Iterator[tuple[str, list[str]]]:
    with context.store.read() as session:
        for table in _TABLES:
            columns = [column for column in table.c if column is not table.autoincrement_column]
            found = session.connection.execute(select(*columns))
            yield table.name, sorted(repr([bytes(v) if isinstance(v, memoryview) else v for v in row]) for row in found)


def test_a_load_stores_what_a_put_of_each_resource_stores(databases: Databases, tmp_path: Path) -> None:
    lines = [encode(each) for each in _resources()]
    loaded, put = _context(databases, tmp_path), _context(databases, tmp_path)
    principal = tokens.operator(_NOW)
    texts = [Text(number, line) for number, line in enumerate(lines, start=1)]
    (done,) = loading.load(Part("file", "mark", 1, len(lines)), texts, principal, loaded)
    assert (done.loaded_count, done.refused) == (len(lines), ())
    for line in lines:
        resource = decode(line, len(line) + 1)
        update = Interaction(Code.UPDATE, resource["resourceType"], resource["id"], resource=resource)
        assert perform(update, principal, put).status == 201
    expected = dict(_rows(put))
    assert all(expected[name] for name in ("resource", "resource_patient", "consent_grant", "index_text"))
    assert dict(_rows(loaded)) == expected
    for each in (loaded, put):
        each.store.close()
