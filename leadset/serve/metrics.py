"""What a server counts, in the text form of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one server.

    Attributes:
        requests: requests by path and status.
        seconds: how long they took, by path.
        group_sizes: recordings that the networks answered together.
        under_way: requests under way.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "leadset_requests", "Requests by path and status.", ["path", "status"], registry=self._registry
        )
        self.seconds = Histogram("leadset_request_seconds", "Duration by path.", ["path"], registry=self._registry)
        self.group_sizes = Histogram(
            "leadset_group_recordings", "Recordings answered together.", buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self._registry,
        )  # fmt: skip
        self.under_way = Gauge("leadset_requests_under_way", "Requests under way.", registry=self._registry)

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self._registry)
