"""One caller on a connection of its own, in this process: token check, decision, statement, AuditEvent. No HTTP."""

import time

import psutil

from bench import data
from fhir_server.access import tokens
from fhir_server.assembly import make_context
from fhir_server.interactions.model import Interaction, Outcome
from fhir_server.interactions.perform import perform
from fhir_server.settings import load
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.database import Store

_SCOPE = "system/*.cruds user/*.cruds"


class Road:
    """One caller on a connection of its own, in this process: token check, decision, statement, AuditEvent."""

    def __init__(self, environment: dict[str, str], caller: str) -> None:
        settings = load(environment)
        self.context = make_context(settings, Store(settings.database_url, pool_size=2))
        self.token = self.issue(data.PROFESSIONAL if caller == "gated" else "system")
        self._backend = None
        if self.context.store.is_postgresql:
            with self.context.store.read() as session:
                pid = session.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            self._backend = psutil.Process(pid)

    def send(self, interaction: Interaction) -> None:
        """Perform one interaction; that some rows are hidden is an answer like any other."""
        try:
            self.sent(interaction)
        except FhirError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise

    def sent(self, interaction: Interaction) -> Outcome:
        """Perform one interaction and return what came of it."""
        assert self.context.callers is not None
        principal = self.context.callers.of(self.token, self.context.now())
        return perform(interaction, principal, self.context)

    def spent_s(self) -> float:
        """Return CPU seconds of this thread; the database's own are in `database_s`."""
        return time.thread_time()

    def database_s(self) -> float:
        if self._backend is None:
            return 0.0
        times = self._backend.cpu_times()
        return times.user + times.system

    def issue(self, subject: str) -> str:
        now = self.context.now()
        granted = tokens.TokenGrant(
            subject=subject,
            client_id="command-line",
            scope=_SCOPE,
            auth_time=now,
            expires_in_s=86_400,
            purpose="PATRQT" if subject.startswith("Patient/") else "TREAT",
            trusted=subject == "system",
            may_break_glass=subject == data.PROFESSIONAL,
        )
        with self.context.store.write() as session:
            return tokens.issue(session, granted, now)
