"""Runs that could not begin, and so could not write to the history: a line each in a file of the Meltano project.

Meltano asks the tap for its streams before it starts a target, in a process of its own. If that fails, nobody can
write to the warehouse. So the failure is noted in `.meltano/failed-starts/`, where the report finds it, and the next
run writes it into `sync_history`. A note has the sentence of the error, which has no secrets. Without Meltano there is
no such folder, and whoever started the process has its exit code. Pure: standard library only.
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

MOST_NOTES = 50  # the newest stay
_LONGEST = 2_000  # characters of an error
_TIMES_REPORTED = 2  # the run that was told first may not have been loaded
_ONE_RUN_ONLY = ("TAP_HUBSPOT_DW_ONLY_IDS", "TAP_HUBSPOT_DW_KNOWN_IDS")  # a look at some records is no run
_PLUGIN = "MELTANO_EXTRACTOR_NAME"


def leave(environment: Mapping[str, str], error: str, began_at: datetime) -> None:
    """Note that a run could not begin; nothing without Meltano.

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
        "told": 0,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, [*_read(file), note])


def take(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the notes for the history of this run, which has to be able to write them.

    Each is given twice, as its rows have keys and the first of the two runs may not be loaded.

    Raises:
        OSError: the file cannot be written.
    """
    file = _file(environment)
    if file is None or not (notes := _read(file)):
        return []
    counted = [note | {"told": note["told"] + 1} for note in notes]
    _write(file, [note for note in counted if note["told"] < _TIMES_REPORTED])
    return notes


def _file(environment: Mapping[str, str]) -> Path | None:
    project, plugin = environment.get("MELTANO_PROJECT_ROOT"), environment.get(_PLUGIN)
    if not project or not plugin:
        return None
    name = f"{plugin}.{environment.get('MELTANO_ENVIRONMENT', '')}"
    return Path(project) / ".meltano" / "failed-starts" / f"{quote(name, safe='')}.jsonl"


def _read(file: Path) -> list[dict[str, Any]]:
    """Return the notes of a file; lines that are none, as of a process that was killed, are left out."""
    if not file.exists():
        return []
    notes = []
    for line in file.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError, KeyError, TypeError):
            note = json.loads(line)
            notes.append(note | {"told": int(note["told"]), "error": str(note["error"])})
    return notes


def _write(file: Path, notes: list[dict[str, Any]]) -> None:
    if not notes:
        file.unlink(missing_ok=True)
        return
    new = file.with_suffix(".new")
    new.write_text("".join(json.dumps(note) + "\n" for note in notes[-MOST_NOTES:]), encoding="utf-8")
    new.replace(file)
