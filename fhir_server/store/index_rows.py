"""Hand out the index tables of search, by shape.

`search` names a shape, never a table; what it may learn from an index row is only which resources to ask `readable`
for.
"""

from __future__ import annotations

from sqlalchemy import FromClause, select

from fhir_server.store import index_tables, tables
from fhir_server.store.keys import type_key

NO_DATE = -(2**63)
"""`index_token.date` of a resource that says no time: before any."""

_TABLES = {table.name: table for table in index_tables.ALL}


def alias(name: str) -> FromClause:
    """Return a fresh alias of an index table, such as `index_token`."""
    return _TABLES[name].alias()


def of_type(resource_type: str) -> FromClause:
    """Return key, clinical time (`date`, NULL for none) and `updated_at` of each resource of a type, deleted or not."""
    row = tables.resource.alias()
    columns = (row.c.key, row.c.date_lo.label("date"), row.c.updated_at)
    return select(*columns).where(row.c.type == type_key(resource_type)).subquery()
