"""What a service counts, as Prometheus reads it; of all worker processes together."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that says where several processes keep their counts, before this is imported."""

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """The counts of one process."""

    def __init__(self) -> None:
        self.registry = here = CollectorRegistry()
        self.requests = Counter(
            "vicl_requests", "Requests, by route and status.", ["route", "status"], registry=here
        )
        self.seconds = Histogram(
            "vicl_request_seconds",
            "From a request to its end.",
            ["route"],
            buckets=_SECONDS,
            registry=here,
        )
        self.queries = Gauge(
            "vicl_queries_waiting",
            "Queries that wait for an engine.",
            multiprocess_mode="livesum",
            registry=here,
        )
        self.batches = Histogram(
            "vicl_batch_queries",
            "Queries that were answered together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=here,
        )
        self.busy = Counter("vicl_engine_seconds", "Seconds that engines worked.", registry=here)

    def waiting(self, count: int) -> None:
        """See :class:`.batcher.Watcher`."""
        self.queries.set(count)

    def batch(self, size: int, seconds: float) -> None:
        """See :class:`.batcher.Watcher`."""
        self.batches.observe(size)
        self.busy.inc(seconds)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """All counts as text, and its media type."""
        registry = self.registry
        if FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
