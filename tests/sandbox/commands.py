"""Running the command `hubspot-sandbox` as a user does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

COMMAND = (sys.executable, "-m", "hubspot_sandbox")


def run(*words: str, state_dir: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; raise if its output stays open, as it does when a server inherits it."""
    environment = os.environ | ({"HUBSPOT_SANDBOX_STATE_DIR": str(state_dir)} if state_dir else {})
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=30, env=environment, check=False)


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
