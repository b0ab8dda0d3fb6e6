"""Request counts per endpoint and status, for tests and for figures of requests per record."""

from __future__ import annotations

from collections import Counter
from typing import Any


class RequestLog:
    """Counts per (endpoint, status), without contents or tokens."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()

    def add(self, endpoint: str, status: int) -> None:
        """Count one request; status 0 means that the connection was cut instead of a reply."""
        self.counts[endpoint, status] += 1

    @property
    def total(self) -> int:
        """The number of requests to HubSpot's endpoints."""
        return self.counts.total()

    def as_json(self) -> dict[str, Any]:
        """`{"total": …, "byStatus": {"200": …}, "byEndpoint": {"list contacts": {"200": …}}}`."""
        endpoints: dict[str, dict[str, int]] = {}
        statuses: Counter[str] = Counter()
        for (endpoint, status), count in sorted(self.counts.items()):
            endpoints.setdefault(endpoint, {})[str(status)] = count
            statuses[str(status)] += count
        return {"total": self.total, "byStatus": dict(statuses), "byEndpoint": endpoints}
