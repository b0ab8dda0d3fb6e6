"""The answer sheet: one row per question, as a table for the terminal, as Markdown, or as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

UNKNOWN = "unknown: needs "


@dataclass(frozen=True)
class Answer:
    """One row: the question, the portal's answer, its evidence, and what the tap does because of it."""

    number: int
    question: str
    answer: str
    evidence: str
    product: str

    @property
    def is_known(self) -> bool:
        """Whether this portal could answer."""
        return not self.answer.startswith(UNKNOWN)


def text_lines(answers: Iterable[Answer], width: int) -> Iterator[str]:
    """Yield the table for a terminal."""
    columns = [field.name for field in fields(Answer)]
    others = max(width - 4 - 3 * (len(columns) - 1), 60)
    widths = [2, *(int(others * share) for share in (0.24, 0.26, 0.22, 0.28))]

    def row(cells: Iterable[str], fill: str = " ") -> Iterator[str]:
        wrapped = [textwrap.wrap(cell, size) or [""] for cell, size in zip(cells, widths, strict=True)]
        for line in range(max(map(len, wrapped))):
            parts = (
                (cell[line] if line < len(cell) else "").ljust(size, fill)
                for cell, size in zip(wrapped, widths, strict=True)
            )
            yield " | ".join(parts).rstrip()

    yield from row(["#", *columns[1:]])
    for answer in answers:
        yield from row([""] * len(columns), "-")
        yield from row(str(value) for value in asdict(answer).values())


def markdown(answers: Iterable[Answer]) -> str:
    """Return the table as Markdown."""
    columns = [field.name for field in fields(Answer)]
    rows = [["#", *columns[1:]], ["---"] * len(columns)]
    rows += [[str(value).replace("|", "\\|") for value in asdict(answer).values()] for answer in answers]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write(answers: Iterable[Answer], file: Path) -> None:
    """Write the sheet: JSON for a file *.json, else Markdown."""
    rows = list(answers)
    text = json.dumps([asdict(row) for row in rows], indent=2) + "\n" if file.suffix == ".json" else markdown(rows)
    file.write_text(text, encoding="utf-8")
