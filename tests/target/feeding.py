"""A stream of numbered records with a STATE after every hundred, and the check that none is lost."""

from __future__ import annotations

import io
import json
import threading
from typing import IO, TYPE_CHECKING, Any

from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable

    from conftest import Warehouse

SIZE = 100
_SCHEMA = {"properties": {"id": {"type": ["integer", "null"]}, "v": {"type": ["string", "null"]}}}


def numbers(total: int, *, filler: str = "") -> list[str]:
    """The lines: `total` records with keys from 0 and different texts."""
    lines = [json.dumps({"type": "SCHEMA", "stream": "numbers", "key_properties": ["id"], "schema": _SCHEMA})]
    for first in range(0, total, SIZE):
        lines += [
            f'{{"type": "RECORD", "stream": "numbers", "record": {{"id": {i}, "v": "v{i}{filler}"}}}}'
            for i in range(first, first + SIZE)
        ]
        lines.append(json.dumps({"type": "STATE", "value": {"read": first + SIZE}}))
    return [line + "\n" for line in lines]


def load(warehouse: Warehouse, lines: Iterable[str], **config: Any) -> None:
    """Load the lines by a target in this process."""
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO("".join(lines)))


def feed(process: subprocess.Popen[bytes], lines: Iterable[str]) -> threading.Thread:
    """Write the lines from a thread, and close; the thread ends if the process no longer reads."""

    def write(pipe: IO[bytes]) -> None:
        try:
            with pipe:
                for line in lines:
                    pipe.write(line.encode())
        except (BrokenPipeError, ValueError):
            return

    assert process.stdin is not None
    thread = threading.Thread(target=write, args=(process.stdin,), daemon=True)
    process.stdin = None  # not for `communicate`, which would close it too
    thread.start()
    return thread


def last_state(printed: str | bytes) -> int:
    """The number of records that the last STATE covers."""
    states = [json.loads(line)["read"] for line in printed.splitlines() if line.strip()]
    return int(states[-1]) if states else 0


def assert_consistent(warehouse: Warehouse, state: int, *, filler: str = "") -> int:
    """Check that no record covered by the STATE is missing, repeated or incomplete; return the number of records."""
    rows: list[dict[str, Any]] = warehouse.query('SELECT id, v FROM "melty"."numbers" ORDER BY id')
    assert rows == [{"id": i, "v": f"v{i}{filler}"} for i in range(len(rows))]
    assert state <= len(rows)
    return len(rows)
