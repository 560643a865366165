"""What is counted: requests and their durations by door, messages waiting. Numbers only, nothing about a person.

With several worker processes (`PROMETHEUS_MULTIPROC_DIR` set, as `serve` does) each counts into files of that folder
and any of them answers for all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from fhir_server.spec.outcome import FhirError

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The counters of one application; a registry of its own, so that several live in one process."""

    def __init__(self, waiting_count: Callable[[], int]) -> None:
        """Count from nought; `waiting_count` is asked at each scrape."""
        self._own = CollectorRegistry()
        self._waiting = _Waiting(waiting_count)
        self._requests = Counter("fhir_http_requests", "Requests answered", ("door", "status"), registry=self._own)
        self._seconds = Histogram(
            "fhir_http_request_duration_seconds",
            "Time to an answer",
            ("door",),
            buckets=_BUCKETS_S,
            registry=self._own,
        )

    def observe(self, door: str, status: int, seconds: float) -> None:
        """Count one request.

        Args:
            door: Name of the front door; a fixed small set, never anything from the request.
            status: HTTP status, counted by its class.
            seconds: From the first line of ours to the last.
        """
        self._requests.labels(door, f"{status // 100}xx").inc()
        self._seconds.labels(door).observe(seconds)

    def text(self) -> bytes:
        """Return everything in the Prometheus text format 0.0.4."""
        counted, now = self._own, CollectorRegistry()
        if folder := os.environ.get(_SHARED):
            counted = CollectorRegistry()
            MultiProcessCollector(counted, path=folder)  # type: ignore[no-untyped-call]
        now.register(self._waiting)
        return generate_latest(counted) + generate_latest(now)


class _Waiting(Collector):
    """Asks the database at each scrape; says nothing where that fails."""

    def __init__(self, waiting_count: Callable[[], int]) -> None:
        self._waiting_count = waiting_count

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            count = self._waiting_count()
        except FhirError:
            return
        yield GaugeMetricFamily("fhir_messages_waiting", "Messages neither delivered nor given up", value=count)
