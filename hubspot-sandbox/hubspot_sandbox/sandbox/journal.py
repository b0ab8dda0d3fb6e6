"""The journal: every mutation of a portal with its moment, one JSON line each, so that the portal can be made again.

The first line names the portal (a fingerprint of its options); a journal of another portal is not used. A line says
the switches too, for some decide what a mutation does. The last line of a process that was killed may be half
written: it is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FORMAT = 1


class JournalError(ValueError):
    """The journal cannot be used; the message is one sentence with the file and what to do."""


@dataclass(frozen=True)
class Entry:
    """One mutation, when it was made (epoch milliseconds), and the switches that were set then."""

    at_ms: int
    mutation: dict[str, Any]
    quirks: dict[str, str] = field(default_factory=dict)

    def as_line(self) -> bytes:
        """The journal's line."""
        return json.dumps({"at": self.at_ms, "mutation": self.mutation, "quirks": self.quirks}).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Entry:
        """The entry of a line; ValueError, KeyError or TypeError for anything else."""
        raw = json.loads(line)
        return cls(int(raw["at"]), dict(raw["mutation"]), dict(raw["quirks"]))


class Journal:
    """The journal of one portal in one file: what was in it when opened, and a place for what comes.

    `sentence` says what was found: nothing, changes to make again, or those of another portal, which are dropped.
    """

    def __init__(self, path: Path, portal: str) -> None:
        self.path = path
        self._head = json.dumps({"journal": _FORMAT, "portal": portal}).encode() + b"\n"
        self._found: list[bytes] = []
        self.sentence = ""
        self._read()

    def _read(self) -> None:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            text = b""
        except OSError as error:
            raise JournalError(f"The journal {self.path} cannot be read: {error.strerror}.") from error
        head, *lines = text[: text.rfind(b"\n") + 1].splitlines(keepends=True) or [b""]
        if head and head != self._head:
            self.sentence = (
                f"The portal starts clean: the {len(lines)} changes in {self.path} were made with other options."
            )
            lines = []
        elif lines:
            self.sentence = f"{len(lines)} earlier changes are made again; `up --fresh` starts clean."
        self._found = lines
        self._write(self._head + b"".join(lines))

    def _write(self, content: bytes) -> None:
        partial = self.path.with_suffix(".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(self.path)
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise JournalError(f"The journal {self.path} cannot be written: {error.strerror}.") from error

    def take_entries(self) -> Iterator[tuple[int, Entry]]:
        """(line number, entry) of everything found when the journal was opened, once."""
        lines, self._found = self._found, []
        for place, line in enumerate(lines, 2):
            try:
                yield place, Entry.of_line(line)
            except (ValueError, KeyError, TypeError):
                raise self.broken_at(place, "is not a change") from None

    def broken_at(self, place: int, why: str) -> JournalError:
        """The error of a line that cannot be made again."""
        return JournalError(f"Line {place} of the journal {self.path} {why}; `up --fresh` starts clean.")

    def add(self, entry: Entry) -> None:
        """Append what was done; it outlives the process from here on."""
        self._file.write(entry.as_line())

    def empty(self) -> None:
        """Forget everything: the portal is clean again."""
        self._file.close()
        self._write(self._head)

    def close(self) -> None:
        """Nothing more will be added."""
        self._file.close()
