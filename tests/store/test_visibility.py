"""What `readable` keeps between requests: statements without values, and not too many of them."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
from sqlalchemy import ColumnElement, FromClause, select
from sqlalchemy.exc import StatementError
from sqlalchemy.sql.compiler import SQLCompiler

from fhir_server.access.visibility import Gate
from fhir_server.store.database import Session
from fhir_server.store.visibility import ONE_PATIENT, Look, Rules, execute, readable
from tests.access.gate_cases import ANN, BOB, NEIGHBOUR, OWNER, READER, RESULT
from tests.consent.storing import put

KEPT = 32


class _Counted(Gate):
    """A gate that counts how often a statement is built for its shape."""

    __slots__ = ()
    built = 0

    def predicate(self, row: FromClause, rules: Rules) -> ColumnElement[bool]:
        type(self).built += 1
        return Gate.predicate(self, row, rules)


def test_callers_of_one_shape_share_a_statement_and_no_value(session: Session) -> None:
    put(session, RESULT, "Observation/r")
    put(session, replace(NEIGHBOUR, patients=(BOB,)), "Observation/neighbour")
    bobs = replace(OWNER, own=BOB)
    keys = select(readable(OWNER).c.key)

    assert bobs.shape == OWNER.shape
    assert execute(session, OWNER, keys).scalars().all() == [RESULT.key]
    assert execute(session, bobs, keys).scalars().all() == [NEIGHBOUR.key]
    with pytest.raises(StatementError, match="value is required"):
        session.connection.execute(keys)


def test_whose_grants_are_looked_at_has_to_be_said(session: Session) -> None:
    settled = select(readable(READER, ("Observation",), look=Look.LIKELY, of_one=True).c.settled)

    with pytest.raises(StatementError, match="value is required"):
        execute(session, READER, settled)
    if session.is_postgresql:
        assert execute(session, READER, settled, {ONE_PATIENT: ANN}).all() == []


def test_what_is_compiled_over_rows_is_not_kept_by_the_hundred(session: Session) -> None:
    def compiled() -> int:
        gc.collect()
        kinds = [type(each) for each in gc.get_objects()]
        return sum(issubclass(kind, SQLCompiler) for kind in kinds)

    before = compiled()
    row = readable(OWNER)
    for number in range(2 * KEPT):
        others = [row.c.key != each for each in range(number)]
        execute(session, OWNER, select(row.c.key).where(*others))
    assert compiled() - before <= KEPT


def test_the_statements_asked_for_last_are_kept() -> None:
    gates = [_Counted(at_us=0, reviewed_types=(number,)) for number in range(KEPT + 1)]

    def count(*asked: Gate) -> int:
        before = _Counted.built
        for gate in asked:
            readable(gate)
        return _Counted.built - before

    assert count(*gates[:KEPT]) == KEPT
    assert count(gates[0]) == 0
    assert count(gates[KEPT]) == 1
    assert count(gates[KEPT], gates[0], *gates[2:KEPT]) == 0, "none that was asked for since went"
    assert count(gates[1]) == 1, "the one that nobody had asked for longest did"
