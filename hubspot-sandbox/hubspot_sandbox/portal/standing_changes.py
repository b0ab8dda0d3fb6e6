"""Changes that happen while a client reads: after every n-th page of a type, or before every n-th search of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hubspot_sandbox.portal.record_states import LIVE
from hubspot_sandbox.portal.records import Records

EDIT, CHURN, EDIT_SEARCHED = "edit-while-paging", "churn-while-paging", "edit-while-searching"
STANDING = frozenset({EDIT, CHURN, EDIT_SEARCHED})


def text_property(records: Records) -> str | None:
    """A text property that a user could edit, if possible a multi-line one; None if the type has none."""
    editable = [
        (d.field_type != "textarea", place, d.name)
        for place, d in enumerate(records.definitions.values())
        if d.type == "string" and not d.options and not d.calculated and not d.unique and not d.name.startswith("hs_")
    ]
    return min(editable)[2] if editable else None


@dataclass
class StandingChange:
    """A change after each `every`-th page, or before each `every`-th search, `times` times in all.

    `edit-while-paging` edits the first record of the page. `churn-while-paging` creates a record and archives two: the
    first of the page and the first after the page. `edit-while-searching` always edits the record `id`.
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
            raise ValueError(f"{self.kind}: every and times must be at least 1.")

    def check(self, records: Records) -> None:
        """Raise ValueError if records of this type cannot change this way."""
        if self.kind in {EDIT, EDIT_SEARCHED} and text_property(records) is None:
            raise ValueError(f"{self.kind}: {records.type.plural} have no text property that can be written.")

    def page_served(self, records: Records, page: list[int]) -> Iterator[dict[str, Any]]:
        """Count a page and yield the mutations that are due; apply each before taking the next."""
        if self.kind == EDIT_SEARCHED or not self._counts(records):
            return
        # A page of archived records, or of a search with an index lag, may have records that are not live.
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
        """Count a search and yield the edit, if one is due."""
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
        # If the last text property has been removed since, the edit sets only the modified time.
        values = {name: f"edited while paging, {self.done}"} if name else {}
        return self._on("edit", records, number) | {"properties": values}

    def _on(self, kind: str, records: Records, number: int) -> dict[str, Any]:
        return {"kind": kind, "type": self.type_id, "id": str(records.id_of(number))}
