"""Fixtures that run `target-warehouse` as users do: a process, a configuration file, messages on standard input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DuckDBWarehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMANDS = Path(sys.executable).parent


@pytest.fixture
def file(tmp_path: Path) -> DuckDBWarehouse:
    """A DuckDB file that does not exist yet."""
    return DuckDBWarehouse(tmp_path / "crm.duckdb")


@pytest.fixture
def run_target(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_target(text, **config)`: the finished process, with `stdout` and `stderr` as text."""

    def run(text: str, **config: Any) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config))
        command = [str(COMMANDS / "target-warehouse"), "--config", str(file)]
        return subprocess.run(
            command, input=text, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
        )

    return run


@pytest.fixture
def start_target(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`start_target(**config)`: a running process with pipes for standard input and output."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**config: Any) -> subprocess.Popen[bytes]:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config))
        command = [str(COMMANDS / "target-warehouse"), "--config", str(file)]
        with (tmp_path / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, cwd=tmp_path
            )
        started.append(process)
        return process

    yield start
    for process in started:  # still running after a failed test
        if process.poll() is None:
            process.kill()
            process.communicate()
