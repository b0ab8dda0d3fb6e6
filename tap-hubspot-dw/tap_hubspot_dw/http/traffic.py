"""Counting the requests of a stream."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Traffic:
    """Counters of the requests made for one stream; they only grow."""

    requests: int = 0
    retries: int = 0
    throttled_seconds: float = 0.0
    bytes_received: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, requests: int = 0, retries: int = 0, throttled: float = 0.0, received: int = 0) -> None:
        """Add to the counters. Thread-safe."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.throttled_seconds += throttled
            self.bytes_received += received
