"""Notes of runs that could not start, and so could not write to the history, in a file of the Meltano project.

A failure to open the warehouse cannot be recorded in the warehouse. So the target appends a line to a file in
`.meltano/failed-starts/`, which `warehouse report` reads and the next run copies into `_load_history`. The tap keeps
its notes in the same folder and format. A note contains the message of the error, which has no secrets. Without Meltano
there is no such folder; the process only has its exit code.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from target_warehouse.errors import sentence_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping, Sequence

_MOST_NOTES = 50  # the newest are kept
_LONGEST = 2_000  # characters of an error
_PLUGIN = "MELTANO_LOADER_NAME"


@dataclass(frozen=True)
class Note:
    """A run that could not start: when and why. `reported` counts the later runs that have reported it.

    The fields are the file format, which the tap shares.
    """

    run_id: str
    plugin: str
    began_at: str
    ended_at: str
    error: str
    reported: int = 0

    @property
    def timestamp(self) -> dt.datetime:
        """The end of the run, in UTC without a time zone."""
        return dt.datetime.fromisoformat(self.ended_at).astimezone(dt.UTC).replace(tzinfo=None)


@dataclass
class Start:
    """A run that starts. `is_recorded` says whether the history has its outcome, so that it needs no note."""

    is_recorded: bool = False


@contextmanager
def note_failure(environment: Mapping[str, str], logger: logging.Logger) -> Iterator[Start]:
    """Write a note if the block raises an error, unless the history has recorded it."""
    began_at, start = dt.datetime.now(dt.UTC), Start()
    try:
        yield start
    except Exception as error:
        if not start.is_recorded:
            try:
                _add(environment, sentence_of(error), began_at)
            except OSError as refused:
                logger.warning("This failure could not be noted for the next run: %s.", refused.strerror)
        raise


def _add(environment: Mapping[str, str], error: str, began_at: dt.datetime) -> None:
    """Add a note that a run of the target could not start; without Meltano, do nothing.

    Raises:
        OSError: the note cannot be written.
    """
    if (file := _file(environment)) is None:
        return
    now = dt.datetime.now(dt.UTC)
    times = (began_at.isoformat(), now.isoformat())
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, [*_read(file), Note(uuid.uuid4().hex, environment[_PLUGIN], *times, error[:_LONGEST])])


def own_notes(environment: Mapping[str, str]) -> list[Note]:
    """The notes of this target's earlier runs."""
    file = _file(environment)
    return _read(file) if file else []


def remove(environment: Mapping[str, str], notes: Sequence[Note]) -> None:
    """Remove these notes, because they are in the history now.

    Raises:
        OSError: the file cannot be written.
    """
    if notes and (file := _file(environment)):
        done = {note.run_id for note in notes}
        _write(file, [note for note in _read(file) if note.run_id not in done])


def unreported(environment: Mapping[str, str]) -> list[Note]:
    """The notes that no later run has reported, of all plugins of the project in this environment, oldest first."""
    if (folder := _folder(environment)) is None or not folder.is_dir():
        return []
    ending = f"{_environment(environment)}.jsonl"
    notes = [note for file in folder.iterdir() if file.name.endswith(ending) for note in _read(file)]
    return sorted((note for note in notes if not note.reported), key=lambda note: note.ended_at)


def _folder(environment: Mapping[str, str]) -> Path | None:
    project = environment.get("MELTANO_PROJECT_ROOT")
    return Path(project) / ".meltano" / "failed-starts" if project else None


def _environment(environment: Mapping[str, str]) -> str:
    return quote(f".{environment.get('MELTANO_ENVIRONMENT', '')}", safe="")


def _file(environment: Mapping[str, str]) -> Path | None:
    folder, plugin = _folder(environment), environment.get(_PLUGIN)
    return folder / f"{quote(plugin, safe='')}{_environment(environment)}.jsonl" if folder and plugin else None


def _read(file: Path) -> list[Note]:
    return list(_notes(file.read_text(encoding="utf-8"))) if file.exists() else []


def _notes(text: str) -> Iterator[Note]:
    for line in text.splitlines():
        with suppress(ValueError, TypeError):  # an incomplete line, of a process that was killed
            note = Note(**json.loads(line))
            dt.datetime.fromisoformat(note.ended_at)
            yield note


def _write(file: Path, notes: Sequence[Note]) -> None:
    if not notes:
        file.unlink(missing_ok=True)
        return
    new = file.with_suffix(".new")
    new.write_text("".join(json.dumps(asdict(note)) + "\n" for note in notes[-_MOST_NOTES:]), encoding="utf-8")
    new.replace(file)
