"""Reading the associations of pairs as rows, and what became of each pair in this run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from tap_hubspot_dw.errors import HubSpotError, RunStoppedError, UnknownPairError
from tap_hubspot_dw.http.rate_limits import ASSOCIATIONS
from tap_hubspot_dw.hubspot.association_reader import AssociationReader
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.association_pairs import Pair
from tap_hubspot_dw.reading.parallel import in_parallel
from tap_hubspot_dw.records.record_forms import Record
from tap_hubspot_dw.singer.events import Block

if TYPE_CHECKING:
    from tap_hubspot_dw.singer.streams.stream_reading import StreamReading

_BLOCK_ROWS = 2_000
_REQUESTS_AT_ONCE = 4  # per group; HubSpot allows 10 to 20 a second over all groups


class AssociationRows:
    """Reads rows; a pair that HubSpot does not know is skipped, and a pair that fails does not stop the others."""

    def __init__(self, reading: StreamReading) -> None:
        self._logger = reading.logger
        self._blocks = reading.blocks
        self._permits = reading.run.permits[ASSOCIATIONS]
        self.reader = AssociationReader(reading.portal, reading.logger)
        self.read = Counter[str]()  # rows, by pair
        self._unknown: dict[str, str] = {}  # by direction
        self._failed: dict[str, HubSpotError] = {}

    def blocks(self, tasks: Iterable[tuple[Pair, list[int]]], versions: Mapping[str, int]) -> Iterator[Block]:
        """Yield the associations of each pair's ids, several requests at once; `versions` are those of the pairs."""

        def of_ids(task: tuple[Pair, list[int]]) -> Iterator[Block]:
            pair, ids = task
            for results in self.replies(pair, pair.from_type, pair.to_type, ids):
                rows = (row for result in results for row in rows_of(pair, result))
                while part := list(islice(rows, _BLOCK_ROWS)):  # a reply may hold half a million
                    yield self._blocks.block(part, versions[pair.name])

        for (pair, _), block in in_parallel(tasks, of_ids, _REQUESTS_AT_ONCE, self._permits):
            if block is not None:
                self.read[pair.name] += block.total
                yield block

    def partners(self, pair: Pair, seconds: Iterable[list[int]]) -> set[int]:
        """Return the ids on the pair's first side that are associated with one of `seconds` on its second."""

        def of_ids(chunk: list[int]) -> Iterator[set[int]]:
            for results in self.replies(pair, pair.to_type, pair.from_type, chunk):
                yield {int(association["toObjectId"]) for result in results for association in result["to"]}

        ids = set[int]()
        for _, some_ids in in_parallel(seconds, of_ids, _REQUESTS_AT_ONCE, self._permits):
            ids |= some_ids or set()
        return ids

    def replies(
        self, pair: Pair, from_type: ObjectType, to_type: ObjectType, ids: list[int]
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield HubSpot's results for up to 1,000 ids, from either side of a pair.

        A pair that HubSpot does not know has no results and one warning; any other refusal fails only its pair.
        """
        direction = f"{from_type.name}:{to_type.name}"
        if direction in self._unknown or pair.name in self._failed:
            return
        try:
            yield from self.reader.read(from_type, to_type, ids)
        except RunStoppedError:
            raise
        except UnknownPairError as error:
            self.skip(direction, str(error))
        except HubSpotError as error:
            self.fail(pair, error)

    def is_read(self, pair: Pair) -> bool:
        """Return whether HubSpot knows the pair and nothing of it failed."""
        return pair.name not in self._failed and pair.name not in self._unknown

    def skip(self, direction: str, why: str) -> None:
        """Leave out a pair in one direction, with one warning."""
        if self._unknown.setdefault(direction, why) is why:
            self._logger.warning("HubSpot knows no associations of %s: skipped (%s).", direction, why)

    def fail(self, pair: Pair, error: HubSpotError) -> None:
        """Keep the first error of a pair for `check`."""
        self._failed.setdefault(pair.name, error)

    def check(self) -> None:
        """Check that no pair failed.

        Raises:
            HubSpotError: some did.
        """
        if self._failed:
            first = next(iter(self._failed.values()))
            raise HubSpotError(f"{', '.join(self._failed)} could not be read: {first}") from first


def rows_of(pair: Pair, result: dict[str, Any]) -> Iterator[Record]:
    """Yield the rows of one record's associations."""
    for association in result["to"]:
        for association_type in association["associationTypes"]:
            yield {
                "from_object_type": pair.from_type.name,
                "from_id": str(result["from"]["id"]),
                "to_object_type": pair.to_type.name,
                "to_id": str(association["toObjectId"]),
                "association_category": association_type["category"],
                "association_type_id": association_type["typeId"],
                "label": association_type.get("label"),
            }
