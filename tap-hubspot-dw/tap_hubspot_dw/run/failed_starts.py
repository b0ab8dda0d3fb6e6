"""Notes of runs that could not start and so could not write to the history: one line each in a file of the project.

Meltano runs the tap's discovery in its own process, before it starts a target. If discovery fails, no process can
write to the warehouse. So the tap notes the failure in `.meltano/failed-starts/`, which the report reads, and the
next run writes it to `sync_history`. A note contains the error's sentence, which has no secrets. Without Meltano there
is no such folder, and the exit code has to suffice. Pure: standard library only.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

MOST_NOTES = 50  # the newest are kept
_LONGEST = 2_000  # characters of an error
_TIMES_REPORTED = 2  # the first run that reports a note may not be loaded
_ONE_RUN_ONLY = ("TAP_HUBSPOT_DW_ONLY_IDS", "TAP_HUBSPOT_DW_KNOWN_IDS")  # reading some records does not count as a run
_PLUGIN = "MELTANO_EXTRACTOR_NAME"


def leave(environment: Mapping[str, str], error: str, began_at: datetime) -> None:
    """Note that a run could not start; do nothing without Meltano.

    Raises:
        OSError: the note cannot be written.
    """
    file = _file(environment)
    if file is None or any(environment.get(name) for name in _ONE_RUN_ONLY):
        return
    note = {
        "run_id": str(uuid.uuid4()),
        "plugin": environment[_PLUGIN],
        "began_at": began_at.isoformat(),
        "ended_at": datetime.now(UTC).isoformat(),
        "error": error[:_LONGEST],
        "reported": 0,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, [*_read(file), note])


def take(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the notes that this run has to write to its history.

    Each note is returned to two runs, as the first may not be loaded; its rows have keys, so they are not duplicated.

    Raises:
        OSError: the file cannot be written.
    """
    file = _file(environment)
    if file is None or not (notes := _read(file)):
        return []
    counted = [note | {"reported": note["reported"] + 1} for note in notes]
    _write(file, [note for note in counted if note["reported"] < _TIMES_REPORTED])
    return notes


def _file(environment: Mapping[str, str]) -> Path | None:
    project, plugin = environment.get("MELTANO_PROJECT_ROOT"), environment.get(_PLUGIN)
    if not project or not plugin:
        return None
    name = f"{plugin}.{environment.get('MELTANO_ENVIRONMENT', '')}"
    return Path(project) / ".meltano" / "failed-starts" / f"{quote(name, safe='')}.jsonl"


def _read(file: Path) -> list[dict[str, Any]]:
    """Return the notes in a file; malformed lines, which a killed process may leave, are skipped."""
    if not file.exists():
        return []
    notes = []
    for line in file.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError, KeyError, TypeError):
            note = json.loads(line)
            notes.append(note | {"reported": int(note["reported"]), "error": str(note["error"])})
    return notes


def _write(file: Path, notes: list[dict[str, Any]]) -> None:
    if not notes:
        file.unlink(missing_ok=True)
        return
    new = file.with_suffix(".new")
    new.write_text("".join(json.dumps(note) + "\n" for note in notes[-MOST_NOTES:]), encoding="utf-8")
    new.replace(file)
