"""Fixtures and switches for every test: databases, a browser, Hypothesis profiles, no skips in CI."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, Page

from fhir_server.store.database import Session, Store
from tests.browsers import isolated_page, launched_chromium
from tests.consent.world import World, fill
from tests.databases import Databases, PostgresqlDatabases, SqliteDatabases
from tests.postgres import Cluster, run_folder, running_cluster, sweep, sweep_abandoned
from tests.server import Server, build, create_schema

# Set in CI: what this machine lacks is then a failure of CI, not of the tests.
NO_SKIPS = os.environ.get("FHIR_TEST_NO_SKIPS") == "1"
RUN_VARIABLE = "FHIR_TEST_RUN"

_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder of Linux that is kept in memory; nothing secret goes there
_ROOM_BYTES = 6 * 1024**3

settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def _is_controller(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")


def _keep_in_memory() -> None:
    """Put temporary files where writing them durably costs nothing, unless TMPDIR says where they go.

    A commit waits for the disk, and so does each of the hundreds of files of a new PostgreSQL database.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        return
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None


def _keep_bytecode() -> None:
    """Let the many processes of a run find compiled what the first one compiled, whatever the machine's habit is."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    """Name the run, so that its workers share one PostgreSQL."""
    if _is_controller(config):
        _keep_in_memory()
        _keep_bytecode()
        os.environ[RUN_VARIABLE] = str(os.getpid())
        sweep_abandoned()


def pytest_collection_finish() -> None:
    """Spare every full collection of garbage what the imports made: it stays to the end."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing running, even where a worker crashed."""
    if _is_controller(config):
        folder = run_folder(os.getpid())
        if folder.exists():
            sweep(folder)


def _insist(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where nothing may be skipped."""
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"FHIR_TEST_NO_SKIPS is set, yet: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Watch for tests that skip themselves."""
    report = yield
    _insist(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Watch for modules that skip themselves."""
    report = yield
    _insist(report)
    return report


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """Return the PostgreSQL server of this run; started when the first test asks."""
    yield from running_cluster(run_folder(int(os.environ[RUN_VARIABLE])))


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Databases]:
    """Return a maker of fresh databases; the test runs once for each kind of database."""
    if request.param == "sqlite":
        templates = tmp_path_factory.getbasetemp() / "sqlite-templates"
        templates.mkdir(exist_ok=True)
        yield SqliteDatabases(tmp_path, templates)
        return
    made = PostgresqlDatabases(request.getfixturevalue("postgres_cluster"))
    yield made
    made.close()


@pytest.fixture
def database_url(databases: Databases) -> str:
    """Return the URL of a database with the schema and no rows; the test runs once for each kind of database."""
    return databases.prepared("schema", create_schema)


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    """Return a transaction that writes to an empty database, once for each kind of database."""
    store = Store(database_url)
    with store.write() as opened:
        yield opened
    store.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a Chromium with a new profile; skips, naming the command that installs one, where there is none."""
    yield from launched_chromium()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a page of a new browser context; fails if the page asked any host but this machine."""
    yield from isolated_page(browser)


@pytest.fixture
def world(databases: Databases, tmp_path: Path) -> Iterator[World]:
    """Return the whole server over a small record with something to hide, once for each kind of database."""
    made = build(databases.prepared("small-world", fill), tmp_path)
    yield World(made).enter()
    made.close()


@pytest.fixture
def server(databases: Databases, tmp_path: Path) -> Iterator[Server]:
    """Return the whole server over an empty record, once for each kind of database."""
    made = build(databases.prepared("schema", create_schema), tmp_path)
    yield made
    made.close()
