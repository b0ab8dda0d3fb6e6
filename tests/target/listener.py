"""Servers on 127.0.0.1 between a target and its database."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod


class Listener(ABC):
    """Accepts connections on a free port, one thread each, until it is closed."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    @abstractmethod
    def serve(self, client: socket.socket) -> None:
        """Serve one connection."""

    def close(self) -> None:
        """Stop accepting connections."""
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()
