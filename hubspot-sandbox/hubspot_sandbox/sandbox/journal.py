"""The journal: one JSON line per mutation with its timestamp, from which the portal can be restored.

The first line has the fingerprint of the portal's options; the journal of another portal is not used. Every line also
has the settings of the quirks, because some of them decide what a mutation does. If the process is killed, the last
line may be incomplete: it is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FORMAT = 1


class JournalError(ValueError):
    """The journal cannot be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Entry:
    """One mutation, its time (epoch milliseconds), and the settings of the quirks at that time."""

    at_ms: int
    mutation: dict[str, Any]
    quirks: dict[str, str] = field(default_factory=dict)

    def as_line(self) -> bytes:
        """Return the line of the journal."""
        return json.dumps({"at": self.at_ms, "mutation": self.mutation, "quirks": self.quirks}).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Entry:
        """Return the entry of a line; ValueError, KeyError or TypeError if it is not one."""
        raw = json.loads(line)
        return cls(int(raw["at"]), dict(raw["mutation"]), dict(raw["quirks"]))


class Journal:
    """The journal of one portal in one file: its entries from before, and new ones.

    `sentence` says what the file had: nothing (empty), entries to apply again, or entries of another portal, which are
    dropped.
    """

    def __init__(self, path: Path, portal: str) -> None:
        self.path = path
        self._head = json.dumps({"journal": _FORMAT, "portal": portal}).encode() + b"\n"
        self._earlier_lines: list[bytes] = []
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
            self.sentence = f"{len(lines)} earlier changes are applied again; `up --fresh` starts clean."
        self._earlier_lines = lines
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
        """Iterate once over (line number, entry) of the entries from before."""
        lines, self._earlier_lines = self._earlier_lines, []
        for place, line in enumerate(lines, 2):
            try:
                yield place, Entry.of_line(line)
            except (ValueError, KeyError, TypeError):
                raise self.broken_at(place, "is not a change") from None

    def broken_at(self, place: int, why: str) -> JournalError:
        """Return the error of a line that cannot be applied."""
        return JournalError(f"Line {place} of the journal {self.path} {why}; `up --fresh` starts clean.")

    def add(self, entry: Entry) -> None:
        """Append an entry; from now on it survives the end of the process."""
        self._file.write(entry.as_line())

    def empty(self) -> None:
        """Remove all entries: the portal is clean again."""
        self._file.close()
        self._write(self._head)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
