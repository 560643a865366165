"""Index tables of search: one narrow table per stored shape.

Every row carries the search parameter (`SearchParameter.key`, which stands for type and code; `search.keys` derives
further ones for parts of composites), the key of the resource it belongs to and that resource's (first) patient.
`item` numbers the occurrence of a composite, so that its parts can be matched within one element. A row discloses
nothing on its own: queries join it to `visibility.readable`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, SmallInteger, Table, Text

from fhir_server.store.metadata import metadata
from fhir_server.store.text_index import text

# Ordered by code point on both databases, so that a prefix is a range and bound parameters can use the index.
by_code_point = Text().with_variant(Text(collation="C"), "postgresql")


def _index_table(name: str, *columns: Column[object]) -> Table:
    return Table(
        name,
        metadata,
        Column("key", BigInteger, nullable=False),
        Column("param", Integer, nullable=False),
        Column("patient", BigInteger, nullable=False),
        Column("item", SmallInteger, nullable=False, server_default="0"),
        *columns,
        Index(f"ix_{name}_key", "key", "param"),
    )


token = _index_table(
    "index_token",
    Column("code", BigInteger, nullable=False),
    Column("system", BigInteger, nullable=False),
    Column("head", by_code_point, nullable=False),
    # When the resource happened, so that the newest with a code are found without looking at the others.
    Column("date", BigInteger, nullable=False),
    # What was measured, where that is one number, so that most with another are passed over in the index itself.
    Column("value", Float(53)),
)
Index("ix_index_token_code", token.c.param, token.c.code, token.c.date, token.c.key, token.c.system, token.c.value)
Index("ix_index_token_system", token.c.param, token.c.system)

string = _index_table(
    "index_string",
    Column("head", by_code_point, nullable=False),
    Column("rest", Text, nullable=False),
    Column("exact", Text, nullable=False),
)
# With the key, which resources have a text is told by the index alone.
Index("ix_index_string_head", string.c.param, string.c.head, string.c.key)

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
    Column("unit", BigInteger, nullable=False),
    # What a UCUM unit measures and the value in its base units; 0 and the value as written for any other unit.
    Column("dimension", BigInteger, nullable=False),
    Column("canonical_lo", Float(53), nullable=False),
    Column("canonical_hi", Float(53), nullable=False),
)
Index("ix_index_quantity_lo", quantity.c.param, quantity.c.lo)
Index("ix_index_quantity_hi", quantity.c.param, quantity.c.hi)
Index(
    "ix_index_quantity_canonical",
    quantity.c.param,
    quantity.c.dimension,
    quantity.c.canonical_lo,
    quantity.c.canonical_hi,
)

# A place as a unit vector from the centre of the Earth.
position = _index_table(
    "index_position",
    Column("x", Float(53), nullable=False),
    Column("y", Float(53), nullable=False),
    Column("z", Float(53), nullable=False),
)
Index("ix_index_position_z", position.c.param, position.c.z)

reference = _index_table(
    "index_reference",
    Column("target", BigInteger, nullable=False),
    Column("target_type", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
)
Index("ix_index_reference_target", reference.c.param, reference.c.target, reference.c.key)
Index("ix_index_reference_any", reference.c.target)

uri = _index_table(
    "index_uri",
    Column("head", by_code_point, nullable=False),
    Column("uri", Text, nullable=False),
)
Index("ix_index_uri_head", uri.c.param, uri.c.head)

ALL = (token, string, date, quantity, position, reference, uri, text)
