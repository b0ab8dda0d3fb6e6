"""A page of HubSpot's objects: their ids, their records, and the other facts that reading needs.

It holds a list for each of these, in the order of the objects. A page may have the objects of several replies, some
decoded in C and some in Python.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from tap_hubspot_dw.errors import MisshapenReplyError
from tap_hubspot_dw.records.record_forms import FullRecord, WrittenRecord
from tap_hubspot_dw.timestamps import EPOCH, parse_timestamp

_ID = re.compile(r"[1-9]\d{0,29}", re.ASCII)


@dataclass(frozen=True)
class ObjectPage:
    """Some objects of one type."""

    ids: Sequence[int] = ()
    #: Empty if the decoder makes no records.
    records: Sequence[FullRecord | WrittenRecord] = ()
    #: The texts of `hs_merged_object_ids`.
    merged: Sequence[str | None] = ()
    #: When they were archived, as HubSpot writes it.
    archived_at: Sequence[str | None] = ()
    #: When they were last changed, as HubSpot writes it.
    updated_at: Sequence[str | None] = ()

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.ids)

    def merges(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the place of each object that others were merged into, and their distinct ids.

        Texts that are not ids of HubSpot's, which are numbers, are ignored.
        """
        for place, text in enumerate(self.merged):
            if text:
                yield place, _ids_in(text)

    def archivals(self) -> Iterator[tuple[int, str, list[str]]]:
        """Yield the id of each object, when it was archived, and the distinct ids of those merged into it before.

        Where HubSpot does not say when (`archivedAt` is optional), it is the time of the last change.

        Raises:
            MisshapenReplyError: an object has neither time.
        """
        for place, (id_, text) in enumerate(zip(self.ids, self.merged, strict=True)):
            at = self.archived_at[place] or self.updated_at[place]
            if at is None:
                raise MisshapenReplyError("HubSpot sent an archived record without a time: run again later.")
            yield id_, at, _ids_in(text or "")

    def undated(self) -> set[int]:
        """Return the ids of the objects of which HubSpot does not say when they were archived."""
        return {id_ for id_, archived_at in zip(self.ids, self.archived_at, strict=True) if not archived_at}

    def newest(self) -> ObjectPage:
        """Return the objects, each once: the version that was changed last, or of equal ones the later in the page."""
        if len(set(self.ids)) == len(self):
            return self
        newest: dict[int, tuple[datetime, int]] = {}
        for place, (id_, text) in enumerate(zip(self.ids, self.updated_at, strict=True)):
            version = (_timestamp(text), place)
            newest[id_] = max(newest.get(id_, version), version)
        return self._picked(sorted(place for _, place in newest.values()))

    def between(self, above: int, through: int | None = None) -> ObjectPage:
        """Return the objects with ids above one id, up to another if given."""
        return self._picked(
            [n for n, id_ in enumerate(self.ids) if above < id_ and (through is None or id_ <= through)]
        )

    def only(self, ids: Collection[int]) -> ObjectPage:
        """Return the objects with these ids."""
        return self._picked([place for place, id_ in enumerate(self.ids) if id_ in ids])

    def in_order_of(self, ids: Iterable[int]) -> ObjectPage:
        """Return the objects with these ids, in their order."""
        places = {id_: place for place, id_ in enumerate(self.ids)}
        return self._picked([places[id_] for id_ in ids if id_ in places])

    def __add__(self, other: ObjectPage) -> ObjectPage:
        """Return the objects of both pages."""
        return ObjectPage(
            [*self.ids, *other.ids],
            [*self.records, *other.records],
            [*self.merged, *other.merged],
            [*self.archived_at, *other.archived_at],
            [*self.updated_at, *other.updated_at],
        )

    def _picked(self, places: Sequence[int]) -> ObjectPage:
        if len(places) == len(self) and all(place == n for n, place in enumerate(places)):
            return self
        return ObjectPage(
            [self.ids[place] for place in places],
            [self.records[place] for place in places] if self.records else (),
            [self.merged[place] for place in places],
            [self.archived_at[place] for place in places],
            [self.updated_at[place] for place in places],
        )


def _timestamp(text: object) -> datetime:
    """Return when an object was last changed; the earliest time if HubSpot does not say so."""
    with suppress(ValueError, TypeError):
        return parse_timestamp(text)  # type: ignore[arg-type]
    return EPOCH


def _ids_in(text: str) -> list[str]:
    return list(dict.fromkeys(id_ for id_ in map(str.strip, text.split(";")) if _ID.fullmatch(id_)))
