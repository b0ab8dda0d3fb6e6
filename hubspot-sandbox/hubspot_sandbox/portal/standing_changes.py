"""Changes that happen while a client reads, until they have happened often enough.

After every k-th page of a type, or before every k-th of its searches is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hubspot_sandbox.portal.records import LIVE, Records

EDIT, CHURN, EDIT_SEARCHED = "edit-while-paging", "churn-while-paging", "edit-while-searching"
STANDING = frozenset({EDIT, CHURN, EDIT_SEARCHED})


def text_property(records: Records) -> str | None:
    """A text property that a person could write, the roomiest kind first; None when the type has none."""
    free = [
        (d.field_type != "textarea", place, d.name)
        for place, d in enumerate(records.definitions.values())
        if d.type == "string" and not d.options and not d.calculated and not d.unique and not d.name.startswith("hs_")
    ]
    return min(free)[2] if free else None


@dataclass
class StandingChange:
    """What happens after each `every`-th page, or before each such search, `times` times.

    `edit-while-paging` edits the first record just served; `churn-while-paging` creates a record, archives the first
    one just served and the one that comes after the page; `edit-while-searching` edits one and the same record, `id`.
    """

    kind: str
    type_id: str
    every: int
    times: int
    id: str = ""
    pages: int = 0
    done: int = 0

    def __post_init__(self) -> None:
        if self.every < 1 or self.times < 1:
            raise ValueError(f"{self.kind}: every and times are at least 1.")

    def check(self, records: Records) -> None:
        """ValueError with one sentence when this change cannot happen to records of the type."""
        if self.kind in {EDIT, EDIT_SEARCHED} and text_property(records) is None:
            raise ValueError(f"{self.kind}: {records.type.plural} have no text property that can be written.")

    def page_served(self, records: Records, page: list[int]) -> Iterator[dict[str, Any]]:
        """Count a page of the type; the mutations that are due, each to be applied before the next is taken."""
        if self.kind == EDIT_SEARCHED or not self._counts(records):
            return
        # A page of the archive, or of a search whose index is behind, may hold records that are not live.
        first = next((number for number in page if records.state[number] == LIVE), None)
        if first is None:
            return
        self.pages += 1
        if self.pages % self.every:
            return
        self.done += 1
        if self.kind == EDIT:
            yield self._edited(records, first)
            return
        yield {"kind": "create", "type": self.type_id}
        following = next(records.numbers(LIVE, page[-1] + 1), None)
        for number in {first, following} - {None}:
            if number is not None and records.state[number] == LIVE:
                yield self._on("archive", records, number)

    def search_asked(self, records: Records) -> Iterator[dict[str, Any]]:
        """Count a search of the type; the edit that is due."""
        number = records.number_of(self.id)
        if self.kind != EDIT_SEARCHED or not self._counts(records) or number is None or records.state[number] != LIVE:
            return
        self.pages += 1
        if self.pages % self.every == 0:
            self.done += 1
            yield self._edited(records, number)

    def _counts(self, records: Records) -> bool:
        return records.type.type_id == self.type_id and self.done < self.times

    def _edited(self, records: Records, number: int) -> dict[str, Any]:
        name = text_property(records)
        # The last text property may have been removed since: then only the time of the change is written.
        values = {name: f"edited while paging, {self.done}"} if name else {}
        return self._on("edit", records, number) | {"properties": values}

    def _on(self, kind: str, records: Records, number: int) -> dict[str, Any]:
        return {"kind": kind, "type": self.type_id, "id": str(records.id_of(number))}
