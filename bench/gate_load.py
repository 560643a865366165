"""Fill an empty database with the gate's record.

People and Consents come down the road; the Observations are written as the road would have stored them.
"""

import sys
import time
from itertools import islice
from typing import Any

from bench import gate_record
from fhir_server.access import tokens
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.store import resources

_ENTRIES = 200
_ROWS = 2_000


def fill(context: Context, patients: int, observations: int) -> None:
    """Load the record; every statistic is up to date afterwards."""
    started = time.perf_counter()
    known = gate_record.people(patients)
    while entries := [_entry(each) for each in islice(known, _ENTRIES)]:
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        perform(Interaction(Code.TRANSACTION, resource=bundle), tokens.operator(context.now()), context)
    _report("people and consents", 2 * patients, started)
    started = time.perf_counter()
    rows = gate_record.observations(context.definitions, patients, observations)
    while chunk := list(islice(rows, _ROWS)):
        with context.store.write() as session:
            resources.put_new(session, chunk)
    if context.store.is_postgresql:
        _analyze(context)
    _report("Observations", observations, started)


def _entry(resource: dict[str, Any]) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


def _analyze(context: Context) -> None:
    pooled = context.store.engine.raw_connection()
    try:
        driver: Any = pooled.driver_connection
        driver.execute("SET statement_timeout = 0")
        driver.commit()
        driver.autocommit = True
        driver.execute("VACUUM ANALYZE")
    finally:
        pooled.invalidate()


def _report(what: str, count: int, started: float) -> None:
    elapsed_s = time.perf_counter() - started
    print(f"loaded {count} {what} in {elapsed_s:.0f} s, {count / elapsed_s:.0f}/s", file=sys.stderr)
