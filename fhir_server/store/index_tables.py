"""Index tables of search: one narrow table per stored shape.

Every row carries the search parameter (`SearchParameter.key`, which stands for type and code), the key of the resource it belongs
to and that resource's (first) patient. A row discloses nothing on its own: queries join it to `visibility.readable`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text

from fhir_server.store.metadata import metadata


def _index_table(name: str, *columns: Column[object]) -> Table:
    return Table(
        name,
        metadata,
        Column("key", BigInteger, nullable=False),
        Column("param", Integer, nullable=False),
        Column("patient", BigInteger, nullable=False),
        *columns,
        Index(f"ix_{name}_key", "key"),
    )


token = _index_table(
    "index_token",
    Column("code", BigInteger, nullable=False),
    Column("system", BigInteger, nullable=False),
)
Index("ix_index_token_code", token.c.param, token.c.code, token.c.system, token.c.patient)
Index("ix_index_token_system", token.c.param, token.c.system)

string = _index_table(
    "index_string",
    Column("folded", Text, nullable=False),
    Column("exact", Text, nullable=False),
)
Index("ix_index_string_folded", string.c.param, string.c.folded, postgresql_ops={"folded": "text_pattern_ops"})

date = _index_table(
    "index_date",
    Column("lo", BigInteger, nullable=False),
    Column("hi", BigInteger, nullable=False),
)
Index("ix_index_date_lo", date.c.param, date.c.lo)
Index("ix_index_date_hi", date.c.param, date.c.hi)

quantity = _index_table(
    "index_quantity",
    Column("lo", Float(53), nullable=False),
    Column("hi", Float(53), nullable=False),
    Column("system", BigInteger, nullable=False),
    Column("code", BigInteger, nullable=False),
)
Index("ix_index_quantity_lo", quantity.c.param, quantity.c.lo)

reference = _index_table(
    "index_reference",
    Column("target", BigInteger, nullable=False),
    Column("target_type", Integer, nullable=False),
    Column("identifier", BigInteger, nullable=False),
)
Index("ix_index_reference_target", reference.c.param, reference.c.target)
Index("ix_index_reference_any", reference.c.target)
Index("ix_index_reference_identifier", reference.c.param, reference.c.identifier)

uri = _index_table(
    "index_uri",
    Column("uri", Text, nullable=False),
)
Index("ix_index_uri_uri", uri.c.param, uri.c.uri, postgresql_ops={"uri": "text_pattern_ops"})

ALL = (token, string, date, quantity, reference, uri)
